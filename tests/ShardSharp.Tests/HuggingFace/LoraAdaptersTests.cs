using ShardSharp.Checkpoints;
using ShardSharp.HuggingFace;
using ShardSharp.Testing;
using ShardSharp.Tests.Checkpoints;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests.HuggingFace;

public sealed class LoraAdaptersTests
{
    private static readonly LoraOptions Options = new() { Rank = 3, Alpha = 6 };

    [Theory]
    [InlineData("gpt2")]
    [InlineData("llama-tied")]
    [InlineData("mixtral-window")]
    [InlineData("bert")]
    public void Adapters_change_nothing_at_first_and_are_all_that_is_trained(string name)
    {
        using var scope = NewDisposeScope();
        using var reference = new ReferenceFile(ReferenceModels.PathOf(name));
        using var model = HuggingFaceModel.Load(ReferenceModels.PathOf(name));
        var before = model.call(reference["input_ids"]);

        var adapters = LoraAdapters.Attach(model, Options);

        var after = model.call(reference["input_ids"]);
        Assert.True(before.eq(after).all().item<bool>());
        Assert.DoesNotContain(adapters.Targets, target => target.StartsWith("lm_head", StringComparison.Ordinal) || target.StartsWith("cls", StringComparison.Ordinal));
        LanguageModelLoss.Aligned(after, reference["labels"]).backward();
        Assert.Equal(
            adapters.Targets.SelectMany(target => (string[])[$"{target}.lora_A.weight", $"{target}.lora_B.weight"]).Order(StringComparer.Ordinal),
            model.named_parameters().Where(named => named.parameter.grad is not null).Select(named => named.name).Order(StringComparer.Ordinal));
    }

    [Theory]
    [InlineData("gpt2")]
    [InlineData("llama-tied")]
    public void Merging_and_saving_give_plain_models_that_compute_the_same(string name)
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        using var reference = new ReferenceFile(ReferenceModels.PathOf(name));
        using var model = HuggingFaceModel.Load(ReferenceModels.PathOf(name));
        var (names, original) = (NamesOf(model), model.call(reference["input_ids"]));
        var adapters = LoraAdapters.Attach(model, Options);
        Disturb(model);
        var expected = model.call(reference["input_ids"]);
        Assert.True(Distance(original, expected) > 1e-2);

        model.SaveHuggingFace(folder["saved"]);
        adapters.Merge();

