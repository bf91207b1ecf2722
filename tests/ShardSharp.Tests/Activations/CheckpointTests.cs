using System.Runtime.InteropServices;
using ShardSharp.Testing;
using ShardSharp.Tests.DataParallel;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Activations;

/// <summary>A call of a module that is computed again in backward.</summary>
public sealed class CheckpointTests
{
    [Fact]
    public void Takes_and_returns_any_nesting_of_tensors() => OnOneRank(session =>
    {
        using var module = Randoms.Filled(new Nesting());
        var plain = Gradients(module, (left, right) => module.call((left, [right]), new Options(2, arange(3))));
        var again = Gradients(module, (left, right) => session.Checkpoint(module, (left, [right]), new Options(2, arange(3))));
        Assert.Equal(plain, again);

        List<float[]> Gradients(Nesting nesting, Func<Tensor, Tensor, Result> call)
        {
            using var scope = NewDisposeScope();
            var (left, right) = (Randoms.Normal(1, 4, 6).requires_grad_(), Randoms.Normal(2, 4, 6));
            var result = call(left, right);
            Assert.Equal(ScalarType.Int64, result.Counts["all"].dtype);
            (result.Pair.Item1.sum() + (result.Pair.Item2[0] * 3).sum() + result.Extra!.Value.Tensor.sum()).backward();
            Assert.Null(right.grad);
            var gradients = nesting.parameters().Append(left).Select(tensor => tensor.grad!.data<float>().ToArray()).ToList();
            foreach (var parameter in nesting.parameters())
                parameter.grad = null;
            return gradients;
        }
    });

    [Fact]
    public void Is_a_plain_call_where_nothing_is_recorded() => OnOneRank(session =>
    {
        using var module = nn.Linear(4, 4);
        using (no_grad())
            Assert.False(session.Checkpoint(module, ones(2, 4)).requires_grad);
        foreach (var parameter in module.parameters())
            parameter.requires_grad = false;
        Assert.False(session.Checkpoint(module, ones(2, 4)).requires_grad);
        Assert.True(session.Checkpoint(module, ones(2, 4).requires_grad_()).requires_grad);
    });

    [Fact]
    public void Takes_inputs_that_need_no_gradient() => OnOneRank(session =>
    {
        using var module = nn.Embedding(5, 4);
        session.Checkpoint(module, arange(5)).sum().backward();
        Assert.Equal(20, module.weight!.grad!.sum().item<float>());
    });

    [Theory]
    [InlineData("each")]
    [InlineData("group_2")]
    public void Of_a_sequential_member_by_member(string strategy) => OnOneRank(session =>
    {
        using var module = Randoms.Filled(nn.Sequential(nn.Linear(4, 4), nn.GELU(), nn.Linear(4, 4)));
        var plain = Gradients(module, module.call(Randoms.Normal(1, 3, 4)));
        var again = Gradients(module, session.CheckpointSequential(
            module, Randoms.Normal(1, 3, 4), ShardSharp.Activations.CheckpointStrategy.Parse(strategy)));
        Assert.Equal(plain, again);
    });

    /// <summary>A device without memory stands for a GPU.</summary>
    [Fact]
    public void Refuses_dropout_whose_random_numbers_cannot_be_drawn_again() => OnOneRank(session =>
    {
        using var module = nn.Sequential(nn.Tanh(), nn.Dropout(0.1));
        using var input = zeros([2, 4], device: META, requires_grad: true);
        var error = Assert.Throws<NotSupportedException>(() => session.Checkpoint(module, input));
        Assert.Contains("has dropout and computes on meta", error.Message, StringComparison.Ordinal);
        module.eval();
        Assert.Equal([2, 4], session.Checkpoint(module, input).shape);
    });

    [Fact]
    public void Keeps_running_means_as_one_forward_leaves_them() => OnOneRank(session =>
    {
        using var plain = Randoms.Filled(new Normalised());
        using var again = Randoms.Filled(new Normalised());
        for (var i = 0; i < 3; i++)
        {
            plain.call(Randoms.Normal(i, 8, 4)).sum().backward();
            session.Checkpoint(again, Randoms.Normal(i, 8, 4)).sum().backward();
        }

        foreach (var (one, other) in plain.buffers().Zip(again.buffers()))
            Assert.True(one.eq(other).all().item<bool>());
        Assert.Equal(Gradients(plain), Gradients(again));
    });

    [Fact]
    public void Says_who_changes_its_input() => OnOneRank(session =>
    {
        using var module = nn.Sequential(nn.ReLU(inplace: true), nn.Linear(4, 4));
        var error = Assert.Throws<NotSupportedException>(() => session.Checkpoint(module, Randoms.Normal(1, 2, 4)));
        Assert.Contains("changes its input in place", error.Message, StringComparison.Ordinal);
        Assert.True(is_grad_enabled());
    });

