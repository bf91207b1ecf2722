using ShardSharp.Optimizers;
using ShardSharp.Tests.DataParallel;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Optimizers;

/// <summary>A fused step changes parameters and state as the optimizer's own step does, up to rounding.</summary>
public sealed class FusedStepTests
{
    private const int Steps = 20;

    // The two round a handful of times per step and number, each time by half an ulp at most and not always the same way. Parameters are
    // about 1 and momenta below 16, whose ulp is 1e-6; what a step's rounding leaves fades in the averages.
    private const double Bound = 1e-5;

    /// <summary>Sizes that no vector register divides, and one of several threads' shares.</summary>
    private static readonly long[][] Shapes = [[3], [17, 5], [], [40, 1000], [1, 7]];

    public static TheoryData<string> Kinds { get; } =
    [
        "Adam", "Adam decay", "Adam amsgrad", "Adam maximize decay", "AdamW", "AdamW amsgrad", "AdamW maximize", "AdamW betas", "SGD",
        "SGD decay", "SGD momentum", "SGD momentum dampening decay", "SGD nesterov decay", "SGD maximize decay",
        "SGD maximize momentum decay",
    ];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Twenty_steps_equal_the_optimizers_own_within_rounding(string kind)
    {
        var (fused, plain) = (new Subject(kind), new Subject(kind));
        var step = Required(fused.Optimizer);
        for (var i = 0; i < Steps; i++)
        {
            fused.SetGradients(i);
            plain.SetGradients(i);
            Assert.True(step.TryRun());
            plain.Optimizer.step();
        }

        MustBeClose(plain, fused, Bound);
    }

    [Theory]
    [InlineData("AdamW")]
    [InlineData("SGD momentum decay")]
    public void Double_precision_shows_that_only_rounding_differs(string kind)
    {
        var (fused, plain) = (new Subject(kind, ScalarType.Float64), new Subject(kind, ScalarType.Float64));
        var step = Required(fused.Optimizer);
        for (var i = 0; i < Steps; i++)
        {
            fused.SetGradients(i);
            plain.SetGradients(i);
            Assert.True(step.TryRun());
            plain.Optimizer.step();
        }

        MustBeClose(plain, fused, 1e-14);
    }

    [Fact]
    public void Saved_state_goes_back_and_forth_between_fused_and_own_steps()
    {
        var (mixed, plain) = (new Subject("AdamW amsgrad"), new Subject("AdamW amsgrad"));
        for (var i = 0; i < Steps; i++)
        {
            if (i % 4 == 2)
                mixed.SaveAndLoad();
            mixed.SetGradients(i);
            plain.SetGradients(i);
            if (i % 2 == 0)
                Assert.True(Required(mixed.Optimizer).TryRun());
            else
                mixed.Optimizer.step();
            plain.Optimizer.step();
        }

        MustBeClose(plain, mixed, Bound);
    }

    [Fact]
    public void A_scheduler_sets_the_rate_of_each_group()
    {
        using var slow = new Parameter(ones(8));
        using var fast = new Parameter(ones(8));
        using var optimizer = optim.SGD(
            [new SGD.ParamGroup([slow], new SGD.Options { LearningRate = 0.25 }), new SGD.ParamGroup([fast], new SGD.Options { LearningRate = 0.5 })],
            1.0);
        var scheduler = optim.lr_scheduler.StepLR(optimizer, 1, 0.5);
        for (var i = 0; i < 2; i++)
        {
            (slow.grad, fast.grad) = (ones(8), ones(8));
            Assert.True(Required(optimizer).TryRun());
            scheduler.step();
        }

        Assert.Equal(1 - 0.25 - 0.125, slow[7].item<float>());
        Assert.Equal(1 - 0.5 - 0.25, fast[7].item<float>());
    }

    [Fact]
    public void Parameters_without_gradient_are_left_alone_and_count_no_step()
    {
        using var trained = new Parameter(ones(4));
        using var unused = new Parameter(ones(4));
        using var optimizer = optim.Adam([trained, unused], 0.5, weight_decay: 0.1);
        trained.grad = ones(4);
        Assert.True(Required(optimizer).TryRun());

        Assert.Equal(1, unused[0].item<float>());
        Assert.Equal(0.5, trained[0].item<float>(), 1e-6);
        Assert.Equal([1, 0], optimizer.state_dict().State.Cast<Adam.State>().Select(state => state.step));
    }

    [Fact]
    public void A_first_step_of_adam_moves_by_the_rate_whatever_the_gradient()
    {
        foreach (var (gradient, expected) in new[] { (1e-3, 0.99f), (-5, 1.01f), (700, 0.99f) })
        {
            using var parameter = new Parameter(ones(9));
            using var optimizer = optim.AdamW([parameter], 0.01, beta1: 0.9, beta2: 0.999, eps: 0, weight_decay: 0);
            parameter.grad = full(9, gradient);
            Assert.True(Required(optimizer).TryRun());
            Assert.Equal(expected, parameter[8].item<float>(), 1e-6);
        }
    }

