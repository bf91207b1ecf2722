using ShardSharp.Checkpoints;
using ShardSharp.HuggingFace;
using ShardSharp.Testing;
using ShardSharp.Tests.Checkpoints;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests.HuggingFace;

/// <summary>Full checkpoints under transformers' names, from and to models whose names and layout are others.</summary>
public sealed class TranslationTests
{
    [Theory]
    [InlineData("gpt2", 2, 1)]
    [InlineData("gpt2", 1, 2)]
    [InlineData("mixtral-window", 1, 2)]
    [InlineData("bert", 2, 1)]
    public void What_is_translated_and_saved_is_the_file_of_transformers(string name, int tensor, int stages)
    {
        using var folder = new TemporaryFolder();
        var path = ReferenceModels.PathOf(name);
        RankHarness.RunSessions(
            2,
            session =>
            {
                using var scope = NewDisposeScope();
                using var model = session.DistributedModel(() => HuggingFaceModel.Load(path));
                session.SaveCheckpoint(folder.Path, "whole", partial: false, translate: model.Module.ToHuggingFace);
                model.SaveHuggingFace(folder["saved"]);

                model.Update(() =>
                {
                    using var unrecorded = no_grad();
                    foreach (var (_, parameter) in model.NamedParameters)
                        parameter.zero_();
                });
                session.ResumeFromCheckpoint(folder.Path, "whole", partial: false, translate: model.Module.FromHuggingFace);
                using var loaded = HuggingFaceModel.Load(path);
                var expected = loaded.named_parameters().ToDictionary(named => named.name, named => named.parameter);
                var state = model.StateDict(firstRankOnly: true);
                Assert.All(state, tensor => Assert.True(tensor.Value.eq(expected[tensor.Key]).all().item<bool>(), tensor.Key));
                Assert.Equal(session.IsFirstRank ? expected.Count : 0, state.Count);
            },
            new ParallelConfiguration { TensorParallelDegree = tensor, PipelineParallelDegree = stages, PrescaledBatch = tensor > 1, SplitTiedParameters = true });

        using var scope = NewDisposeScope();
        using var original = SafetensorsFile.Open(Path.Combine(path, "model.safetensors"));
        foreach (var written in (string[])["whole", "saved"])
        {
            using var file = SafetensorsFile.Open(Path.Combine(folder[written], "model.safetensors"));
            Assert.Equal(original.Entries.Select(entry => entry.Name).Order(), file.Entries.Select(entry => entry.Name).Order());
            Assert.All(original.Entries, entry => Assert.True(original.Read(entry.Name).eq(file.Read(entry.Name)).all().item<bool>(), entry.Name));
        }
    }

    [Fact]
    public void Translations_that_do_not_fit_are_refused_on_all_ranks()
    {
        using var folder = new TemporaryFolder();
        RankHarness.RunSessions(2, session =>
        {
            using var scope = NewDisposeScope();
            using var model = session.DistributedModel(() => HuggingFaceModel.Load(ReferenceModels.PathOf("gpt2")));
            session.SaveCheckpoint(folder.Path, "whole", partial: false, translate: model.Module.ToHuggingFace);

            var shape = Assert.Throws<CheckpointException>(() => session.ResumeFromCheckpoint(folder.Path, "whole", partial: false));
            Assert.Contains("transformer.h.0.attn.c_attn.weight has shape [64, 192]", shape.Message, StringComparison.Ordinal);
            var missing = Assert.Throws<CheckpointException>(
                () => session.ResumeFromCheckpoint(folder.Path, "whole", partial: false, translate: _ => new Dictionary<string, Tensor>()));
            Assert.Contains("the checkpoint has no model/transformer", missing.Message, StringComparison.Ordinal);
            Assert.Throws<ArgumentException>(() => session.SaveCheckpoint(folder.Path, translate: model.Module.ToHuggingFace));
        });
    }

    /// <summary>transformers writes the embedding a second time under the head's name in some files.</summary>
    [Fact]
    public void A_repeated_head_must_be_the_embedding_it_is_tied_to()
    {
        using var scope = NewDisposeScope();
        using var model = HuggingFaceModel.Load(ReferenceModels.PathOf("llama-tied"));
        var state = model.ToHuggingFace(model.named_parameters().ToDictionary(named => named.name, named => (Tensor)named.parameter))
            .ToDictionary(tensor => tensor.Key, tensor => tensor.Value.detach());
        state["lm_head.weight"] = state["model.embed_tokens.weight"].clone();
        Assert.Equal(model.named_parameters().Count(), model.FromHuggingFace(state).Count);

        state["lm_head.weight"][0, 0] += 1;

        var refusal = Assert.Throws<UnsupportedModelException>(() => model.FromHuggingFace(state));
        Assert.Contains("lm_head.weight differs from model.embed_tokens.weight", refusal.Message, StringComparison.Ordinal);
    }

    /// <summary>A tiny GPT-2 in two files of torch.save, with logits that transformers computed.</summary>
    [Fact]
    public void Files_of_torch_save_load_too()
    {
        using var scope = NewDisposeScope();
        var path = Repository.PathOf("tests/data/pickled_model");
        using var model = HuggingFaceModel.Load(path);
        using var expected = SafetensorsFile.Open(Path.Combine(path, "reference.safetensors"));
        var logits = model.call(expected.Read("input_ids"));
        Assert.True(((logits - expected.Read("logits")).norm() / expected.Read("logits").norm()).item<float>() < 1e-5f);
    }

    [Fact]
    public void A_file_of_torch_save_that_is_missing_is_named()
    {
        using var folder = new TemporaryFolder();
        var path = Repository.PathOf("tests/data/pickled_model");
        File.Copy(Path.Combine(path, "config.json"), folder["config.json"]);
        File.Copy(Path.Combine(path, "pytorch_model.bin.index.json"), folder["pytorch_model.bin.index.json"]);
        Assert.Contains("pytorch_model-00001", Assert.Throws<FileNotFoundException>(() => HuggingFaceModel.Load(folder.Path)).Message, StringComparison.Ordinal);
    }
}
