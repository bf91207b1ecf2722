using ShardSharp.Communication;
using ShardSharp.TensorParallel;
using ShardSharp.Testing;
using ShardSharp.Tests.DataParallel;
using TorchSharp.Modules;
using static ShardSharp.TensorParallel.TensorParallelStyle;
using static TorchSharp.torch;

namespace ShardSharp.Tests.TensorParallel;

/// <summary>What only went into a residual goes with the call of the module that computed it; what a program keeps stays, or is an error.</summary>
public sealed class OutputReleaseTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Outputs_go_with_the_call_around_them_and_gradients_are_the_same(bool sequenceParallel) => RankHarness.Run(2, group =>
    {
        using var scope = NewDisposeScope();
        Tensor[][] gradients = [.. ((bool[])[false, true]).Select(releases =>
        {
            var model = Model(Use.Adds);
            using var spread = model.TensorParallelize(Plan(sequenceParallel, releases), group, []);
            model.call(Input(sequenceParallel ? group : null)).square().sum().backward();
            Assert.Equal(releases, model.First.Last!.IsInvalid);
            Assert.Equal(releases, model.Second.Last!.IsInvalid);
            return (Tensor[])[.. model.parameters().Select(parameter => parameter.grad!)];
        })];
        Assert.All(gradients[0].Zip(gradients[1]), pair => Assert.True(pair.First.eq(pair.Second).all().item<bool>()));
    });

    /// <summary>As its caller's result it is that one's caller's, and what belongs to no dispose scope the program means to keep.</summary>
    [Fact]
    public void What_is_returned_or_taken_out_of_dispose_scopes_stays() => RankHarness.Run(2, group =>
    {
        using var scope = NewDisposeScope();
        var model = Model(Use.Returns);
        using var spread = model.TensorParallelize(Plan(sequenceParallel: false), group, [Input()]);
        var result = model.call(Input());
        Assert.Same(result, model.Second.Last);
        Assert.False(result.IsInvalid);
        Assert.True(model.First.Last!.IsInvalid); // the whole model has returned something else
        var other = Model(Use.Keeps);
        using var also = other.TensorParallelize(Plan(sequenceParallel: false), group, []);
        other.call(Input());
        Assert.False(other.Second.Last!.IsInvalid);
        other.Second.Last.Dispose();
        other.First.Last!.Dispose();
    });

    [Fact]
    public void Using_it_later_is_an_error_that_says_what_to_do()
    {
        var failures = RankHarness.Capture(2, group =>
        {
            using var scope = NewDisposeScope();
            var model = Model(Use.Reads);
            using var spread = model.TensorParallelize(Plan(sequenceParallel: false), group, [Input()]);
        });
        Assert.Equal(2, failures.Count);
        Assert.All(failures, failure => Assert.Contains("needs a plan without (WithReleasedOutputs(false))",
            Assert.IsType<TensorParallelException>(failure.Failure).Message, StringComparison.Ordinal));
        RankHarness.Run(2, group =>
        {
            using var scope = NewDisposeScope();
            var model = Model(Use.Reads);
            using var spread = model.TensorParallelize(Plan(sequenceParallel: false).WithReleasedOutputs(false), group, [Input()]);
        });
    }

    private static Tensor Input(ProcessGroup? sharing = null)
    {
        var whole = arange(2 * 4 * 6, ScalarType.Float32).reshape(2, 4, 6).sin();
        return sharing is null ? whole : whole.narrow(1, 2 * sharing.Rank, 2);
    }

    private static Two Model(Use use) => Randoms.Filled(new Two(use));

    private static TensorParallelPlan Plan(bool sequenceParallel, bool releases = true) => new(new Dictionary<string, TensorParallelStyle>
    {
        ["**.Up"] = Column(), ["**.Down"] = Row(),
    })
    {
        SequenceParallel = sequenceParallel, ReleasesOutputs = releases,
    };

    private enum Use
    {
        Adds,
        Returns,
        Keeps,
        Reads,
    }

    private sealed class Network : nn.Module<Tensor, Tensor>
    {
        public readonly Linear Up = nn.Linear(6, 8);
        public readonly Linear Down = nn.Linear(8, 6);
        private readonly Use _use;

        public Network(Use use)
            : base(nameof(Network))
        {
            _use = use;
            RegisterComponents();
        }

        public Tensor? Last { get; private set; }

        public override Tensor forward(Tensor input)
        {
            Last = Down.call(nn.functional.relu(Up.call(input)));
            if (_use == Use.Keeps)
                Last.DetachFromDisposeScope();
            return _use == Use.Returns ? Last : input + Last;
        }
    }

    private sealed class Two : nn.Module<Tensor, Tensor>
    {
        public readonly Network First;
        public readonly Network Second;
        private readonly Use _use;

        public Two(Use use)
            : base(nameof(Two))
        {
            (First, Second, _use) = (new Network(use), new Network(use), use);
            RegisterComponents();
        }

        public override Tensor forward(Tensor input)
        {
            var result = Second.call(First.call(input));
            return _use == Use.Reads ? result + First.Last! : result;
        }
    }
}
