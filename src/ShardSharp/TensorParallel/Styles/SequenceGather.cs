using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Styles;

/// <summary>A module that computes the whole sequence on every rank, out of the ranks' parts.</summary>
internal sealed class SequenceGather : TensorParallelStyle
{
    public override string Description => "whole, input gathered along the sequence";

    internal override void Apply(string name, nn.Module module, TensorParallelContext context)
    {
        if (context.SequenceParallel)
            context.Hook(name, module, given => [context.Collect((Tensor)given[0]!), .. given.Skip(1)], after: null);
    }
}
