using ShardSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Pipeline.Tracing;

/// <summary>
/// What a module does before the first of the calls that a pipeline can make itself, such as adding two embeddings: the module's own forward runs
/// until it makes that call, and ends there.
/// </summary>
internal sealed class OpeningStep : ChainStep
{
    private readonly ModuleCall _call;
    private readonly TracedCall _end;
    private readonly int[] _kept;
    private readonly int _occurrence;
    private int? _until;
    private List<Tensor>? _reached;

    /// <param name="call">The call whose opening it is.</param>
    /// <param name="opening">How many of the calls it made belong to it.</param>
    public OpeningStep(TracedCall call, int opening)
    {
        _end = call.Calls[opening];
        _call = new ModuleCall(call.Module);
        _occurrence = call.Before(_end).Count(before => ReferenceEquals(before.Module, _end.Module));
        var given = new HashSet<TracedValue>(call.Inputs);
        _kept = [.. _end.Inputs.Index().Where(input => !input.Item.IsEverywhere && given.Add(input.Item)).Select(input => input.Index)];
        Outputs = [.. _kept.Select(index => _end.Inputs[index])];

        // It stays with the module, and lets everybody else's calls pass.
        _ = new ModuleHooks(_end.Module, Stop, returned => returned);
    }

    public override IReadOnlyList<TracedValue> Outputs { get; }

    /// <exception cref="InvalidOperationException">The module did not make that call this time.</exception>
    public override IReadOnlyList<Tensor> Run(Func<TracedValue, Tensor> read)
    {
        using var scope = NewDisposeScope();
        _until = _occurrence;
        try
        {
            _call.Invoke(Arguments(read));
        }
        catch (ReachedException)
        {
            // What forward made until there has gone with its scopes, but for what it was to be called with.
        }
        finally
        {
            _until = null;
        }

        var reached = _reached ?? throw new InvalidOperationException(
            $"{Call.Title} did not call {_end.Title} as it did when the model was traced. A pipeline needs the same calls for every batch.");
        _reached = null;
        foreach (var tensor in reached)
            scope.Attach(tensor);
        return [.. reached.Select(tensor => tensor.MoveToOuterDisposeScope())];
    }

    private object?[] Stop(object?[] given)
    {
        if (_until is not { } until)
            return given;
        _until = until - 1;
        if (until > 0)
            return given;
        _until = null;
        var tensors = new List<Tensor>();
        foreach (var value in given)
            TensorStructure.Of(value, tensors);
        _reached = [.. _kept.Select(index => tensors[index].alias().DetachFromDisposeScope())];
        throw new ReachedException();
    }

    /// <summary>Leaves forward where nothing is left to do.</summary>
    private sealed class ReachedException() : Exception("A pipeline ends this forward here.");
}
