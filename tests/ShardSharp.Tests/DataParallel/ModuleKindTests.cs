using static TorchSharp.torch;

namespace ShardSharp.Tests.DataParallel;

/// <summary>Any TorchSharp module trains, however it is called and whatever it takes and returns.</summary>
public sealed class ModuleKindTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void Several_inputs_and_a_tuple_as_output(int microbatches) => new Trial<TwoTowers>(
        () => new TwoTowers(),
        step => [Randoms.Normal(step, 12, 6), Randoms.Normal(100 + step, 12, 4), Randoms.Normal(200 + step, 12, 5)],
        (module, batch) =>
        {
            var (left, right) = module.call(batch[0], batch[1]);
            return nn.functional.mse_loss(left, batch[2]) + right.abs().mean();
        }).MustEqualPlainTraining(2, Trial<TwoTowers>.SmallBuckets with { Microbatches = microbatches });

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Children_called_through_forward(bool overlap) => new Trial<Unhooked>(
        () => new Unhooked(),
        step => [Randoms.Normal(step, 12, 6)],
        (module, batch) => module.forward(batch[0]).pow(2).mean()).MustEqualPlainTraining(
            3, Trial<Unhooked>.SmallBuckets with { OverlappingAllReduce = overlap });

    private sealed class TwoTowers : nn.Module<Tensor, Tensor, (Tensor Left, Tensor Right)>
    {
        private readonly nn.Module<Tensor, Tensor> _left = nn.Sequential(nn.Linear(6, 20), nn.Linear(20, 20));
        private readonly nn.Module<Tensor, Tensor> _right = nn.Linear(4, 20);
        private readonly nn.Module<Tensor, Tensor, Tensor> _both = nn.Bilinear(20, 20, 5);

        public TwoTowers()
            : base(nameof(TwoTowers)) => RegisterComponents();

        public override (Tensor Left, Tensor Right) forward(Tensor left, Tensor right)
        {
            var hidden = _right.call(right).tanh();
            return (_both.call(_left.call(left).tanh(), hidden), hidden);
        }
    }

    private sealed class Unhooked : nn.Module<Tensor, Tensor>
    {
        private readonly nn.Module<Tensor, Tensor> _first = nn.Linear(6, 20);
        private readonly nn.Module<Tensor, Tensor> _second = nn.Linear(20, 20);
        private readonly nn.Module<Tensor, Tensor> _last = nn.Linear(20, 3);

        public Unhooked()
            : base(nameof(Unhooked)) => RegisterComponents();

        public override Tensor forward(Tensor input) => _last.call(_second.forward(_first.forward(input).tanh()).relu());
    }
}
