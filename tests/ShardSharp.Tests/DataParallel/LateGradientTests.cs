using ShardSharp.Topology;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Tests.DataParallel;

/// <summary>A gradient that arrives after its module's backward is an error that says what to do, never a wrong average.</summary>
public sealed class LateGradientTests
{
    [Fact]
    public void Names_the_parameter_and_the_key_that_helps()
    {
        var wrong = Assert.ThrowsAny<Exception>(() => Training.MustEqualPlainTraining(2));
        Assert.Contains("'_second.weight'", wrong.Message, StringComparison.Ordinal);
        Assert.Contains("overlapping_allreduce", wrong.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Trains_with_that_key() =>
        Training.MustEqualPlainTraining(2, Trial<Forerunner>.SmallBuckets with { OverlappingAllReduce = false });

    [Fact]
    public void Modules_that_change_their_input_in_place_need_that_key_too()
    {
        var trial = new Trial<nn.Module<Tensor, Tensor>>(
            () => nn.Sequential(
                nn.Linear(6, 16), nn.Sequential(nn.ReLU(inplace: true), nn.Linear(16, 16)), nn.Linear(16, 3)),
            step => [Randoms.Normal(step, 12, 6)],
            (module, batch) => module.call(batch[0]).pow(2).mean());
        trial.MustEqualPlainTraining(2, new ParallelConfiguration { BucketCapacityMegabytes = 0.0012, OverlappingAllReduce = false });
        trial.MustEqualPlainTraining(2, new ParallelConfiguration { BucketCapacityMegabytes = 0.0012 });
    }

    private static Trial<Forerunner> Training { get; } = new(
        () => new Forerunner(), step => [Randoms.Normal(step, 12, 8)], (module, batch) => module.call(batch[0]).pow(2).mean());

    /// <summary>Uses a weight before it calls the module that the weight belongs to, which keeps it in a field.</summary>
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
}
