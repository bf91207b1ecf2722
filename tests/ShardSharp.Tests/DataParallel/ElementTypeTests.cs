using static TorchSharp.torch;

namespace ShardSharp.Tests.DataParallel;

/// <summary>Models whose parameters are not all float32.</summary>
public sealed class ElementTypeTests
{
    [Theory]
    [InlineData(ScalarType.Float64, 1e-5)]
    [InlineData(ScalarType.BFloat16, 2e-2)]
    public void Mixed_with_float32_train_as_on_one_rank(ScalarType type, double tolerance)
    {
        var trial = new Trial<Mixed>(
            () => new Mixed(type), step => [Randoms.Normal(step, 12, 6)], (module, batch) => module.call(batch[0]).pow(2).mean())
        {
            Tolerance = tolerance,
        };
        foreach (var overlap in (bool[])[true, false])
            trial.MustEqualPlainTraining(2, Trial<Mixed>.SmallBuckets with { OverlappingAllReduce = overlap });
    }

    private sealed class Mixed : nn.Module<Tensor, Tensor>
    {
        private readonly ScalarType _type;
        private readonly nn.Module<Tensor, Tensor> _first = nn.Linear(6, 16);
        private readonly nn.Module<Tensor, Tensor> _second;
        private readonly nn.Module<Tensor, Tensor> _last = nn.Linear(16, 3);

        public Mixed(ScalarType type)
            : base(nameof(Mixed))
        {
            (_type, _second) = (type, nn.Linear(16, 16, dtype: type));
            RegisterComponents();
        }

        public override Tensor forward(Tensor input) =>
            _last.call(_second.call(_first.call(input).tanh().to(_type)).relu().to(ScalarType.Float32));
    }
}
