using ShardSharp.Precision;
using ShardSharp.Testing;
using ShardSharp.Tests.DataParallel;
using ShardSharp.Topology;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Precision;

/// <summary>Training in 16-bit types with float32 masters, in every layout.</summary>
public sealed class MixedPrecisionTests
{
    // bfloat16 rounds each number to 8 bits (0.4 %), float16 to 11 (0.05 %), one way or the other; a loss is a mean over 128 tokens of what
    // some dozen roundings leave, and training multiplies early differences. In 20 steps it stays within these, relative.
    private const double BFloat16Bound = 0.03;
    private const double Float16Bound = 0.003;

    public static TheoryData<string, int, string> Layouts { get; } = new MatrixTheoryData<string, int, string>(
        ["replicated", "state", "gradients", "parameters", "hybrid"], [2, 4], ["threads", "shared memory", "hosts"]);

    [Theory]
    [MemberData(nameof(Layouts))]
    public void A_bfloat16_loss_follows_that_of_float32(string layout, int ranks, string between) =>
        MustFollow(ranks, MixedTraining.Layout(layout, ranks) with { BFloat16 = true }, between, BFloat16Bound);

    [Theory]
    [InlineData("replicated", 1)]
    [InlineData("replicated", 2)]
    [InlineData("parameters", 2)]
    [InlineData("hybrid", 4)]
    public void A_float16_loss_follows_that_of_float32_once_the_scale_has_settled(string layout, int ranks) =>
        MustFollow(ranks, MixedTraining.Layout(layout, ranks) with { Float16 = true }, "threads", Float16Bound);

    // Two ranks add two numbers, whoever does it: here not a bit depends on the layout.
    [Theory]
    [InlineData("state")]
    [InlineData("gradients")]
    [InlineData("parameters")]
    public void Masters_are_the_same_bits_however_they_are_sharded(string layout)
    {
        var replicated = Pieces(2, MixedTraining.Layout("replicated", 2) with { BFloat16 = true })[0];
        var sharded = Pieces(2, MixedTraining.Layout(layout, 2) with { BFloat16 = true });
        foreach (var (name, whole) in replicated)
            Assert.Equal<float>(whole, sharded.SelectMany(rank => rank[name]));
    }

    [Theory]
    [InlineData("replicated")]
    [InlineData("parameters")]
    public void The_module_has_the_masters_rounded_and_the_masters_the_initial_values(string layout) => RankHarness.RunSessions(
        2,
        session =>
        {
            var initial = Randoms.Normal(3, 5, 7);
            using var model = session.DistributedModel(() => Linear(initial));
            using var optimizer = session.DistributedOptimizer(model, parameters => optim.SGD(parameters, 0.125));
            Assert.True(Whole(session, model).Equals(initial.flatten()));
            for (var step = 0; step < 3; step++)
            {
                using (model.GatherParameters())
                    Assert.True(model.Module.weight!.detach().Equals(Whole(session, model).reshape(5, 7).to_type(ScalarType.BFloat16)));
                model.Step([Randoms.Normal(step, 4, 7)], (module, batch) => module.call(batch[0]).pow(2).mean()).Dispose();
                Assert.Equal(ScalarType.Float32, model.Parameters.Single().grad!.dtype);
                optimizer.step();
                optimizer.zero_grad();
            }

            Assert.False(Whole(session, model).Equals(initial.flatten()), "nothing was trained");
        },
        MixedTraining.Layout(layout, 2) with { BFloat16 = true });

    [Fact]
    public void Updates_too_small_for_the_module_add_up_in_the_masters() => RankHarness.RunSessions(
        1,
        session =>
        {
            // One step of 2^-11 does not move 1 in bfloat16, whose next number is 1 - 2^-8; eight steps do.
            using var model = session.DistributedModel(() => Linear(ones(1, 1)));
            using var optimizer = session.DistributedOptimizer(model, parameters => optim.SGD(parameters, 1.0 / 2048));
            for (var step = 1; step <= 8; step++)
            {
                model.Step([ones(1, 1)], (module, batch) => module.call(batch[0]).sum()).Dispose();
                optimizer.step();
                optimizer.zero_grad();
                Assert.Equal(1 - (step / 2048.0), model.Parameters.Single().item<float>());

                // Half way to the next number, at 4 steps, is rounded to 1, whose last bit is even.
                Assert.Equal(step <= 4 ? 1 : 1 - (1 / 256.0), model.Module.weight!.to_type(ScalarType.Float32).item<float>());
            }
        },
        new ParallelConfiguration { BFloat16 = true });

