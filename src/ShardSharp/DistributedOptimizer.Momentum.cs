using static TorchSharp.torch;

namespace ShardSharp;

/// <content>Schedulers that cycle momentum ask the optimizer whether it has any, by these interfaces.</content>
public partial class DistributedOptimizer
{
    private sealed class WithMomentum(DistributedModel model, optim.Optimizer inner, bool fused, optim.IMomentum momentum)
        : DistributedOptimizer(model, inner, fused), optim.IMomentum
    {
        public double Momentum { get => momentum.Momentum; set => momentum.Momentum = value; }
    }

    private sealed class WithBetas(DistributedModel model, optim.Optimizer inner, bool fused, optim.IBetas betas)
        : DistributedOptimizer(model, inner, fused), optim.IBetas
    {
        public (double, double) Betas { get => betas.Betas; set => betas.Betas = value; }
    }
}
