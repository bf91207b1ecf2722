using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Tests.TensorParallel.Styles;

/// <summary>Attention over 6 features in which each key head serves several query heads, that takes all sizes from its tensors.</summary>
internal sealed class GroupedAttention : nn.Module<Tensor, Tensor>
{
    private const int Features = 6;

    private readonly Linear _query;
    private readonly Linear _key;
    private readonly Linear _value;
    private readonly Linear _output;
    private readonly int _size;

    public GroupedAttention(int heads, int keyHeads, int size, bool bias)
        : base(nameof(GroupedAttention))
    {
        _size = size;
        _query = nn.Linear(Features, heads * size, bias);
        _key = nn.Linear(Features, keyHeads * size, bias);
        _value = nn.Linear(Features, keyHeads * size, bias);
        _output = nn.Linear(heads * size, Features, bias);
        RegisterComponents();
    }

    public override Tensor forward(Tensor input)
    {
        var (query, key, value) = (Heads(_query.call(input)), Heads(_key.call(input)), Heads(_value.call(input)));
        var repeats = query.shape[1] / key.shape[1];
        var mixed = nn.functional.scaled_dot_product_attention(
            query, key.repeat_interleave(repeats, 1), value.repeat_interleave(repeats, 1), is_casual: true);
        return _output.call(mixed.transpose(1, 2).flatten(2));
    }

    private Tensor Heads(Tensor projected) => projected.unflatten(2, -1, _size).transpose(1, 2);
}
