using ShardSharp.Testing;
using ShardSharp.Topology;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Tests.DataParallel;

/// <summary>
/// A gradient that arrives in several parts is an error that says what to do, never a wrong average. Only a backward inside the backward can
/// do that: autograd itself adds up all uses of a parameter first.
/// </summary>
public sealed class LateGradientTests
{
    [Fact]
    public void Names_the_parameter_and_the_key_that_helps()
    {
        var wrong = Assert.Throws<InvalidOperationException>(() => Training(() => new Recomputing()).MustEqualPlainTraining(2));
        Assert.Contains("'_block.", wrong.Message, StringComparison.Ordinal);
        Assert.Contains("overlapping_allreduce", wrong.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Trains_with_that_key() =>
        Training(() => new Recomputing()).MustEqualPlainTraining(2, NoOverlap);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Is_no_late_one_when_a_weight_is_used_before_its_module(bool accumulated) => RankHarness.RunSessions(
        2,
        session =>
        {
            using var alone = Randoms.Filled(new Forerunner());
            using var model = session.DistributedModel(() => Randoms.Filled(new Forerunner()));
            for (var step = 0; step < (accumulated ? 2 : 1); step++)
            {
                Tensor[] batch = [Randoms.Normal(step, 12, 8)];
                alone.call(batch[0]).pow(2).mean().backward();
                model.Step(Trial<Forerunner>.ShareOf(batch, session), (module, share) => module.call(share[0]).pow(2).mean());
            }

            Assert.All(model.Parameters.Zip(alone.parameters()), pair => Assert.True(pair.First.grad!.allclose(pair.Second.grad!, 1e-4, 1e-5)));
        },
        Trial<Forerunner>.SmallBuckets);

    [Fact]
    public void A_module_that_changes_its_input_in_place_is_told_of_that_key_too()
    {
        var trial = Training(() => nn.Sequential(
            nn.Linear(8, 16), nn.Sequential(nn.ReLU(inplace: true), nn.Linear(16, 8)), nn.Linear(8, 8)));
        var wrong = Assert.Throws<InvalidOperationException>(() => trial.MustEqualPlainTraining(2));
        Assert.Contains("overlapping_allreduce", wrong.Message, StringComparison.Ordinal);
        trial.MustEqualPlainTraining(2, NoOverlap);
    }

    private static ParallelConfiguration NoOverlap { get; } = Trial<nn.Module>.SmallBuckets with { OverlappingAllReduce = false };

    private static Trial<nn.Module<Tensor, Tensor>> Training(Func<nn.Module<Tensor, Tensor>> create) => new(
        create, step => [Randoms.Normal(step, 12, 8)], (module, batch) => module.call(batch[0]).pow(2).mean());

    /// <summary>Uses a weight before it calls the module that the weight belongs to.</summary>
    private sealed class Forerunner : nn.Module<Tensor, Tensor>
    {
        private readonly Linear _first = nn.Linear(8, 16);
        private readonly Linear _second = nn.Linear(16, 16);

        public Forerunner()
            : base(nameof(Forerunner)) => RegisterComponents();

        public override Tensor forward(Tensor input)
        {
            var early = nn.functional.linear(_first.call(input).tanh(), _second.weight!);
            return _second.call(early.tanh());
        }
    }

    /// <summary>Calls a module twice, each time keeping only its input and computing the rest again in backward.</summary>
    internal sealed class Recomputing : nn.Module<Tensor, Tensor>
    {
        private readonly nn.Module<Tensor, Tensor> _first = nn.Linear(8, 16);
        private readonly nn.Module<Tensor, Tensor> _block = nn.Linear(16, 16);

        public Recomputing()
            : base(nameof(Recomputing)) => RegisterComponents();

        public override Tensor forward(Tensor input)
        {
            var hidden = _first.call(input).tanh();
            return Recomputed.apply(Recomputed.apply(hidden, _block), _block);
        }
    }

    private sealed class Recomputed : autograd.SingleTensorFunction<Recomputed>
    {
        public override string Name => nameof(Recomputed);

        public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
        {
            ctx.save_for_backward([(Tensor)vars[0]]);
            ctx.save_data("block", vars[1]);
            return ((nn.Module<Tensor, Tensor>)vars[1]).call((Tensor)vars[0]);
        }

        public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
        {
            using var _ = enable_grad();
            var input = ctx.get_saved_variables()[0].detach().requires_grad_();
            ((nn.Module<Tensor, Tensor>)ctx.get_data("block")).call(input).backward([grad_output]);
            return [input.grad!, null!];
        }
    }
}
