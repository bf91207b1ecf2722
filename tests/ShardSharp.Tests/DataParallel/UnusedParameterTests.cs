using static TorchSharp.torch;

namespace ShardSharp.Tests.DataParallel;

/// <summary>Parameters that a loss does not depend on, on all ranks or on some.</summary>
public sealed class UnusedParameterTests
{
    private static readonly Func<IEnumerable<TorchSharp.Modules.Parameter>, optim.Optimizer> DecayingAdam =
        parameters => optim.AdamW(parameters, 0.05, weight_decay: 0.5);

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Stay_as_they_are_when_frozen(bool overlap) => TrialOf(module => module.Freeze(module.Second)).MustEqualPlainTraining(
        2, Trial<Experts>.SmallBuckets with { OverlappingAllReduce = overlap });

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Train_from_the_step_on_in_which_they_are_thawed(bool overlap)
    {
        var trial = TrialOf(module => module.Freeze(module.Second)) with
        {
            BeforeStep = (step, module) => module.Freeze(step < 2 ? module.Second : module.First),
        };
        trial.MustEqualPlainTraining(2, Trial<Experts>.SmallBuckets with { OverlappingAllReduce = overlap });
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Keep_no_gradient_and_do_not_decay_when_no_rank_uses_them(bool overlap)
    {
        var trial = TrialOf(_ => { }) with { Batch = step => [Randoms.Normal(step, 12, 5), zeros(12)] };
        Assert.Contains(trial.TrainAlone(), parameter => !parameter.HasGradient);
        trial.MustEqualPlainTraining(3, Trial<Experts>.SmallBuckets with { OverlappingAllReduce = overlap });
    }

    [Theory]
    [InlineData(2, true)]
    [InlineData(2, false)]
    [InlineData(4, true)]
    [InlineData(4, false)]
    public void Count_as_zero_on_the_ranks_that_do_not_use_them(int ranks, bool overlap)
    {
        // The first half of the samples goes through one expert and the second through the other, so each rank misses one of them. Their
        // gradients differ in size: ranks that reduced them in different orders would be told that their collectives do not match.
        var trial = TrialOf(_ => { }) with
        {
            Batch = step => [Randoms.Normal(step, 12, 5), cat([zeros(6), ones(6)])],
        };
        Assert.All(trial.TrainAlone(), parameter => Assert.True(parameter.HasGradient, parameter.Name));
        trial.MustEqualPlainTraining(ranks, Trial<Experts>.SmallBuckets with { OverlappingAllReduce = overlap });
    }

    private static Trial<Experts> TrialOf(Action<Experts> prepare) => new(
        () =>
        {
            var module = new Experts();
            prepare(module);
            return module;
        },
        step => [Randoms.Normal(step, 12, 5), arange(12) % 2],
        (module, batch) => module.call(batch[0], batch[1]))
    { Optimizer = DecayingAdam };

    /// <summary>Sends each sample through the expert of its kind, and calls no expert without samples.</summary>
    internal sealed class Experts : nn.Module<Tensor, Tensor, Tensor>
    {
        private readonly nn.Module<Tensor, Tensor> _common = nn.Linear(5, 16);

        public Experts()
            : base(nameof(Experts)) => RegisterComponents();

        public nn.Module<Tensor, Tensor> First { get; } = nn.Sequential(nn.Linear(16, 24), nn.GELU(), nn.Linear(24, 2));

        public nn.Module<Tensor, Tensor> Second { get; } = nn.Sequential(nn.Linear(16, 40), nn.Tanh(), nn.Linear(40, 2));

        public void Freeze(nn.Module frozen)
        {
            foreach (var parameter in parameters())
                parameter.requires_grad = true;
            foreach (var parameter in frozen.parameters())
                parameter.requires_grad = false;
        }

        public override Tensor forward(Tensor samples, Tensor kinds)
        {
            var hidden = _common.call(samples).relu();
            var loss = zeros(1);
            foreach (var (kind, expert) in new[] { First, Second }.Index())
            {
                var rows = hidden[kinds == kind];
                if (rows.shape[0] > 0)
                    loss = loss + expert.call(rows).pow(2).sum();
            }

            return loss / samples.shape[0];
        }
    }
}