        Assert.True(Distance(expected, model.call(reference["input_ids"])) <= 1e-6);
        Assert.Equal(names, NamesOf(model));
        Assert.Null(model.Adapters);
        Assert.All(model.parameters(), parameter => Assert.True(parameter.requires_grad));
        using var saved = HuggingFaceModel.Load(folder["saved"]);
        Assert.Equal(0, Distance(model.call(reference["input_ids"]), saved.call(reference["input_ids"])));
        Assert.Throws<InvalidOperationException>(adapters.Merge);
    }

    [Fact]
    public void Saved_adapters_load_again()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        using var reference = new ReferenceFile(ReferenceModels.PathOf("gpt2"));
        using var model = HuggingFaceModel.Load(ReferenceModels.PathOf("gpt2"));
        var adapters = LoraAdapters.Attach(model, Options with { Targets = ["c_attn", "h.0.mlp.*"] });
        Disturb(model);
        adapters.Save(folder["adapters"]);

        using var other = HuggingFaceModel.Load(ReferenceModels.PathOf("gpt2"));
        var loaded = LoraAdapters.Load(other, folder["adapters"]);

        Assert.Equal(adapters.Targets, loaded.Targets);
        Assert.Equal((adapters.Options.Rank, adapters.Options.Alpha), (loaded.Options.Rank, loaded.Options.Alpha));
        Assert.Equal(0, Distance(model.call(reference["input_ids"]), other.call(reference["input_ids"])));
    }

    [Fact]
    public void Adapters_of_another_kind_or_shape_are_refused_and_leave_the_model_alone()
    {
        using var folder = new TemporaryFolder();
        using var model = HuggingFaceModel.Load(ReferenceModels.PathOf("gpt2"));
        var names = NamesOf(model);
        LoraAdapters.Attach(model, Options).Save(folder["adapters"]);
        model.Adapters!.Merge();
        var configuration = Path.Combine(folder["adapters"], "adapter_config.json");
        var text = File.ReadAllText(configuration);

        File.WriteAllText(configuration, text.Replace("{", "{ \"use_dora\": true,", StringComparison.Ordinal));
        Assert.Contains("use_dora", Assert.Throws<UnsupportedModelException>(() => LoraAdapters.Load(model, folder["adapters"])).Message, StringComparison.Ordinal);

        File.WriteAllText(configuration, text.Replace("\"r\": 3", "\"r\": 4", StringComparison.Ordinal));
        Assert.Contains("lora_A", Assert.Throws<InvalidDataException>(() => LoraAdapters.Load(model, folder["adapters"])).Message, StringComparison.Ordinal);
        Assert.Equal(names, NamesOf(model));
    }

    [Fact]
    public void Targets_that_do_not_fit_are_named()
    {
        using var model = HuggingFaceModel.Load(ReferenceModels.PathOf("llama-tied"));

        var unknown = Assert.Throws<ArgumentException>(() => LoraAdapters.Attach(model, new LoraOptions { Targets = ["c_attn"] }));
        var tied = Assert.Throws<ArgumentException>(() => LoraAdapters.Attach(model, new LoraOptions { Targets = ["lm_head"] }));

        Assert.Contains("c_attn", unknown.Message, StringComparison.Ordinal);
        Assert.Contains("q_proj", unknown.Message, StringComparison.Ordinal);
        Assert.Contains("embedding", tied.Message, StringComparison.Ordinal);
        Assert.All(model.parameters(), parameter => Assert.True(parameter.requires_grad));
    }

    /// <summary>Only the order of sums differs: AdamW's first steps divide small gradients by themselves, so the bound is not tighter.</summary>
    [Theory]
    [InlineData(2, 1, 1, 1)]
    [InlineData(2, 2, 1, 1)]
    [InlineData(2, 1, 2, 1)]
    [InlineData(4, 1, 2, 1)]
    [InlineData(2, 1, 1, 2)]
    [InlineData(4, 2, 1, 2)]
    [InlineData(4, 1, 2, 2)]
    [InlineData(4, 1, 1, 4)]
    public void Ranks_train_adapters_as_one_does(int ranks, int shards, int stages, int tensor)
    {
        using var folder = new TemporaryFolder();
        var expected = Train(1, new ParallelConfiguration(), folder["one"]);

        var losses = Train(
            ranks,
            new ParallelConfiguration
            {
                ShardedDataParallelDegree = shards, ShardedPersistenceThreshold = 10, PipelineParallelDegree = stages,
                TensorParallelDegree = tensor, PrescaledBatch = tensor > 1, ShardOptimizerState = ranks > stages * tensor && stages > 1,
            },
            folder["two"]);

        Assert.Equal(5, losses.Count);
        Assert.All(expected.Zip(losses), pair => Assert.Equal(pair.First, pair.Second, 1e-5 * pair.First));
        foreach (var file in (string[])["adapters/adapter_model.safetensors", "model/model.safetensors"])
        {
            using var scope = NewDisposeScope();
            using var one = SafetensorsFile.Open(Path.Combine(folder["one"], file));
            using var two = SafetensorsFile.Open(Path.Combine(folder["two"], file));
            Assert.All(one.Entries, entry => Assert.True(Distance(one.Read(entry.Name), two.Read(entry.Name)) <= 1e-4, entry.Name));
        }
    }

    private static List<double> Train(int ranks, ParallelConfiguration configuration, string folder)
    {
        var path = ReferenceModels.PathOf("llama");
        List<double> losses = [];
        RankHarness.RunSessions(
            ranks,
            session =>
            {
                using var scope = NewDisposeScope();
                using var reference = new ReferenceFile(path);
                using var model = session.DistributedModel(() => Adapted(path));
                using var optimizer = session.DistributedOptimizer(
                    model, parameters => optim.AdamW(parameters.Where(parameter => parameter.requires_grad), 1e-2));
                var data = session.Groups.ReducedData;
                var rows = reference["input_ids"].shape[0] / data.Size;
                model.Train();
                for (var step = 0; step < 5; step++)
                {
                    using var output = model.Step(
                        reference["input_ids"].narrow(0, data.Rank * rows, rows), reference["input_ids"].narrow(0, data.Rank * rows, rows),
                        LanguageModelLoss.NextToken);
                    var loss = session.MeanOverDataRanks(output.ReduceMean());
                    if (session.IsFirstRank)
                        losses.Add(loss);
                    optimizer.step();
                    optimizer.zero_grad();
                }

                // Every rank generates: where parameters are sharded, they are gathered for it.
                if (session.Configuration.PipelineParallelDegree == 1)
                    Assert.Equal(8, model.Module.Generate([1, 2, 3], new GenerationOptions { NewTokens = 5, StopTokens = [] }).Count);
                if (session.IsFirstRank)
                    Directory.CreateDirectory(folder);
                model.SaveHuggingFace(Path.Combine(folder, "model"));
                model.SaveAdapters(Path.Combine(folder, "adapters"));
            },
            configuration);
        return losses;
    }

    /// <summary>A model whose adapters are the same on each call, whoever else takes random numbers.</summary>
    private static LanguageModel Adapted(string path)
    {
        var model = HuggingFaceModel.Load(path);
        LoraAdapters.Attach(model, Options);
        Disturb(model);
        return model;
    }

    /// <summary>Gives all adapters numbers that matter.</summary>
    private static void Disturb(LanguageModel model)
    {
        using var unrecorded = no_grad();
        using var scope = NewDisposeScope();
        using var random = new Generator(5);
        foreach (var parameter in model.parameters().Where(parameter => parameter.requires_grad))
            parameter.copy_(randn(parameter.shape, generator: random) * 0.1);
    }

    private static string[] NamesOf(LanguageModel model) => [.. model.named_parameters().Select(named => named.name)];

    private static float Distance(Tensor expected, Tensor actual) => ((actual - expected).norm() / expected.norm()).item<float>();
}
