using ShardSharp.TensorParallel;
using ShardSharp.TensorParallel.Layers;
using ShardSharp.Testing;
using ShardSharp.Tests.DataParallel;
using ShardSharp.Topology;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Tests.TensorParallel.Replacement;

/// <summary>Modules that the session replaces: which, by what, and what is refused.</summary>
[Collection(nameof(WholeProcess))]
public sealed class ReplacementTests
{
    private static readonly ParallelConfiguration TwoRanks = new() { TensorParallelDegree = 2, PrescaledBatch = true };

    [Fact]
    public void Marked_modules_are_replaced_and_compute_the_same() => RankHarness.RunSessions(2, session =>
    {
        using var scope = NewDisposeScope();
        Tensor? expected = null;
        using var model = session.DistributedModel(() =>
        {
            var made = new Net();
            using (no_grad())
                expected = made.call(Tokens());
            session.SetTensorParallelism(made);
            return made;
        });
        var net = model.Module;
        Assert.IsType<DistributedEmbedding>(net.Words);
        Assert.IsType<DistributedLinear>(net.First);
        Assert.IsType<DistributedLinear>(net.Rest[0]);
        Assert.IsType<DistributedLinear>(net.Listed[0]);
        Assert.Equal(["words.weight", "first.weight", "first.bias", "rest.0.weight", "rest.0.bias", "listed.0.weight", "listed.0.bias"], net.named_parameters().Select(named => named.name));
        Assert.Equal(["first.weight", "listed.0.weight", "rest.0.weight", "words.weight"], model.Layouts.Names.Order());
        Assert.Equal([8, 4], net.First.get_parameter("weight")!.shape);
        Assert.True(expected!.allclose(net.call(Tokens()), 1e-5, 1e-5));
    }, TwoRanks);

    [Fact]
    public void The_innermost_mark_decides() => RankHarness.RunSessions(2, session =>
    {
        using var model = session.DistributedModel(() => session.TensorParallelism(() =>
        {
            var made = new Net();
            session.SetTensorParallelism(made.First, false);
            return made;
        }));
        Assert.IsType<Linear>(model.Module.First);
        Assert.IsType<DistributedLinear>(model.Module.Rest[0]);
    }, TwoRanks);

    [Fact]
    public void Modules_created_with_tensor_parallelism_off_inside_stay() => RankHarness.RunSessions(2, session =>
    {
        using var model = session.DistributedModel(() => session.TensorParallelism(() => new Holder(
            session.TensorParallelism(() => nn.Linear(8, 8), enabled: false), nn.Linear(8, 8))));
        Assert.IsType<Linear>(model.Module.Left);
        Assert.IsType<DistributedLinear>(model.Module.Right);
    }, TwoRanks);

    [Fact]
    public void Modules_created_in_a_scope_are_replaced_and_those_of_an_inner_one_that_is_off_stay() => RankHarness.RunSessions(2, session =>
    {
        using var model = session.DistributedModel(() =>
        {
            var before = new Net();
            using var stage = session.Partition(0);
            using var on = session.TensorParallelism();
            var within = new Net();
            Linear left, right;
            using (session.TensorParallelism(enabled: false))
            using (session.Partition(0))
                left = nn.Linear(8, 8);
            using (session.TensorParallelism(enabled: false))
            {
                right = nn.Linear(8, 8);
                session.SetTensorParallelism(right);
            }

            return new Holder(new Holder(before, within), new Holder(new Holder(left, right), nn.Linear(8, 8)));
        });
        var (nets, others) = ((Holder)model.Module.Left, (Holder)model.Module.Right);
        Assert.IsType<Linear>(((Net)nets.Left).First);
        Assert.IsType<DistributedLinear>(((Net)nets.Right).First);
        Assert.IsType<DistributedEmbedding>(((Net)nets.Right).Words);
        Assert.IsType<Linear>(((Holder)others.Left).Left);
        Assert.IsType<DistributedLinear>(((Holder)others.Left).Right);
        Assert.IsType<DistributedLinear>(others.Right);
    }, TwoRanks);

    [Fact]
    public void A_scope_on_one_rank_keeps_its_modules() => RankHarness.RunSessions(1, session =>
    {
        using var model = session.DistributedModel(() =>
        {
            using var on = session.TensorParallelism();
            return new Net();
        });
        Assert.IsType<Linear>(model.Module.First);
    });

    [Fact]
    public void One_rank_keeps_its_modules() => RankHarness.RunSessions(1, session =>
    {
        using var model = session.DistributedModel(() => session.TensorParallelism(() => new Net()));
        Assert.IsType<Linear>(model.Module.First);
    });

    [Fact]
    public void A_module_of_ones_own_takes_the_place_of_another_with_hooks() => RankHarness.RunSessions(2, session =>
    {
        session.TensorParallelRegistry.Register<Doubling>(
            (replaced, ranks) => new DistributedLinear(replaced.Inner, ranks),
            forward: given => [((Tensor)given[0]!) + (Tensor)given[1]!],
            returned: result => ((Tensor)result!, 2 * ((Tensor)result!)));
        using var scope = NewDisposeScope();
        Tensor input = Randoms.Normal(1, 2, 8), expected = zeros(1);
        using var model = session.DistributedModel(() =>
        {
            var made = new Caller();
            expected = made.call(input);
            return session.TensorParallelism(() => made);
        });
        Assert.Equal("Adapted`3", model.Module.Inner.GetType().Name);
        Assert.Equal(["inner.distributed.weight", "inner.distributed.bias"], model.Module.named_parameters().Select(named => named.name));
        Assert.True(expected.allclose(model.Module.call(input), 1e-5, 1e-5));
    }, TwoRanks);

