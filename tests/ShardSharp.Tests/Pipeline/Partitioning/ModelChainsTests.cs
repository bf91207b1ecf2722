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
        Assert.Equal(model.Parts.Count, listed.Parts.Count);
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

    private static ShardSharp.Pipeline.ModelChain Traced(Module model, IReadOnlyList<Tensor> batch) => ModelChains.Trace(model, batch).Chain;
}
