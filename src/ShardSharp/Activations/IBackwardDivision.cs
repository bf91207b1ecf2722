using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Activations;

/// <summary>
/// Divides a backward in two: gradients of inputs first, those of parameters later, from the same graphs. A region computes again once for both.
/// </summary>
internal interface IBackwardDivision
{
    /// <summary>Whether a backward runs whose regions keep what they compute again.</summary>
    bool Keeps { get; }

    /// <summary>Which gradients the backward that runs now is for.</summary>
    BackwardPart Part { get; }

    /// <summary>Told of each region that is called.</summary>
    /// <param name="outputs">What it returned, as part of the graph.</param>
    /// <param name="parameters">The parameters it gives gradients to.</param>
    void Note(IReadOnlyList<Tensor> outputs, IReadOnlyList<Parameter> parameters);

    /// <summary>Computes a region again and keeps its graph until the gradients of its parameters have been computed.</summary>
    /// <param name="inputs">What it computes from. Owned by the division from now on, as is what it computes.</param>
    /// <param name="parameters">The parameters it gives gradients to.</param>
    /// <param name="gradients">The gradients of what it computes; invalid where there is none.</param>
    /// <param name="compute">Computes it again.</param>
    /// <returns>What it computed; and the gradients of the inputs, null where those of all that it computes from are wanted now.</returns>
    (IReadOnlyList<Tensor> Outputs, IReadOnlyList<Tensor?>? OfInputs) Keep(
        IReadOnlyList<Tensor> inputs, IReadOnlyList<Parameter> parameters, IReadOnlyList<Tensor> gradients, Func<IReadOnlyList<Tensor>> compute);
}
