using ShardSharp.Checkpoints;
using ShardSharp.HuggingFace;
using static TorchSharp.torch;

namespace ShardSharp.Tests.HuggingFace.Weights;

/// <summary>Files that differ from what transformers writes today are read where the difference means nothing, and refused where it does.</summary>
public sealed class StoredWeightsTests
{
    [Theory]
    [InlineData("gpt2", "transformer.")]
    [InlineData("llama-tied", "model.")]
    [InlineData("gpt-neox-serial", "gpt_neox.")]
    public void Files_of_a_model_without_head_leave_out_the_prefix(string model, string prefix)
    {
        using var changed = new ChangedModel(model).WithTensors(tensors =>
        {
            foreach (var name in tensors.Keys.Where(name => name.StartsWith(prefix, StringComparison.Ordinal)).ToList())
            {
                tensors.Remove(name, out var value);
                tensors[name[prefix.Length..]] = value!;
            }
        });

        changed.MustComputeTheSame();
    }

    [Fact]
    public void Tables_that_can_be_computed_are_passed_over()
    {
        using var changed = new ChangedModel("gpt2").WithTensors(tensors =>
        {
            tensors["transformer.h.0.attn.bias"] = ones(1, 1, 128, 128).tril();
            tensors["transformer.h.0.attn.masked_bias"] = tensor(-1e4f);
        });

        changed.MustComputeTheSame();
    }

    [Fact]
    public void A_head_that_repeats_the_embedding_is_passed_over_and_one_that_differs_refused()
    {
        using var changed = new ChangedModel("gpt2").WithTensors(tensors => tensors["lm_head.weight"] = tensors["transformer.wte.weight"].clone());
        changed.MustComputeTheSame();

        changed.WithTensors(tensors => tensors["lm_head.weight"][3, 4] = 5);

        Assert.Contains("lm_head.weight", Assert.Throws<UnsupportedModelException>(() => changed.Load()).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_names_of_the_first_BERT_files_are_known()
    {
        using var changed = new ChangedModel("bert").WithTensors(tensors =>
        {
            foreach (var (ending, older) in ((string, string)[])[("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta")])
            {
                foreach (var name in tensors.Keys.Where(name => name.EndsWith(ending, StringComparison.Ordinal)).ToList())
                {
                    tensors.Remove(name, out var value);
                    tensors[name.Replace(ending, older, StringComparison.Ordinal)] = value!;
                }
            }

            tensors["cls.predictions.decoder.bias"] = tensors["cls.predictions.bias"].clone();
            tensors["cls.predictions.decoder.weight"] = tensors["bert.embeddings.word_embeddings.weight"].clone();
            tensors["cls.seq_relationship.weight"] = ones(2, 32);
            tensors["bert.pooler.dense.bias"] = ones(32);
            tensors["bert.embeddings.position_ids"] = arange(32);
        });

        changed.MustComputeTheSame();
    }

    [Fact]
    public void A_missing_parameter_is_named()
    {
        using var changed = new ChangedModel("llama").WithTensors(tensors => tensors.Remove("model.layers.2.mlp.up_proj.weight"));

        Assert.Contains("model.layers.2.mlp.up_proj.weight", Assert.Throws<SafetensorsException>(() => changed.Load()).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Tensors_without_a_parameter_are_named()
    {
        using var changed = new ChangedModel("llama").WithTensors(tensors => tensors["model.layers.0.self_attn.q_proj.bias"] = ones(64));

        Assert.Contains("q_proj.bias", Assert.Throws<UnsupportedModelException>(() => changed.Load()).Message, StringComparison.Ordinal);
    }
}
