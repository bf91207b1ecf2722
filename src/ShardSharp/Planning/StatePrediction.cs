using ShardSharp.Communication;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Planning;

/// <summary>What a model takes on each rank, from its shapes and types and the sharding degree alone.</summary>
internal sealed class StatePrediction
{
    private readonly (Parameter Parameter, long Elements, long Bytes)[] _parameters;
    private readonly int _shards;
    private readonly long _wholeBelow;
    private readonly bool _hasMasters;

    /// <param name="module">The model before it is sharded.</param>
    /// <param name="shards">Ranks that share one copy of it.</param>
    /// <param name="wholeBelow">Parameters with fewer elements stay whole on each rank.</param>
    /// <param name="compute">The type of mixed precision, which keeps float32 masters, whose gradients are float32 as well; null without.</param>
    public StatePrediction(nn.Module module, int shards, long wholeBelow, ScalarType? compute)
    {
        (_shards, _wholeBelow, _hasMasters) = (shards, wholeBelow, compute is not null);
        _parameters =
        [
            .. module.parameters().Select(parameter =>
                (parameter, parameter.numel(), parameter.numel() * (compute is { } type ? ElementTypes.SizeOf(type) : parameter.element_size()))),
        ];
    }

    /// <summary>Bytes of parameters between steps.</summary>
    public long Parameters => _parameters.Sum(each =>
        (each.Elements < _wholeBelow ? each.Bytes : each.Bytes / _shards) + (_hasMasters ? MasterBytes(each.Elements) : 0));

    /// <summary>Bytes of gradients after a step.</summary>
    public long Gradients => _parameters.Where(each => each.Parameter.requires_grad)
        .Sum(each => _hasMasters ? MasterBytes(each.Elements) : each.Bytes / _shards);

    private long MasterBytes(long elements) => elements * sizeof(float) / _shards;
}
