using ShardSharp.Checkpoints;
using ShardSharp.HuggingFace;
using ShardSharp.TensorParallel;
using ShardSharp.Testing;
using ShardSharp.Tests.Checkpoints;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests.HuggingFace;

/// <summary>Adapters of layers that span ranks: they are divided as these are, and compute and learn what they do on one rank.</summary>
public sealed class TensorParallelLoraTests
{
    /// <summary>Relative to the norm of the whole tensor of which a rank has its part; only the order of sums differs.</summary>
    private const double Tolerance = 1e-5;

    /// <summary>Columns that are fused, heads that several ranks hold, experts, and norms behind layers; all linears of Llama, the head's too.</summary>
    [Theory]
    [InlineData("gpt2", 2, true)]
    [InlineData("gpt2", 4, false)]
    [InlineData("llama", 2, false)]
    [InlineData("llama", 4, true)]
    [InlineData("mixtral", 2, true)]
    [InlineData("bert", 2, true)]
    [InlineData("qwen3", 4, false)]
    [InlineData("gpt-neox", 2, false)]
    public void Losses_and_gradients_are_those_of_one_rank(string name, int ranks, bool sequenceParallel) => Compare(
        name, ranks, new LoraOptions { Rank = 3, Alpha = 6, Targets = name == "llama" ? ["*"] : [] },
        model => model.TensorParallelPlan.WithSequenceParallelism(sequenceParallel));

    [Theory]
    [InlineData("gpt2", 2, true)]
    [InlineData("bert", 2, false)]
    [InlineData("llama", 4, true)]
    public void They_are_with_automatic_plans_too(string name, int ranks, bool sequenceParallel) => Compare(
        name, ranks, new LoraOptions { Rank = 3, Alpha = 6 }, model =>
        {
            using var example = arange(8, ScalarType.Int64).reshape(1, 8);
            var plan = TensorParallelPlan.Automatic(model, ranks, example).WithSequenceParallelism(sequenceParallel);
            var adapted = model.Adapters!.Targets;
            Assert.Contains(plan.Styles, style => style.Value.Description.StartsWith("column-parallel", StringComparison.Ordinal) && adapted.Contains(style.Key));
            return plan;
        });

    /// <summary>Ranks of a group drop the same of an input that all have, and each its own of one that is divided.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Dropout_before_adapters_leaves_what_is_whole_alike_on_all_ranks(bool sequenceParallel)
    {
        var norms = RankHarness.Run(2, group =>
        {
            using var scope = NewDisposeScope();
            using var reference = new ReferenceFile(ReferenceModels.PathOf("llama"));
            using var model = Adapted("llama", new LoraOptions { Rank = 3, Dropout = 0.5 });
            using var spread = model.TensorParallelize(model.TensorParallelPlan.WithSequenceParallelism(sequenceParallel), group);
            model.train();
            spread.CrossEntropy(model.call(reference["input_ids"]), reference["labels"]).backward();
            return model.named_parameters().Where(named => named.parameter.requires_grad && spread.Layouts.Of(named.name, named.parameter).IsWhole)
                .ToDictionary(named => named.name, named => named.parameter.grad!.norm().item<float>());
        });

        Assert.NotEmpty(norms[0]);
        Assert.Equal(norms[0], norms[1]);
        Assert.All(norms[0], norm => Assert.True(norm.Value > 0, norm.Key));
    }

    [Fact]
    public void Adapters_of_layers_whose_style_does_not_say_how_are_refused_by_name()
    {
        const string Layer = "model.layers.0.self_attn.q_proj";
        var plan = new TensorParallelPlan(new Dictionary<string, TensorParallelStyle>
        {
            [Layer] = TensorParallelStyle.Custom(new Dictionary<string, int> { ["weight"] = 0 }),
        });

        var failures = RankHarness.Capture(2, group =>
        {
            using var model = Adapted("llama", new LoraOptions { Rank = 3, Targets = ["q_proj"] });
            using var spread = model.TensorParallelize(plan, group);
        });

        Assert.Equal(2, failures.Count);
        Assert.All(failures, failure => Assert.Contains($"'{Layer}' has an adapter", failure.Failure.Message, StringComparison.Ordinal));
    }