    // 256 + 1 is 257 in float32 and 256 in bfloat16.
    [Theory]
    [InlineData("replicated")]
    [InlineData("state")]
    [InlineData("parameters")]
    public void Microbatches_accumulate_in_float32(string layout) =>
        Assert.Equal(257 / 2.0, GradientOf(2, [256, 1, 256, 1], MixedTraining.Layout(layout, 2) with { BFloat16 = true, Microbatches = 2 }));

    // The mean of 256 and 1 has 9 bits.
    [Theory]
    [InlineData(FloatingPointType.Float32, 128.5)]
    [InlineData(FloatingPointType.BFloat16, 128)]
    public void Ranks_average_in_the_type_asked_for(FloatingPointType type, double expected) =>
        Assert.Equal(expected, GradientOf(2, [256, 1], MixedTraining.Layout("parameters", 2) with { BFloat16 = true, ReduceType = type }));

    [Theory]
    [InlineData("replicated", false)]
    [InlineData("parameters", false)]
    [InlineData("parameters", true)]
    [InlineData("state", true)]
    public void Clipping_works_on_the_masters_gradients(string layout, bool float16) => RankHarness.RunSessions(
        2,
        session =>
        {
            using var model = session.DistributedModel(() => Linear(zeros(2, 9)));
            using var optimizer = session.DistributedOptimizer(
                model, parameters => optim.SGD(parameters, 1), lossScaling: float16 ? LossScaling.Static(64) : null);

            // Every gradient is 2, and there are 18.
            model.Step([full([1, 9], 2.0, ScalarType.Float32)], (module, batch) => module.call(batch[0]).sum()).Dispose();
            Assert.Equal(Math.Sqrt(18 * 4), optimizer.ClipGradients(1), 1e-6);
            optimizer.step();
            Assert.True(Whole(session, model).allclose(full(18, -1 / Math.Sqrt(18), ScalarType.Float32), 1e-5));
        },
        MixedTraining.Layout(layout, 2) with { BFloat16 = !float16, Float16 = float16 });

    private static void MustFollow(int ranks, ParallelConfiguration mixed, string between, double bound)
    {
        var expected = Losses(ranks, mixed with { BFloat16 = false, Float16 = false }, "threads");
        var actual = Losses(ranks, mixed, between);
        Assert.True(expected[^1] < 0.7 * expected[0], $"float32 learned nothing: {expected[0]} to {expected[^1]}");
        var largest = expected.Zip(actual, (reference, loss) => Math.Abs((loss / reference) - 1)).Max();
        Assert.True(largest is > 0 && largest <= bound, $"the losses differ by {largest}");
    }

    private static double[] Losses(int ranks, ParallelConfiguration configuration, string between)
    {
        double[] losses = [];
        RankHarness.RunSessions(
            ranks,
            session =>
            {
                var (mine, _) = MixedTraining.Train(session);
                if (session.IsFirstRank)
                    losses = mine;
            },
            configuration,
            MixedTraining.Between(between, ranks));
        return losses;
    }

    private static Dictionary<string, float[]>[] Pieces(int ranks, ParallelConfiguration configuration)
    {
        var pieces = new Dictionary<string, float[]>[ranks];
        RankHarness.RunSessions(ranks, session => pieces[session.Rank] = MixedTraining.Train(session).Pieces, configuration);
        return pieces;
    }

    /// <summary>The gradient of w in w * x, over samples of one number.</summary>
    private static double GradientOf(int ranks, float[] samples, ParallelConfiguration configuration)
    {
        var gradient = double.NaN;
        RankHarness.RunSessions(
            ranks,
            session =>
            {
                using var model = session.DistributedModel(() => Linear(ones(1, 1)));
                var share = samples.Length / session.Size;
                using var mine = tensor(samples[(session.Rank * share)..((session.Rank + 1) * share)]).reshape(share, 1);
                model.Step([mine], (module, batch) => module.call(batch[0]).mean()).Dispose();
                if (model.Parameters.Single() is { } piece && piece.numel() == 1)
                    gradient = piece.grad!.item<float>();
                session.Groups.World.Barrier();
            },
            configuration);
        return gradient;
    }

    private static Tensor Whole(Session session, DistributedModel<Linear> model)
    {
        var mine = model.Parameters.Single().detach().flatten().data<float>().ToArray();
        return tensor(session.Groups.Shard.AllGatherObject(mine).SelectMany(part => part).ToArray());
    }

    private static Linear Linear(Tensor weight)
    {
        var linear = nn.Linear(weight.shape[1], weight.shape[0], hasBias: false);
        using var _ = no_grad();
        linear.weight!.copy_(weight);
        return linear;
    }
}
