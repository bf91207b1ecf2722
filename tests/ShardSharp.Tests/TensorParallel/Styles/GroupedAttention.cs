using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Tests.TensorParallel.Styles;

/// <summary>Attention over 6 features in which each key head serves several query heads, that takes all sizes from its tensors.</summary>
internal sealed class GroupedAttention : nn.Module<Tensor, Tensor>
{
    private const int Features = 6;

    private readonly Linear? _fused;
    private readonly Linear? _query;
    private readonly Linear? _key;
    private readonly Linear? _value;
    private readonly Linear _output;
    private readonly int _size;

    public GroupedAttention(int heads, int keyHeads, int size, bool bias, bool fused = false)
        : base(nameof(GroupedAttention))
    {
        _size = size;
        if (fused)
        {
            _fused = nn.Linear(Features, (heads + (2 * keyHeads)) * size, bias);
        }
        else
        {
            _query = nn.Linear(Features, heads * size, bias);
            _key = nn.Linear(Features, keyHeads * size, bias);
            _value = nn.Linear(Features, keyHeads * size, bias);
        }

        _output = nn.Linear(heads * size, Features, bias);
        RegisterComponents();
    }

    public override Tensor forward(Tensor input)
    {
        var parts = _fused is null ? [_query!.call(input), _key!.call(input), _value!.call(input)] : Parts(_fused.call(input));
        var (query, key, value) = (Heads(parts[0]), Heads(parts[1]), Heads(parts[2]));
        var repeats = query.shape[1] / key.shape[1];
        var mixed = nn.functional.scaled_dot_product_attention(
            query, key.repeat_interleave(repeats, 1), value.repeat_interleave(repeats, 1), is_casual: true);
        return _output.call(mixed.transpose(1, 2).flatten(2));
    }

    /// <summary>The output has as many query heads as the next layer takes; of the rest keys and values have half each.</summary>
    private Tensor[] Parts(Tensor projected)
    {
        var queries = _output.weight!.shape[1];
        var others = (projected.shape[2] - queries) / 2;
        return projected.split([queries, others, others], 2);
    }

    private Tensor Heads(Tensor projected) => projected.unflatten(2, -1, _size).transpose(1, 2);
}
