using ShardSharp.HuggingFace;
using ShardSharp.Pipeline.Partitioning;
using ShardSharp.Tests.HuggingFace;
using ShardSharp.Tests.Pipeline.Tracing;
using TrainGpt.Model;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace ShardSharp.Tests.Pipeline.Partitioning;

public sealed class ModelChainsTests
{
    [Fact]
    public void A_sequence_is_cut_at_any_depth_listed_or_traced()
    {
        using var scope = NewDisposeScope();
        using var model = Sequential(
            ("a", Linear(4, 4)), ("b", Sequential(("c", ReLU()), ("d", Sequential(("e", Linear(4, 4)), ("f", Dropout(0.5)))))), ("g", Linear(4, 2)));
        Tensor[] batch = [randn(3, 4)];

        var traced = Traced(model, batch);

        Assert.Equal(["a", "b.c", "b.d.e", "b.d.f", "g"], Chains.Names(traced));
        Assert.Equal(Chains.Names(traced), Chains.Names(ModelChains.List(model)!));
        Chains.AssertComputes(traced, model, batch, tensors => model.call(tensors[0]));
        Chains.AssertComputes(ModelChains.List(model)!, model, batch, tensors => model.call(tensors[0]));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_users_model_is_cut_between_its_layers(bool derived)
    {
        using var scope = NewDisposeScope();
        using var model = new MaskedModel(derived: derived);
        Tensor[] batch = [randint(11, [2, 5], ScalarType.Int64), rand(2, 5), randint(11, [2, 5], ScalarType.Int64)];

        var chain = Traced(model, batch);

        Assert.Equal(["start", "_layers.0", "_layers.1", "_layers.2", "_norm", "_head"], Chains.Names(chain));
        Chains.AssertComputes(chain, model, batch, tensors => model.call(tensors[0], tensors[1]));

        // The mask of the batch does not travel; what is computed from it does.
        Assert.Equal(derived ? 2 : 1, chain.Parts[0].Run([], batch).Count);
        Chains.AssertComputes(chain, model, [randint(11, [7, 5], ScalarType.Int64), rand(7, 5)], tensors => model.call(tensors[0], tensors[1]));
    }

    [Fact]
    public void Records_and_tuples_are_taken_apart_and_put_together()
    {
        using var scope = NewDisposeScope();
        using var model = new StreamsModel();
        Tensor[] batch = [randn(3, 6)];

        var chain = Traced(model, batch);

        Assert.Equal(["_first", "_second", "_third", "_last"], Chains.Names(chain));
        Chains.AssertComputes(chain, model, batch, tensors => model.call(tensors[0]));
    }

    [Fact]
    public void What_a_later_part_needs_passes_those_between()
    {
        using var scope = NewDisposeScope();
        using var model = new SkippingModel();
        Tensor[] batch = [randn(3, 6)];

        var chain = Traced(model, batch);

        Assert.Equal(["_down", "_bottom", "_up", "_head"], Chains.Names(chain));
        Assert.Equal(2, chain.Parts[1].Run(chain.Parts[0].Run([], batch), batch).Count);
        Chains.AssertComputes(chain, model, batch, tensors => model.call(tensors[0]));
    }

    [Fact]
    public void The_sample_can_be_cut()
    {
        using var scope = NewDisposeScope();
        using var model = new Gpt(new GptSettings(13, 6, 8, 2, 2));
        Tensor[] batch = [randint(13, [2, 6], ScalarType.Int64)];

        var chain = Traced(model, batch);

        Assert.Equal(["start", "_blocks.0", "_blocks.1", "_norm", "_head"], Chains.Names(chain));
        Chains.AssertComputes(chain, model, batch, tensors => model.call(tensors[0]));
    }

    [Theory]
    [MemberData(nameof(ReferenceModels.All), MemberType = typeof(ReferenceModels))]
    public void Language_models_are_cut_into_the_parts_that_they_list(string name)
    {
        using var scope = NewDisposeScope();
        using var reference = new ReferenceFile(ReferenceModels.PathOf(name));
        using var model = HuggingFaceModel.Load(ReferenceModels.PathOf(name));
        Tensor[] batch = [reference["input_ids"]];

        var (traced, listed) = (Traced(model, batch), ModelChains.List(model)!);

        Assert.True(traced.Parts.Count >= model.Parts.Count);
        Assert.Equal(model.Parts.Count + listed.Composites.Count, listed.Parts.Count);
        Assert.Equal(listed.Composites.Count > 0, listed.Parts.Any(part => part.Name.EndsWith("_halves.1", StringComparison.Ordinal)));
        Chains.AssertComputes(traced, model, batch, tensors => model.call(tensors[0]));
        Chains.AssertComputes(listed, model, batch, tensors => model.call(tensors[0]));
    }

    [Fact]
    public void A_trace_changes_nothing()
    {
        using var scope = NewDisposeScope();
        using var model = Sequential(BatchNorm1d(4), Dropout(0.5), Linear(4, 4));
        Tensor[] batch = [randn(5, 4)];
        var before = model.buffers().Select(buffer => buffer.clone()).ToArray();
        manual_seed(8);
        var next = rand(1).item<float>();
        manual_seed(8);

        ModelChains.Trace(model, batch);

        Assert.Equal(next, rand(1).item<float>());
        Assert.All(before.Zip(model.buffers()), pair => Assert.True(equal(pair.First, pair.Second).all().item<bool>()));
        Assert.All(model.parameters(), parameter => Assert.Null(parameter.grad));
    }

    [Fact]
    public void A_module_that_writes_to_its_input_stays_with_the_one_before()
    {
        using var scope = NewDisposeScope();
        using var model = Sequential(("a", Linear(4, 4)), ("b", ReLU(inplace: true)), ("c", Linear(4, 4)));
        Tensor[] batch = [randn(3, 4)];

        var chain = Traced(model, batch);

        Assert.Equal(["a", "c"], Chains.Names(chain));
        Chains.AssertComputes(chain, model, batch, tensors => model.call(tensors[0]));
    }

    [Fact]
    public void What_is_written_to_the_microbatch_is_written_to_a_copy()
    {
        using var scope = NewDisposeScope();
        using var model = Sequential(("a", ReLU(inplace: true)), ("b", Linear(4, 4)));
        Tensor[] batch = [-ones(3, 4)];

        var (chain, _) = ModelChains.Trace(model, batch);
        PartCosts.Measure(chain, model, batch);

        Assert.Equal(-12, batch[0].sum().item<float>());
    }

    [Theory]
    [InlineData(0, "input 0 of 'second' is tensor 0 of the microbatch, written to since")]
    [InlineData(1, "'second' is called with 2, which may differ from batch to batch")]
    [InlineData(2, "input 0 of 'second', after 'first', is what no module returned")]
    [InlineData(3, "output 0 of the model was computed after 'second', its last call")]
    public void A_break_is_told_by_what_breaks_it(int kind, string why)
    {
        using var scope = NewDisposeScope();
        using var model = new Breaking(kind);

        var (chain, breaks) = ModelChains.Trace(model, [randn(3, 4)]);

        Assert.Single(chain.Parts);
        Assert.Contains(why, Assert.Single(breaks).ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_result_of_another_kind_than_in_the_trace_is_an_error()
    {
        using var scope = NewDisposeScope();
        using var model = new Changing();
        var (chain, _) = ModelChains.Trace(model, [ones(2)]);

        var failure = Assert.Throws<InvalidOperationException>(() => chain.Parts[0].Run([], [ones(3)]));

        Assert.Contains("'lists' returned something else than when the model was traced: it was Tensor[] of 2 and is Tensor[] of 3", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_model_that_is_not_called_is_an_error()
    {
        using var scope = NewDisposeScope();
        using var model = Linear(2, 2);

        Assert.Throws<InvalidOperationException>(() => ModelChains.Trace(model, [ones(2)], tensors => model.forward(tensors[0])));
        Assert.Throws<InvalidOperationException>(() => ModelChains.Trace(model, [ones(2)], tensors => model.call(model.call(tensors[0]))));
        Assert.Equal(2, model.call(ones(2)).numel());
    }

    private static ShardSharp.Pipeline.ModelChain Traced(Module model, IReadOnlyList<Tensor> batch) => ModelChains.Trace(model, batch).Chain;

    private sealed class Breaking : Module<Tensor, Tensor>
    {
        private readonly int _kind;
        private readonly TorchSharp.Modules.Linear _first = Linear(4, 4);
        private readonly Scaled _second = new();

        public Breaking(int kind)
            : base(nameof(Breaking))
        {
            _kind = kind;
            register_module("first", _first);
            register_module("second", _second);
        }

        public override Tensor forward(Tensor input) => _kind switch
        {
            0 => _second.call(input.add_(1), 0),
            1 => _second.call(_first.call(input), 2),
            2 => _second.call(_first.call(input).relu(), 0),
            _ => _second.call(_first.call(input), 0).relu(),
        };
    }

    private sealed class Scaled() : Module<Tensor, int, Tensor>(nameof(Scaled))
    {
        public override Tensor forward(Tensor input, int by) => input * by;
    }

    private sealed class Changing : Module<Tensor, Tensor>
    {
        private readonly Lists _lists = new();
        private readonly Joins _joins = new();

        public Changing()
            : base(nameof(Changing))
        {
            register_module("lists", _lists);
            register_module("joins", _joins);
        }

        public override Tensor forward(Tensor input) => _joins.call(_lists.call(input));

        private sealed class Lists() : Module<Tensor, Tensor[]>(nameof(Lists))
        {
            public override Tensor[] forward(Tensor input) => [.. Enumerable.Repeat(input, (int)input.numel())];
        }

        private sealed class Joins() : Module<Tensor[], Tensor>(nameof(Joins))
        {
            public override Tensor forward(Tensor[] input) => cat(input);
        }
    }
}
