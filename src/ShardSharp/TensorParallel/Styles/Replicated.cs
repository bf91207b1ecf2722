using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Styles;

/// <summary>A module that is left as it is.</summary>
internal sealed class Replicated : TensorParallelStyle
{
    public override string Description => "whole";

    internal override void Apply(string name, nn.Module module, TensorParallelContext context)
    {
    }
}
