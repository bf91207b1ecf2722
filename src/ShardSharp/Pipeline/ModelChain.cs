using ShardSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Pipeline;

/// <summary>A model as a chain of parts, between any two of which a pipeline may cut it.</summary>
/// <param name="Parts">The parts, in the order in which forward runs them.</param>
internal sealed record ModelChain(IReadOnlyList<ChainPart> Parts)
{
    /// <summary>The modules that consist of some of the parts.</summary>
    public IReadOnlyList<CompositePart> Composites { get; init; } = [];

    /// <summary>How the arguments that the model was traced with were put together; null if it was not traced.</summary>
    public IReadOnlyList<TensorStructure>? Takes { get; init; }

    /// <summary>Makes what the model returns, such as a tuple, of what the last part returns.</summary>
    public Func<IReadOnlyList<Tensor>, object?> Output { get; init; } = tensors => tensors is [var one] ? one : tensors;

    /// <summary>Some consecutive parts as calls of the largest modules that lie within them.</summary>
    public IReadOnlyList<ChainPart> Run(int first, int count)
    {
        var (run, end) = (new List<ChainPart>(), first + count);
        for (var i = first; i < end;)
        {
            var whole = Composites.Where(composite => composite.First == i && i + composite.Count <= end).MaxBy(composite => composite.Count);
            run.Add(whole?.Part ?? Parts[i]);
            i += whole?.Count ?? 1;
        }

        return run;
    }
}
