using System.Text.Json;
using System.Text.Json.Nodes;
using ShardSharp.HuggingFace;
using ShardSharp.Testing;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests.HuggingFace;

public sealed class GenerationTests
{
    /// <summary>What the greedy generation of transformers adds to a prompt, for each model.</summary>
    private static readonly JsonObject Expected =
        JsonNode.Parse(File.ReadAllText(ReferenceModels.PathOf("generated_tokens.json")))!.AsObject();

    public static TheoryData<string> Models { get; } = [.. Expected.Select(pair => pair.Key)];

    [Theory]
    [MemberData(nameof(Models))]
    public void The_likeliest_tokens_are_those_of_transformers(string name)
    {
        using var model = HuggingFaceModel.Load(ReferenceModels.PathOf(name));
        var tokens = Expected[name]!["tokens"].Deserialize<int[]>()!;
        var prompt = Expected[name]!["prompt"].Deserialize<int[]>()!;

        Assert.Equal(tokens, model.Generate(prompt, new GenerationOptions { NewTokens = 20 }));
    }

    [Fact]
    public void The_same_seed_draws_the_same_tokens()
    {
        using var model = HuggingFaceModel.Load(ReferenceModels.PathOf("llama"));
        var drawn = Draw(model, seed: 1, topK: null);

        Assert.Equal(drawn, Draw(model, seed: 1, topK: null));
        Assert.NotEqual(drawn, Draw(model, seed: 2, topK: null));
        Assert.Equal(Draw(model, 1, topK: 1), model.Generate([1, 2], new GenerationOptions { NewTokens = 12, StopTokens = [] }));
    }

    [Fact]
    public void A_stop_token_ends_the_text()
    {
        using var model = HuggingFaceModel.Load(ReferenceModels.PathOf("llama"));
        var all = model.Generate([1, 2], new GenerationOptions { NewTokens = 12, StopTokens = [] });

        var stopped = model.Generate([1, 2], new GenerationOptions { NewTokens = 12, StopTokens = [all[4]] });

        Assert.Equal(all.Take(all.Skip(2).ToList().IndexOf(all[4]) + 3), stopped);
    }

    [Fact]
    public void A_text_may_grow_past_the_positions_of_the_model_and_training_mode_stays()
    {
        using var model = HuggingFaceModel.Load(ReferenceModels.PathOf("gpt2-options"));
        model.train();

        var tokens = model.Generate([1], new GenerationOptions { NewTokens = 40, StopTokens = [] });

        Assert.Equal(41, tokens.Count);
        Assert.True(model.training);
    }

    [Fact]
    public void What_cannot_be_generated_is_refused()
    {
        using var encoder = HuggingFaceModel.Load(ReferenceModels.PathOf("bert"));
        using var decoder = HuggingFaceModel.Load(ReferenceModels.PathOf("gpt2-options"));

        Assert.Contains("BertForMaskedLM", Assert.Throws<InvalidOperationException>(() => encoder.Generate([1])).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => decoder.Generate([]));
        var random = Assert.Throws<ArgumentException>(() => decoder.Generate([1], new GenerationOptions { Temperature = 1 }));
        Assert.Contains("Generator", random.Message, StringComparison.Ordinal);
    }

    /// <summary>The stages of a pipeline get one token more each time, and every rank gets the next.</summary>
    [Theory]
    [InlineData("llama", PipelineScheduleKind.Interleaved)]
    [InlineData("gpt2", PipelineScheduleKind.ZeroBubbleV)]
    public void Stages_generate_the_same_tokens(string name, PipelineScheduleKind kind)
    {
        var prompt = Expected[name]!["prompt"].Deserialize<int[]>()!;
        var expected = Expected[name]!["tokens"].Deserialize<int[]>()!;
        RankHarness.RunSessions(
            2,
            session =>
            {
                using var outer = NewDisposeScope();
                using var model = session.DistributedModel(() => HuggingFaceModel.Load(ReferenceModels.PathOf(name)));
                model.Evaluate();
                var tokens = tensor(prompt.Select(token => (long)token).ToArray()).unsqueeze(0);
                while (tokens.shape[1] < expected.Length)
                {
                    var next = model.Forward(
                        [tokens], [], (outputs, _) => outputs[0][TensorIndex.Colon, ^1].argmax(-1), new StepOptions { Microbatches = 1 }).Concat();
                    tokens = cat([tokens, next.unsqueeze(1)], 1);
                }

                Assert.Equal(expected, tokens[0].data<long>().Select(token => (int)token));
            },
            new ParallelConfiguration { PipelineParallelDegree = 2, Pipeline = kind, Microbatches = 4, SplitTiedParameters = true });
    }

    private static IReadOnlyList<int> Draw(LanguageModel model, ulong seed, int? topK)
    {
        using var random = new Generator(seed);
        return model.Generate([1, 2], new GenerationOptions { NewTokens = 12, Temperature = 1.5, TopK = topK, Generator = random, StopTokens = [] });
    }
}
