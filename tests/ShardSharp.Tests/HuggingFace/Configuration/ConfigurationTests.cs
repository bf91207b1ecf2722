using System.Text.Json.Nodes;
using ShardSharp.HuggingFace;

namespace ShardSharp.Tests.HuggingFace.Configuration;

/// <summary>What cannot be run as transformers runs it is refused by name; what older versions write means the same.</summary>
public sealed class ConfigurationTests
{
    [Theory]
    [InlineData("gpt2", "model_type", "\"t5\"", "t5")]
    [InlineData("gpt2", "architectures", """["GPT2ForSequenceClassification"]""", "GPT2ForSequenceClassification")]
    [InlineData("gpt2", "activation_function", "\"xielu\"", "xielu")]
    [InlineData("gpt2", "add_cross_attention", "true", "add_cross_attention")]
    [InlineData("gpt2", "is_encoder_decoder", "true", "is_encoder_decoder")]
    [InlineData("gpt2", "pruned_heads", """{"0": [1]}""", "pruned_heads")]
    [InlineData("gpt2", "quantization_config", """{"bits": 4}""", "quantization_config")]
    [InlineData("gpt2", "n_layer", "0", "n_layer")]
    [InlineData("gpt2", "resid_pdrop", "1", "resid_pdrop")]
    [InlineData("gpt2", "attention_sinks", "4", "attention_sinks")]
    [InlineData("llama", "rope_parameters", """{"rope_type": "dynamic", "factor": 2.0}""", "dynamic")]
    [InlineData("llama", "rope_parameters", """{"rope_type": "longrope", "factor": 2.0}""", "longrope")]
    [InlineData("llama", "rope_scaling", """{"type": "su", "factor": 2.0}""", "su")]
    [InlineData("llama", "rope_parameters", """{"rope_type": "default", "wobble": 2.0}""", "rope_parameters.wobble")]
    [InlineData("llama", "tie_word_embeddings", "true", "lm_head.weight differs")]
    [InlineData("llama", "sliding_window", "16", "sliding_window")]
    [InlineData("mixtral", "output_router_logits", "true", "output_router_logits")]
    [InlineData("mixtral", "router_jitter_noise", "0.1", "router_jitter_noise")]
    [InlineData("qwen2", "layer_types", """["full_attention", "chunked_attention"]""", "chunked_attention")]
    [InlineData("bert", "position_embedding_type", "\"relative_key\"", "relative_key")]
    [InlineData("bert", "is_decoder", "true", "is_decoder")]
    [InlineData("bert", "tie_word_embeddings", "false", "tie_word_embeddings")]
    [InlineData("roberta", "pad_token_id", "null", "pad_token_id")]
    [InlineData("gptj", "rotary_dim", "null", "rotary_dim")]
    public void What_is_not_supported_is_refused_by_name(string model, string key, string value, string named)
    {
        using var changed = new ChangedModel(model).With(configuration => configuration[key] = JsonNode.Parse(value));

        Assert.Contains(named, Assert.Throws<UnsupportedModelException>(() => changed.Load()).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("gpt2", "n_layer", "\"four\"", "n_layer")]
    [InlineData("gpt2", "scale_attn_weights", "1", "scale_attn_weights")]
    [InlineData("gpt2", "n_head", "5", "multiple of n_head")]
    [InlineData("gpt2", "n_positions", "64", "wpe.weight")]
    [InlineData("llama", "num_key_value_heads", "3", "num_key_value_heads")]
    [InlineData("llama", "head_dim", "8", "q_proj.weight")]
    [InlineData("llama", "rope_parameters", """{"rope_type": "linear"}""", "factor")]
    [InlineData("llama", "rope_parameters", "7", "rope_parameters")]
    [InlineData("mixtral", "num_experts_per_tok", "5", "num_experts_per_tok")]
    [InlineData("gptj", "rotary_dim", "3", "rotary_dim")]
    [InlineData("gpt-neox", "rotary_pct", "3.5", "cannot be rotated")]
    [InlineData("qwen2", "use_sliding_window", "false", "layer_types")]
    [InlineData("qwen2", "layer_types", """["full_attention"]""", "layer_types")]
    public void What_makes_no_sense_is_refused_by_name(string model, string key, string value, string named)
    {
        using var changed = new ChangedModel(model).With(configuration =>
        {
            configuration[key] = JsonNode.Parse(value);
            if (key.StartsWith("rotary_pct", StringComparison.Ordinal))
                configuration.Remove("rope_parameters");
        });

        Assert.Contains(named, Assert.Throws<InvalidDataException>(() => changed.Load()).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_key_that_is_known_to_change_nothing_can_be_let_through()
    {
        using var changed = new ChangedModel("gpt2").With(configuration => configuration["release_notes"] = "none");

        Assert.Contains("release_notes", Assert.Throws<UnsupportedModelException>(() => changed.Load()).Message, StringComparison.Ordinal);
        using var model = changed.Load(new LoadOptions { IgnoredKeys = ["release_notes"] });
        Assert.Equal("none", model.Configuration["release_notes"]!.GetValue<string>());
    }

    [Theory]
    [InlineData("llama-tied")]
    [InlineData("llama-linear")]
    [InlineData("qwen3")]
    public void Rotary_scaling_may_be_written_as_older_versions_wrote_it(string model)
    {
        using var changed = new ChangedModel(model).With(configuration =>
        {
            var parameters = configuration["rope_parameters"]!.DeepClone().AsObject();
            configuration.Remove("rope_parameters");
            configuration["rope_theta"] = parameters["rope_theta"]!.DeepClone();
            parameters["type"] = parameters["rope_type"]!.DeepClone();
            parameters.Remove("rope_type");
            parameters.Remove("rope_theta");
            configuration["rope_scaling"] = parameters;
        });

        changed.MustComputeTheSame();
    }

    [Fact]
    public void Partial_rotation_may_be_written_as_older_versions_wrote_it()
    {
        using var changed = new ChangedModel("gpt-neox-serial").With(configuration =>
        {
            configuration.Remove("rope_parameters");
            configuration["rotary_pct"] = 0.5;
            configuration["rotary_emb_base"] = 100;
        });

        changed.MustComputeTheSame();
    }

    [Fact]
    public void Windows_follow_from_their_number_where_layers_have_no_types()
    {
        using var changed = new ChangedModel("qwen2").With(configuration => configuration.Remove("layer_types"));

        changed.MustComputeTheSame();
    }

    [Fact]
    public void Keys_that_are_absent_have_the_defaults_of_transformers()
    {
        using var changed = new ChangedModel("gpt2").With(configuration =>
        {
            foreach (var key in (string[])["activation_function", "scale_attn_weights", "tie_word_embeddings", "layer_norm_epsilon", "n_inner"])
                configuration.Remove(key);
        });

        changed.MustComputeTheSame();
    }

    [Theory]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("""{"model_type": "gpt2", "model_type": "llama"}""")]
    public void A_damaged_file_is_refused(string text)
    {
        using var folder = new Tests.Checkpoints.TemporaryFolder();
        File.WriteAllText(folder["config.json"], text);

        Assert.Contains("config.json", Assert.Throws<InvalidDataException>(() => HuggingFaceModel.Load(folder.Path)).Message, StringComparison.Ordinal);
    }
}