    [Fact]
    public void Tensors_the_kernels_cannot_walk_leave_the_step_to_the_optimizer()
    {
        using var transposed = new Parameter(ones(6, 4).t());
        using var half = new Parameter(ones(6, ScalarType.BFloat16));
        using var strided = new Parameter(ones(6, 4));
        (transposed.grad, half.grad, strided.grad) = (ones(4, 6), ones(6, ScalarType.BFloat16), ones(4, 6).t());
        foreach (var parameter in new[] { transposed, half, strided })
        {
            using var optimizer = optim.SGD([parameter], 0.5);
            Assert.False(Required(optimizer).TryRun());
            Assert.True(parameter.eq(1).all().item<bool>(), "a step was made");
        }
    }

    [Fact]
    public void Other_optimizers_have_none()
    {
        using var parameter = new Parameter(ones(2));
        using var other = optim.RMSProp([parameter]);
        using var derived = new OwnAdam([parameter]);
        Assert.Null(FusedStep.Of(other));
        Assert.Null(FusedStep.Of(derived));
    }

    private static FusedStep Required(optim.Optimizer optimizer)
    {
        var step = FusedStep.Of(optimizer);
        Assert.NotNull(step);
        return step;
    }

    private static void MustBeClose(Subject expected, Subject actual, double bound)
    {
        MustBeClose(expected.Parameters, actual.Parameters, bound);
        foreach (var (reference, value) in expected.Optimizer.state_dict().State.Zip(actual.Optimizer.state_dict().State))
        {
            Assert.Equal(StepsOf(reference), StepsOf(value));
            MustBeClose(TensorsOf(reference), TensorsOf(value), bound);
        }

        Assert.False(expected.Parameters[3].eq(new Subject("SGD").Parameters[3]).any().item<bool>(), "nothing was trained");
    }

    private static void MustBeClose(Tensor[] expected, Tensor[] actual, double bound)
    {
        Assert.Equal(expected.Length, actual.Length);
        foreach (var (reference, value) in expected.Zip(actual))
        {
            var difference = (reference - value).abs().max().to_type(ScalarType.Float64).item<double>();
            Assert.True(difference <= bound, $"differs by {difference}");
        }
    }

    private static long StepsOf(OptimizerState state) => state switch
    {
        Adam.State adam => adam.step,
        AdamW.State adam => adam.step,
        _ => 0,
    };

    private static Tensor[] TensorsOf(OptimizerState state)
    {
        Tensor?[] tensors = state switch
        {
            Adam.State adam => [adam.exp_avg, adam.exp_avg_sq, adam.max_exp_avg_sq],
            AdamW.State adam => [adam.exp_avg, adam.exp_avg_sq, adam.max_exp_avg_sq],
            SGD.State sgd => [sgd.momentum_buffer],
            _ => throw new ArgumentException($"{state} is none of a fused optimizer."),
        };
        return [.. tensors.OfType<Tensor>()];
    }

    private sealed class OwnAdam(IEnumerable<Parameter> parameters) : Adam(parameters);

    /// <summary>Parameters, with one that has a gradient in every third step only, and their optimizer.</summary>
    private sealed class Subject
    {
        private readonly ScalarType _type;
        private readonly string _kind;

        public Subject(string kind, ScalarType type = ScalarType.Float32)
        {
            (_kind, _type) = (kind, type);
            Parameters = [.. Shapes.Select((shape, i) => new Parameter(Randoms.Normal(i, shape).to_type(type)))];
            Optimizer = Create(kind, Parameters);
        }

        public Parameter[] Parameters { get; }

        public OptimizerHelper Optimizer { get; private set; }

        public void SetGradients(int step)
        {
            for (var i = 0; i < Parameters.Length; i++)
                Parameters[i].grad = i == 1 && step % 3 != 1 ? null : Randoms.Normal((step * 10) + i, Shapes[i]).to_type(_type);
        }

        public void SaveAndLoad()
        {
            using var stream = new MemoryStream();
            Optimizer.save_state_dict(new BinaryWriter(stream));
            stream.Position = 0;
            Optimizer = Create(_kind, Parameters);
            Optimizer.load_state_dict(new BinaryReader(stream));
        }

        private static OptimizerHelper Create(string kind, Parameter[] parameters)
        {
            var decay = kind.Contains("decay", StringComparison.Ordinal) ? 0.1 : 0;
            var maximize = kind.Contains("maximize", StringComparison.Ordinal);
            var nesterov = kind.Contains("nesterov", StringComparison.Ordinal);
            var momentum = nesterov || kind.Contains("momentum", StringComparison.Ordinal) ? 0.9 : 0;
            var dampening = kind.Contains("dampening", StringComparison.Ordinal) ? 0.25 : 0;
            var amsgrad = kind.Contains("amsgrad", StringComparison.Ordinal);
            return kind.Split(' ')[0] switch
            {
                "SGD" => optim.SGD(parameters, 0.02, momentum, dampening, decay, nesterov, maximize),
                "Adam" => optim.Adam(parameters, 0.02, 0.9, 0.999, 1e-8, decay, amsgrad, maximize),
                _ when kind.Contains("betas", StringComparison.Ordinal) => optim.AdamW(parameters, 0.02, 0.8, 0.95, 1e-6, 0.1),
                _ => optim.AdamW(parameters, 0.02, 0.9, 0.999, 1e-8, 0.1, amsgrad, maximize),
            };
        }
    }
}
