using ShardSharp.Optimizers;
using ShardSharp.Precision;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp;

/// <summary>Any TorchSharp optimizer over the parameters that this rank holds. Learning-rate schedulers take it like any other.</summary>
/// <remarks>Every rank calls <see cref="step"/> after the model's step; equal gradients and equal parameters stay equal.</remarks>
public partial class DistributedOptimizer : optim.Optimizer
{
    private readonly DistributedModel _model;
    private readonly FusedStep? _fused;

    private DistributedOptimizer(DistributedModel model, optim.Optimizer inner, bool fused)
        : base(nint.Zero) => (_model, Inner, _fused) = (model, inner, fused ? FusedStep.Of(inner) : null);

    internal static DistributedOptimizer Over(DistributedModel model, optim.Optimizer inner, bool fused, LossScaling? lossScaling)
    {
        model.RequireSuitable(inner);
        model.ScaleLoss(lossScaling);
        return inner switch
        {
            optim.IMomentum momentum => new WithMomentum(model, inner, fused, momentum),
            optim.IBetas betas => new WithBetas(model, inner, fused, betas),
            _ => new DistributedOptimizer(model, inner, fused),
        };
    }

    internal bool IsDisposed { get; private set; }

    /// <summary>The optimizer as it was created.</summary>
    public optim.Optimizer Inner { get; }

    /// <summary>The inner optimizer's groups, whose learning rates schedulers change.</summary>
    public override IEnumerable<optim.ILearningRateController> ParamGroups => Inner.ParamGroups;

    /// <summary>Updates the parameters from their averaged gradients, clipped first if <c>sdp_gradient_clipping</c> says so.</summary>
    /// <remarks>
    /// In float16 training a step whose gradients overflow on any rank leaves the parameters of all alone and lowers the loss scale
    /// (<see cref="LossScaler"/>).
    /// </remarks>
    /// <param name="closure">Evaluates the loss anew, for the optimizers that ask for it; it must give the same on every rank.</param>
    /// <returns>The closure's loss; null without one.</returns>
    /// <exception cref="InvalidOperationException">
    /// The gradients are this rank's alone, so the ranks' parameters would differ; or they are to be clipped and not all finite.
    /// </exception>
    public override Tensor step(Func<Tensor>? closure = null)
    {
        RequireAveragedGradients();

        // It evaluates the loss several times and updates the parameters in between.
        if (Inner is LBFGS)
            return Inner.step(closure);

        // Called here, as the inner optimizer would before it updates anything, because it computes with the parameters.
        var loss = Evaluate(closure);
        if (MayUpdate())
            _model.Update(UpdateParameters);
        return loss!;
    }

    /// <summary>
    /// Lets go of all gradients of the model, which gives their memory to the next forward. A parameter that the next step does not use is
    /// then left alone by the optimizer, as in PyTorch; TorchSharp's optimizers keep gradients of zeros and go on with momentum and decay.
    /// </summary>
    public override void zero_grad() => _model.ZeroGradients();

    /// <inheritdoc/>
    public override IEnumerable<Parameter> parameters() => Inner.parameters();

    /// <summary>Adds parameters of the model to the optimizer.</summary>
    /// <param name="param_group">The parameters and their options.</param>
    public override void add_param_group(ParamGroup param_group) => Inner.add_param_group(param_group);

    private static Tensor? Evaluate(Func<Tensor>? closure)
    {
        using var _ = enable_grad();
        return closure?.Invoke();
    }

    private void UpdateParameters()
    {
        if (_fused?.TryRun() is not true)
            Inner.step();
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        IsDisposed = true;
        if (disposing)
        {
            Inner.Dispose();
            _model.LossScaler = null;
        }

        base.Dispose(disposing);
    }
}
