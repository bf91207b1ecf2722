using ShardSharp.TensorParallel.Layers;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Tests.TensorParallel.Layers;

/// <summary>Attention on one rank, by its equations.</summary>
internal sealed class PlainAttention : nn.Module<Tensor, Tensor?, Tensor?, Tensor>
{
    private readonly DistributedTransformerOptions _options;
    private readonly bool _isCross;
    private readonly Linear _query, _key, _value, _dense;
    private readonly LayerNorm? _before, _after;

    public PlainAttention(DistributedTransformerOptions options, bool isCross)
        : base(nameof(PlainAttention))
    {
        (_options, _isCross) = (options, isCross);
        var features = options.NumAttentionHeads * options.AttentionHeadSize;
        (_query, _key, _value) = (Plain.Linear(options.HiddenSize, features, options), Plain.Linear(options.HiddenSize, features, options), Plain.Linear(options.HiddenSize, features, options));
        _dense = Plain.Linear(features, options.HiddenSize, options);
        foreach (var (name, module) in new[] { ("query", _query), ("key", _key), ("value", _value), ("dense", _dense) })
            register_module(name, module);
        (_before, _after) = Plain.Norms(this, options);
    }

    public override Tensor forward(Tensor hidden, Tensor? mask, Tensor? cross)
    {
        var input = _before is null ? hidden : _before.call(hidden);
        var (queries, keys, values) = (Heads(_query.call(input)), Heads(_key.call(cross ?? input)), Heads(_value.call(cross ?? input)));
        var scores = queries.matmul(keys.transpose(-1, -2)) / Math.Sqrt(_options.AttentionHeadSize);
        var length = hidden.shape[1];
        if (!_isCross && _options.CausalMaskSize is not null)
            scores = scores.masked_fill(ones(length, length, ScalarType.Bool).triu(1), float.MinValue);
        if (mask is not null)
            scores += mask;
        if (!_isCross && _options.UseAlibi)
        {
            var slopes = arange(1, _options.NumAttentionHeads + 1, ScalarType.Float32).mul(-_options.AlibiBiasMax / _options.NumAttentionHeads).exp2();
            scores += slopes.reshape(-1, 1, 1) * arange(1 - length, 1, ScalarType.Float32);
        }

        var mixed = scores.softmax(-1).matmul(values).transpose(1, 2).flatten(2);
        var output = _dense.call(mixed);
        return _after is null ? output : _after.call(output + hidden);
    }

    private Tensor Heads(Tensor features) => features.unflatten(2, [-1, _options.AttentionHeadSize]).transpose(1, 2);
}
