using ShardSharp.Modules;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Activations;

/// <summary>A part of a model of which only the inputs are kept for backward, which computes the rest again.</summary>
/// <param name="Name">What it is called in messages.</param>
/// <param name="Compute">Computes it from what it was given.</param>
/// <param name="Modules">The modules it consists of.</param>
/// <param name="Recomputation">What the model's regions share.</param>
internal sealed record CheckpointRegion(
    string Name, Func<object?[], object?> Compute, IReadOnlyList<nn.Module> Modules, Recomputation Recomputation)
{
    /// <summary>Whether it draws the same random numbers when it computes again.</summary>
    public bool PreservesRandomState { get; init; } = true;

    /// <summary>Where its inputs wait for backward; null for where they are.</summary>
    public ActivationOffloading? Offloading { get; init; }

    /// <summary>The linear layers in it whose products are kept; null for none.</summary>
    public KeptProducts? Products { get; init; }

    /// <summary>The parameters that it may give gradients to.</summary>
    public IEnumerable<Parameter> TrainedParameters =>
        Modules.SelectMany(module => module.parameters()).Where(parameter => parameter.requires_grad).Distinct<Parameter>(ReferenceEqualityComparer.Instance);

    /// <summary>Begins a forward of it; null where nothing is to be recorded, so that it should compute as it always does.</summary>
    /// <param name="given">What it is given.</param>
    public CheckpointForward? Begin(object?[] given)
    {
        if (!is_grad_enabled())
            return null;
        // Classes that cannot be looked into may be given: what they hold takes part as any other tensor that a module knows of.
        var inputs = TensorParts.Of(given, out _);
        Parameter[] parameters = [.. TrainedParameters];
        return parameters.Length > 0 || inputs.Any(input => input.requires_grad) ? new CheckpointForward(this, given, inputs, parameters) : null;
    }

    /// <summary>Computes it, keeping only what it is given.</summary>
    public object? Run(object?[] given)
    {
        if (Begin(given) is not { } forward)
            return Compute(given);
        try
        {
            return forward.Complete(Compute(given));
        }
        finally
        {
            forward.Dispose();
        }
    }
}
