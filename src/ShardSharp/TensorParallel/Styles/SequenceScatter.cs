using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Styles;

/// <summary>A module that computes the whole sequence on every rank, of which ranks go on with their part.</summary>
internal sealed class SequenceScatter : TensorParallelStyle
{
    public override string Description => "whole, output scattered along the sequence";

    internal override void Apply(string name, nn.Module module, TensorParallelContext context)
    {
        if (!context.SequenceParallel)
            return;
        context.Hook(name, module, before: null, returned =>
        {
            using var whole = (Tensor)returned!;
            return context.Scatter(whole);
        });
    }
}
