using ShardSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Pipeline.Tracing;

/// <summary>Calls a module.</summary>
internal sealed class CallStep : ChainStep
{
    private ModuleCall? _call;

    public override IReadOnlyList<TracedValue> Outputs => Call.Outputs;

    /// <exception cref="InvalidOperationException">The module returned something that is put together in another way than in the trace.</exception>
    public override IReadOnlyList<Tensor> Run(Func<TracedValue, Tensor> read)
    {
        _call ??= new ModuleCall(Call.Module);
        var tensors = new List<Tensor>();
        var returned = TensorStructure.Of(_call.Invoke(Arguments(read)), tensors);
        return Call.Returns!.DifferenceTo(returned) is not { } difference ? tensors : throw new InvalidOperationException(
            $"{Call.Title} returned something else than when the model was traced: {difference}. A pipeline passes tensors of any shape, but "
            + "their number and what holds them must stay the same; put what changes into a tensor.");
    }
}
