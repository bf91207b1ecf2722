using ShardSharp.Activations;
using ShardSharp.Testing;
using ShardSharp.Tests.DataParallel;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Activations;

/// <summary>A step by a plan stays within the budget, and takes what the plan says. Alone, since it counts what the process allocates.</summary>
[Collection(nameof(WholeProcess))]
public sealed class ActivationBudgetTests
{
    private const int Width = 128;
    private const int Samples = 512;
    private const int Layers = 6;
    private const double Activation = Width * Samples * sizeof(float) / 1048576.0;

    [Fact]
    public void Is_met_and_predicted()
    {
        // Each layer keeps four activations with what it returns, two where it keeps the result of its linear layer, and one where it computes again.
        const double Budget = ((4 * Layers) - 9 + 0.5) * Activation;
        var (plan, gradients) = Train(new ParallelConfiguration { ActivationCheckpointing = "layers", ActivationMemoryBudgetMegabytes = Budget });
        Assert.NotNull(plan);
        Assert.InRange((3 * plan.Checkpointed.Count()) + (2 * plan.SelectivelyCheckpointed.Count()), 9, 10);
        Assert.InRange(plan.MeasuredBytes!.Value, 0.95 * plan.PredictedBytes, 1.05 * plan.Budget);
        Assert.Contains("measured", plan.ToString(), StringComparison.Ordinal);
        Assert.Equal(Train(new ParallelConfiguration()).Gradients, gradients);
    }

    [Fact]
    public void That_nothing_meets_is_an_error()
    {
        var error = Assert.Throws<InvalidOperationException>(() => Train(new ParallelConfiguration
        {
            ActivationCheckpointing = "layers", ActivationMemoryBudgetMegabytes = 2 * Activation,
        }));
        Assert.Contains("activation_memory_budget_mb", error.Message, StringComparison.Ordinal);
    }

    private static (ActivationPlan? Plan, List<float[]> Gradients) Train(ParallelConfiguration configuration)
    {
        ActivationPlan? plan = null;
        List<float[]> gradients = [];
        RankHarness.RunSessions(
            1,
            session =>
            {
                using var scope = NewDisposeScope();
                using var model = session.DistributedModel(() => Randoms.Filled(nn.Sequential([.. Enumerable.Range(0, Layers).Select(_ => new Layer())])));
                for (var i = 0; i < 4; i++)
                {
                    model.ZeroGradients();
                    using var loss = model.Step(Randoms.Normal(1, Samples, Width).requires_grad_(), zeros(1), (output, _) => output.pow(2).mean());
                }

                plan = model.ActivationPlan;
                gradients = [.. model.Parameters.Select(parameter => parameter.grad!.data<float>().ToArray())];
            },
            configuration);
        return (plan, gradients);
    }

    /// <summary>Keeps the results of tanh and sigmoid, what the cosine is of, and what it returns.</summary>
    private sealed class Layer : nn.Module<Tensor, Tensor>
    {
        private readonly nn.Module<Tensor, Tensor> _linear = nn.Linear(Width, Width);

        public Layer()
            : base(nameof(Layer)) => RegisterComponents();

        public override Tensor forward(Tensor input)
        {
            var hidden = _linear.call(input).tanh().sigmoid();
            return input + (hidden.sin() * 0.5).cos();
        }
    }
}