    [Fact]
    public void Says_whose_result_it_cannot_look_into() => OnOneRank(session =>
    {
        using var module = new Closed();
        var error = Assert.Throws<NotSupportedException>(() => session.Checkpoint(module, ones(2, 4)));
        Assert.Contains(nameof(Box), error.Message, StringComparison.Ordinal);
    });

    [Fact]
    public void A_second_backward_is_an_error() => OnOneRank(session =>
    {
        using var module = nn.Linear(4, 4);
        var output = session.Checkpoint(module, ones(2, 4)).sum();
        output.backward(retain_graph: true);
        Assert.Throws<ExternalException>(() => output.backward());
    });

    [Fact]
    public void A_failure_in_a_step_is_the_one_the_module_threw() => OnOneRank(session =>
    {
        using var model = session.DistributedModel(() => new FailsLater());
        model.SetActivationCheckpointing("_inner");
        var error = Assert.Throws<TimeZoneNotFoundException>(() => model.Step(ones(2, 4), ones(2, 4), (output, _) => output.sum()));
        Assert.Equal("the second time", error.Message);
        model.Module.Inner.Calls = -1;
        Assert.Throws<TimeZoneNotFoundException>(() => model.Step(ones(2, 4), ones(2, 4), (output, _) => output.sum()));
        Assert.True(is_grad_enabled());
        model.Module.Inner.Calls = -10;
        model.Step(ones(2, 4), ones(2, 4), (output, _) => output.sum());
    });

    private static void OnOneRank(Action<Session> test) => RankHarness.RunSessions(
        1,
        session =>
        {
            using var scope = NewDisposeScope();
            test(session);
        });

    private static List<float[]> Gradients(nn.Module module, Tensor? output = null)
    {
        output?.pow(2).sum().backward();
        var gradients = module.parameters().Select(parameter => parameter.grad!.data<float>().ToArray()).ToList();
        foreach (var parameter in module.parameters())
            parameter.grad = null;
        return gradients;
    }

    private readonly record struct Wrapped(Tensor Tensor, string Name);

    private sealed record Options(int Factor, Tensor Positions);

    private sealed record Result((Tensor, List<Tensor>) Pair, Dictionary<string, Tensor> Counts, Wrapped? Extra);

    private sealed class Nesting : nn.Module<(Tensor, Tensor[]), Options, Result>
    {
        private readonly nn.Module<Tensor, Tensor> _linear = nn.Linear(6, 6);

        public Nesting()
            : base(nameof(Nesting)) => RegisterComponents();

        public override Result forward((Tensor, Tensor[]) inputs, Options options)
        {
            var hidden = _linear.call(inputs.Item1 + inputs.Item2[0]) * options.Factor;
            return new Result(
                (hidden.tanh(), [hidden * hidden]), new Dictionary<string, Tensor> { ["all"] = options.Positions }, new Wrapped(hidden.exp(), "exp"));
        }
    }

    private sealed class Normalised : nn.Module<Tensor, Tensor>
    {
        private readonly nn.Module<Tensor, Tensor> _linear = nn.Linear(4, 4);
        private readonly nn.Module<Tensor, Tensor> _norm = nn.BatchNorm1d(4);

        public Normalised()
            : base(nameof(Normalised)) => RegisterComponents();

        public override Tensor forward(Tensor input) => _norm.call(_linear.call(input)).tanh();
    }

    private sealed class Box(Tensor content)
    {
        public Tensor Content => content;
    }

    private sealed class Closed : nn.Module<Tensor, Box>
    {
        private readonly Linear _linear = nn.Linear(4, 4);

        public Closed()
            : base(nameof(Closed)) => RegisterComponents();

        public override Box forward(Tensor input) => new(_linear.call(input));
    }

    private sealed class FailsLater : nn.Module<Tensor, Tensor>
    {
        private readonly CountedFailure _inner = new();

        public FailsLater()
            : base(nameof(FailsLater)) => RegisterComponents();

        public CountedFailure Inner => _inner;

        public override Tensor forward(Tensor input) => _inner.call(input).tanh();
    }

    private sealed class CountedFailure : nn.Module<Tensor, Tensor>
    {
        private readonly Linear _linear = nn.Linear(4, 4);

        public CountedFailure()
            : base(nameof(CountedFailure)) => RegisterComponents();

        public int Calls { get; set; }

        public override Tensor forward(Tensor input) => Calls++ is 1 or -1
            ? throw new TimeZoneNotFoundException("the second time")
            : _linear.call(input);
    }
}