    /// <summary>What one layout saved another loads, adapters, what is frozen, and AdamW's state of the adapters.</summary>
    [Fact]
    public void Checkpoints_of_adapters_fit_any_layout()
    {
        using var folder = new TemporaryFolder();
        (int Ranks, ParallelConfiguration Configuration)[] layouts =
        [
            (1, new ParallelConfiguration()),
            (2, new ParallelConfiguration { TensorParallelDegree = 2, PrescaledBatch = true }),
            (4, new ParallelConfiguration { TensorParallelDegree = 4, PrescaledBatch = true }),
            (4, new ParallelConfiguration { TensorParallelDegree = 2, ShardedDataParallelDegree = 2, PrescaledBatch = true, ShardedPersistenceThreshold = 10 }),
        ];
        foreach (var (i, layout) in layouts.Index())
        {
            RankHarness.RunSessions(
                layout.Ranks,
                session =>
                {
                    using var scope = NewDisposeScope();
                    using var model = session.DistributedModel(() => Adapted("llama", new LoraOptions { Rank = 3 }));
                    using var optimizer = session.DistributedOptimizer(
                        model, parameters => optim.AdamW(parameters.Where(parameter => parameter.requires_grad), 1e-2));
                    if (i == 0)
                    {
                        using var reference = new ReferenceFile(ReferenceModels.PathOf("llama"));
                        using var output = model.Step(reference["input_ids"], reference["input_ids"], LanguageModelLoss.NextToken);
                        optimizer.step();
                        optimizer.zero_grad();
                    }
                    else
                    {
                        session.ResumeFromCheckpoint(folder.Path, $"{i - 1}");
                    }

                    session.SaveCheckpoint(folder.Path, $"{i}");
                    model.SaveAdapters(folder[$"adapters{i}"]);
                },
                layout.Configuration);
        }

        var first = Contents(folder["0_partial"]);
        Assert.Contains(first.Keys, name => name.StartsWith("optimizer/", StringComparison.Ordinal) && name.EndsWith("lora_B.weight", StringComparison.Ordinal));
        foreach (var i in Enumerable.Range(1, layouts.Length - 1))
        {
            var other = Contents(folder[$"{i}_partial"]);
            Assert.Equal(first.Keys.Order(StringComparer.Ordinal), other.Keys.Order(StringComparer.Ordinal));
            Assert.All(first, tensor => Assert.True(tensor.Value.AsSpan().SequenceEqual(other[tensor.Key]), $"{tensor.Key} in layout {i}"));
            Assert.Equal(
                File.ReadAllBytes(folder["adapters0/adapter_model.safetensors"]), File.ReadAllBytes(folder[$"adapters{i}/adapter_model.safetensors"]));
        }
    }

    private static Dictionary<string, byte[]> Contents(string checkpoint)
    {
        using var scope = NewDisposeScope();
        using var reader = CheckpointReader.Open(checkpoint);
        return reader.Index.Tensors.Select(tensor => tensor.Name).Where(name => !name.StartsWith("random/", StringComparison.Ordinal))
            .ToDictionary(name => name, name => reader.Read(name).bytes.ToArray());
    }

    private static void Compare(string name, int ranks, LoraOptions options, Func<LanguageModel, TensorParallelPlan> planOf)
    {
        using var scope = NewDisposeScope();
        using var reference = new ReferenceFile(ReferenceModels.PathOf(name));
        using var whole = Adapted(name, options);
        var expected = LanguageModelLoss.Aligned(whole.call(reference["input_ids"]), reference["labels"]);
        expected.backward();
        var gradients = whole.named_parameters().Where(named => named.parameter.requires_grad).ToDictionary(named => named.name, named => named.parameter.grad!);
        RankHarness.Run(ranks, group =>
        {
            using var inner = NewDisposeScope();
            using var own = new ReferenceFile(ReferenceModels.PathOf(name));
            using var model = Adapted(name, options);
            using var spread = model.TensorParallelize(planOf(model), group);

            var loss = spread.CrossEntropy(model.call(own["input_ids"]), own["labels"]);
            loss.backward();

            Assert.Equal(expected.item<float>(), loss.item<float>(), Tolerance * expected.item<float>());
            var parameters = model.named_parameters().ToDictionary(named => named.name, named => named.parameter);
            foreach (var (parameter, gradient) in gradients)
            {
                var value = parameters[parameter];
                var part = spread.Layouts.Of(parameter, value).Slice(gradient);
                Assert.Equal(part.shape, value.grad!.shape);
                var (difference, norm) = ((value.grad! - part).norm().item<float>(), gradient.norm().item<float>());
                Assert.True(difference <= Tolerance * norm, $"{parameter} differs by {difference}, and its norm is {norm}");
            }

            Assert.Contains(gradients.Keys, parameter => !spread.Layouts.Of(parameter, parameters[parameter]).IsWhole);
        });
    }

    /// <summary>A model with adapters that matter, the same on each call.</summary>
    private static LanguageModel Adapted(string name, LoraOptions options)
    {
        var model = HuggingFaceModel.Load(ReferenceModels.PathOf(name));
        LoraAdapters.Attach(model, options);
        using var unrecorded = no_grad();
        using var scope = NewDisposeScope();
        using var random = new Generator(5);
        foreach (var parameter in model.parameters().Where(parameter => parameter.requires_grad))
            parameter.copy_(randn(parameter.shape, generator: random) * 0.1);
        return model;
    }
}
