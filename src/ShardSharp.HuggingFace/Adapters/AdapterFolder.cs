using System.Text.Json;
using System.Text.Json.Nodes;
using ShardSharp.Checkpoints;
using ShardSharp.HuggingFace.Configuration;
using ShardSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Adapters;

/// <summary>Adapters in the files that PEFT writes: <c>adapter_config.json</c> and <c>adapter_model.safetensors</c>.</summary>
internal static class AdapterFolder
{
    private const string ConfigurationFile = "adapter_config.json";
    private const string WeightsFile = "adapter_model.safetensors";
    private const string Prefix = "base_model.model.";

    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    /// <param name="folder">Where to.</param>
    /// <param name="options">What the adapters were made with.</param>
    /// <param name="model">The model that they are for.</param>
    /// <param name="layers">The adapters.</param>
    /// <param name="parameters">Their parameters, whole, by their names in the model.</param>
    public static void Write(
        string folder, LoraOptions options, LanguageModel model, IReadOnlyList<LoraLayer> layers, IReadOnlyDictionary<string, Tensor> parameters) =>
        AtomicFolder.Write(folder, partial =>
        {
            var transposed = layers.Any(layer => model.Architecture.IsTransposed($"{layer.Name}.weight"));
            var configuration = new JsonObject
            {
                ["peft_type"] = "LORA",
                ["task_type"] = model.Task == ModelTask.CausalLanguageModel ? "CAUSAL_LM" : null,
                ["base_model_name_or_path"] = null,
                ["r"] = options.Rank,
                ["lora_alpha"] = options.Alpha,
                ["lora_dropout"] = options.Dropout,
                ["target_modules"] = new JsonArray([.. layers.Select(layer => (JsonNode)layer.Name)]),
                ["fan_in_fan_out"] = transposed,
                ["bias"] = "none",
                ["inference_mode"] = true,
            };
            SafetensorsFile.Write(
                Path.Combine(partial, WeightsFile),
                layers.SelectMany(layer => layer.Parameters).Select(named => KeyValuePair.Create(Prefix + named.Name, parameters[named.Name])),
                new Dictionary<string, string> { ["format"] = "pt" });
            AtomicFile.Write(Path.Combine(partial, ConfigurationFile), JsonSerializer.SerializeToUtf8Bytes(configuration, Indented));
        });

    /// <summary>What the adapters of a folder are; refuses what is not computed here.</summary>
    public static LoraOptions ReadOptions(string folder)
    {
        var path = Path.Combine(folder, ConfigurationFile);
        var configuration = new ConfigurationReader(path, ConfigurationReader.Parse(path));
        foreach (var (key, only) in (ReadOnlySpan<(string, string)>)[("peft_type", "LORA"), ("bias", "none")])
        {
            if (configuration.Text(key) is { } value && value != only)
                throw configuration.Unsupported(key, value, only);
        }

        foreach (var key in (string[])["use_rslora", "use_dora", "lora_bias"])
            configuration.Require(key, false);
        foreach (var key in (string[])["modules_to_save", "rank_pattern", "alpha_pattern", "layer_replication", "target_parameters", "trainable_token_indices"])
            configuration.RequireNone(key);
        return new LoraOptions
        {
            Rank = configuration.Count("r", 8),
            Alpha = configuration.Number("lora_alpha", 8),
            Dropout = configuration.Dropout("lora_dropout", 0),
            Targets = Targets(folder),
        };
    }

    public static void ReadWeights(string folder, IReadOnlyList<LoraLayer> layers)
    {
        using var file = SafetensorsFile.Open(Path.Combine(folder, WeightsFile));
        using var unrecorded = no_grad();
        foreach (var (name, weight) in layers.SelectMany(layer => layer.Parameters))
        {
            using var value = file.Read(Prefix + name, weight.dtype);
            if (!value.shape.SequenceEqual(weight.shape))
            {
                throw new InvalidDataException(
                    $"{file.Path}: {Prefix}{name} is [{string.Join(", ", value.shape)}], and should be [{string.Join(", ", weight.shape)}] for this model.");
            }

            weight.copy_(value);
        }
    }

    /// <summary>The linears that have adapters in the file, by their names.</summary>
    private static string[] Targets(string folder)
    {
        using var file = SafetensorsFile.Open(Path.Combine(folder, WeightsFile));
        string[] ends = [$".{LinearAdapter.DownName}.weight", $".{LinearAdapter.UpName}.weight"];
        var names = file.Entries.Select(entry => entry.Name).ToList();
        var foreign = names.Find(name => !name.StartsWith(Prefix, StringComparison.Ordinal) || !ends.Any(end => name.EndsWith(end, StringComparison.Ordinal)));
        return foreign is null
            ? [.. names.Select(name => name[Prefix.Length..name.LastIndexOf(".lora_", StringComparison.Ordinal)]).Distinct()]
            : throw new UnsupportedModelException($"{file.Path}: tensor {foreign} is no part of an adapter of a linear.");
    }
}
