using static TorchSharp.torch;

namespace ShardSharp.Pipeline.Tracing;

/// <summary>Something that a part of a chain runs: a module, or the opening of one.</summary>
internal abstract class ChainStep
{
    /// <summary>Its name in the model.</summary>
    public required string Name { get; init; }

    /// <summary>The module that it calls.</summary>
    public required TracedCall Call { get; init; }

    /// <summary>The modules that it needs whole.</summary>
    public required IReadOnlyList<nn.Module> Modules { get; init; }

    /// <summary>What it needs.</summary>
    public IReadOnlyList<TracedValue> Inputs => Call.Inputs;

    /// <summary>What it makes.</summary>
    public abstract IReadOnlyList<TracedValue> Outputs { get; }

    /// <summary>Computes it.</summary>
    /// <param name="read">Gives the tensor of a value.</param>
    /// <returns>The tensors of <see cref="Outputs"/>.</returns>
    public abstract IReadOnlyList<Tensor> Run(Func<TracedValue, Tensor> read);

    private protected object?[] Arguments(Func<TracedValue, Tensor> read)
    {
        var next = 0;
        return [.. Call.Takes.Select(argument => argument.Build(Rest()))];

        IEnumerable<Tensor> Rest()
        {
            while (next < Call.Inputs.Count)
                yield return read(Call.Inputs[next++]);
        }
    }
}
