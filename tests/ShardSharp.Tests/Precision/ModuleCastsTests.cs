using ShardSharp.Precision;
using ShardSharp.Testing;
using ShardSharp.Topology;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Precision;

/// <summary>What a module sees and returns in mixed precision.</summary>
public sealed class ModuleCastsTests
{
    [Fact]
    public void Floating_point_tensors_are_cast_wherever_they_are()
    {
        using var numbers = ones(2);
        using var indices = arange(2);
        Assert.Equal(ScalarType.BFloat16, Cast(numbers, ScalarType.BFloat16).dtype);
        Assert.Same(numbers, Cast(numbers, ScalarType.Float32));
        Assert.Same(indices, Cast(indices, ScalarType.BFloat16));
        var (first, (second, third), name) = Cast((numbers, (indices, numbers), "n"), ScalarType.Float16);
        Assert.Equal((ScalarType.Float16, ScalarType.Int64, ScalarType.Float16, "n"), (first.dtype, second.dtype, third.dtype, name));
        Assert.Equal(ScalarType.Float16, Cast(new[] { numbers }, ScalarType.Float16)[0].dtype);
        Assert.Equal(ScalarType.Float16, Cast(new List<Tensor> { numbers }, ScalarType.Float16)[0].dtype);
        Assert.Equal(ScalarType.Float16, Cast(new Dictionary<string, Tensor> { ["a"] = numbers }, ScalarType.Float16)["a"].dtype);

        static T Cast<T>(T value, ScalarType type) => (T)ModuleCasts.Cast(value, type)!;
    }

    [Theory]
    [InlineData(null, ScalarType.BFloat16, FloatingPointType.Float32, ScalarType.Float32)]
    [InlineData(FloatingPointType.Float32, ScalarType.Float32, FloatingPointType.BFloat16, ScalarType.BFloat16)]
    [InlineData(FloatingPointType.Float16, ScalarType.Float16, FloatingPointType.Float16, ScalarType.Float16)]
    public void A_model_sees_its_types_in_steps_and_evaluation(
        FloatingPointType? buffers, ScalarType buffersSeen, FloatingPointType output, ScalarType returned) => RankHarness.RunSessions(
        1,
        session =>
        {
            using var model = session.DistributedModel(() => new Witness());
            using var numbers = ones(1, 3);
            using var indices = arange(3);
            model.Step([numbers, indices], (module, batch) => Called(module, batch).pow(2).sum()).Dispose();
            using var evaluation = model.Forward([numbers, indices], Called);
            Assert.Equal((ScalarType.BFloat16, ScalarType.Int64, ScalarType.BFloat16, buffersSeen), model.Module.Seen);

            Tensor Called(Witness module, IReadOnlyList<Tensor> batch)
            {
                var (result, same) = module.call(batch[0], batch[1]);
                Assert.Equal((returned, ScalarType.Int64), (result.dtype, same.dtype));
                return result;
            }
        },
        new ParallelConfiguration { BFloat16 = true, BufferType = buffers, OutputType = output });

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Normalisation_learns_its_statistics(bool float16) => RankHarness.RunSessions(
        2,
        session =>
        {
            using var model = session.DistributedModel(() => nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)));
            using var optimizer = session.DistributedOptimizer(model, parameters => optim.AdamW(parameters, 0.01), lossScaling: float16 ? LossScaling.Static(8) : null);
            model.Step([randn(6, 4)], (module, batch) => module.call(batch[0]).pow(2).sum()).Dispose();
            optimizer.step();
            var mean = model.Module.named_buffers().Single(buffer => buffer.name == "1.running_mean").buffer;
            Assert.Equal(float16 ? ScalarType.Float16 : ScalarType.BFloat16, mean.dtype);
            Assert.True(mean.ne(0).all().item<bool>());
        },
        new ParallelConfiguration { Float16 = float16, BFloat16 = !float16, ShardOptimizerState = true });

    [Fact]
    public void A_module_that_is_not_called_is_refused() => RankHarness.RunSessions(
        1,
        session => Assert.Contains(
            "nn.Module<", Assert.Throws<NotSupportedException>(() => session.DistributedModel(() => new Uncalled())).Message, StringComparison.Ordinal),
        new ParallelConfiguration { BFloat16 = true });

    private sealed class Uncalled() : nn.Module(nameof(Uncalled));

    /// <summary>Notes the types of its inputs, weight and buffer.</summary>
    private sealed class Witness : nn.Module<Tensor, Tensor, (Tensor, Tensor)>
    {
        private readonly Linear _linear = nn.Linear(3, 3);
        private readonly Tensor _offset = zeros(3);

        public Witness() : base(nameof(Witness))
        {
            register_buffer("_offset", _offset);
            register_module("_linear", _linear);
        }

        public (ScalarType Numbers, ScalarType Indices, ScalarType Weight, ScalarType Buffer) Seen { get; private set; }

        public override (Tensor, Tensor) forward(Tensor numbers, Tensor indices)
        {
            Seen = (numbers.dtype, indices.dtype, _linear.weight!.dtype, _offset.dtype);
            return (_linear.call(numbers) + _offset, indices);
        }
    }
}