    [Fact]
    public void Fields_that_cannot_hold_the_replacement_are_named() => RankHarness.RunSessions(2, session => RequireRefusal(
        session, () => new Sealed(), "field '_linear' of Sealed is of type Linear. Declare it as Module<Tensor, Tensor>"), TwoRanks);

    [Fact]
    public void Children_in_no_field_are_named() => RankHarness.RunSessions(2, session => RequireRefusal(
        session, () => new Unheld(), "holds its child 'linear', a Linear, in no field"), TwoRanks);

    [Fact]
    public void Shared_parameters_are_named() => RankHarness.RunSessions(2, session => RequireRefusal(
        session, () => new Tied(), "other modules have its parameter 'weight' too"), TwoRanks);

    [Fact]
    public void Sizes_that_ranks_do_not_divide_are_named_with_degrees_that_work() => RankHarness.RunSessions(2, session => RequireRefusal(
        session, () => new Holder(nn.Linear(9, 4), nn.Linear(8, 4)), "Tensor-parallel degrees that work: 1, 3, 9."), TwoRanks);

    [Fact]
    public void A_registered_model_itself_is_refused() => RankHarness.RunSessions(2, session => RequireRefusal(
        session, () => nn.Linear(8, 8), "Only what a model holds can be replaced"), TwoRanks);

    private static void RequireRefusal<TModule>(Session session, Func<TModule> create, string message)
        where TModule : nn.Module
    {
        var failure = Assert.Throws<TensorParallelException>(() => session.DistributedModel(() => session.TensorParallelism(create)));
        Assert.Contains(message, failure.Message, StringComparison.Ordinal);
    }

    private static Tensor Tokens() => tensor(new long[] { 1, 2, 3, 4 }).reshape(2, 2);

    private sealed class Net : nn.Module<Tensor, Tensor>
    {
        public Net()
            : base(nameof(Net))
        {
            register_module("words", Words);
            register_module("first", First);
            register_module("rest", Rest);
            register_module("listed", Listed);
        }

        public nn.Module<Tensor, Tensor> Words { get; } = nn.Embedding(6, 8);

        public nn.Module<Tensor, Tensor> First { get; } = nn.Linear(8, 8);

        public Sequential Rest { get; } = nn.Sequential(nn.Linear(8, 8), nn.GELU());

        public ModuleList<nn.Module<Tensor, Tensor>> Listed { get; } = new(nn.Linear(8, 4));

        public override Tensor forward(Tensor tokens) => Listed[0].call(Rest.call(First.call(Words.call(tokens))));
    }

    private sealed class Holder : nn.Module<Tensor, Tensor>
    {
        public Holder(nn.Module<Tensor, Tensor> left, nn.Module<Tensor, Tensor> right)
            : base(nameof(Holder))
        {
            (Left, Right) = (left, right);
            register_module("left", left);
            register_module("right", right);
        }

        public nn.Module<Tensor, Tensor> Left { get; }

        public nn.Module<Tensor, Tensor> Right { get; }

        public override Tensor forward(Tensor input) => Left.call(input) + Right.call(input);
    }

    private sealed class Sealed : nn.Module<Tensor, Tensor>
    {
        private readonly Linear _linear = nn.Linear(8, 8);

        public Sealed()
            : base(nameof(Sealed)) => register_module("linear", _linear);

        public override Tensor forward(Tensor input) => _linear.call(input);
    }

    private sealed class Unheld : nn.Module<Tensor, Tensor>
    {
        public Unheld()
            : base(nameof(Unheld)) => register_module("linear", nn.Linear(8, 8));

        public override Tensor forward(Tensor input) => input;
    }

    private sealed class Tied : nn.Module<Tensor, Tensor>
    {
        private readonly nn.Module<Tensor, Tensor> _words = nn.Embedding(8, 8);
        private readonly Linear _head = nn.Linear(8, 8, hasBias: false);

        public Tied()
            : base(nameof(Tied))
        {
            _head.weight = ((Embedding)_words).weight!;
            register_module("words", _words);
            register_module("head", _head);
        }

        public override Tensor forward(Tensor input) => _head.call(_words.call(input));
    }

    /// <summary>Takes two tensors and returns two, unlike a linear layer.</summary>
    private sealed class Doubling : nn.Module<Tensor, Tensor, (Tensor Once, Tensor Twice)>
    {
        public Doubling()
            : base(nameof(Doubling)) => register_module("inner", Inner);

        public Linear Inner { get; } = nn.Linear(8, 4);

        public override (Tensor Once, Tensor Twice) forward(Tensor first, Tensor second)
        {
            var once = Inner.call(first + second);
            return (once, 2 * once);
        }
    }

    private sealed class Caller : nn.Module<Tensor, Tensor>
    {
        public Caller()
            : base(nameof(Caller)) => register_module("inner", Inner);

        public nn.Module<Tensor, Tensor, (Tensor Once, Tensor Twice)> Inner { get; } = new Doubling();

        public override Tensor forward(Tensor input)
        {
            var (once, twice) = Inner.call(input, input);
            return once + twice;
        }
    }
}
