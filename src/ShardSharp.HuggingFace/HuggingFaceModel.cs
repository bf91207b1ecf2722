using System.Text.Json;
using System.Text.Json.Nodes;
using ShardSharp.Checkpoints;
using ShardSharp.HuggingFace.Architectures;
using ShardSharp.HuggingFace.Configuration;
using ShardSharp.HuggingFace.Layers;
using ShardSharp.HuggingFace.Weights;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace;

/// <summary>Language models in folders of the Hugging Face format: <c>config.json</c> and safetensors files.</summary>
public static class HuggingFaceModel
{
    private const string ConfigurationFile = "config.json";

    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    /// <summary>What <c>dtype</c> of a configuration can be.</summary>
    private static readonly Dictionary<string, ScalarType> Types = new(StringComparer.Ordinal)
    {
        ["float32"] = ScalarType.Float32, ["float16"] = ScalarType.Float16, ["bfloat16"] = ScalarType.BFloat16, ["float64"] = ScalarType.Float64,
    };

    /// <summary>Loads a model, in evaluation mode as transformers does: call <c>train()</c> where its dropout shall drop.</summary>
    /// <param name="folder">The folder with <c>config.json</c> and <c>model.safetensors</c>, or several files with an index.</param>
    /// <param name="options">Type and device; the defaults if null.</param>
    /// <returns>The model, which computes what transformers computes with the same files.</returns>
    /// <exception cref="UnsupportedModelException">The kind of model, or an option of its configuration, is not supported.</exception>
    /// <exception cref="InvalidDataException">The configuration is damaged, or does not fit the parameters in the files.</exception>
    /// <exception cref="SafetensorsException">A file is damaged, or lacks a parameter.</exception>
    /// <exception cref="FileNotFoundException">The folder lacks the configuration or the parameters.</exception>
    public static LanguageModel Load(string folder, LoadOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        options ??= new LoadOptions();
        var path = Path.Combine(folder, ConfigurationFile);
        var values = ConfigurationReader.Parse(path);
        var configuration = new ConfigurationReader(path, values);
        var architecture = Catalog.Find(configuration);
        using var weights = new StoredWeights(folder, architecture);
        var type = options.Type ?? StoredType(configuration) ?? weights.FirstType ?? ScalarType.Float32;

        // Modules are made without memory for their parameters; the parameters then come straight from the files.
        var model = new LanguageModel(architecture, values, architecture.Build(configuration, new ModuleFactory(META, type)));
        try
        {
            RequireKnown(configuration, options.IgnoredKeys);
            var device = options.Device ?? CPU;
            ParameterSlots.Replace(model, (name, parameter) => weights.Read(name, parameter, type, device));
            weights.RequireAllUsed();
            model.eval();
            return model;
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Saves a model to a folder that transformers can load, which appears complete or not at all. Adapters are merged into what is saved.
    /// </summary>
    /// <param name="model">The model.</param>
    /// <param name="folder">The folder, which must not exist, or be empty.</param>
    /// <param name="largestFile">The most bytes of parameters in a file; more are spread over several files with an index.</param>
    /// <exception cref="IOException">The folder has something in it, or cannot be written.</exception>
    /// <exception cref="InvalidOperationException">This rank has parts of the parameters only.</exception>
    public static void SaveHuggingFace(this LanguageModel model, string folder, long largestFile = 5_000_000_000)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentException.ThrowIfNullOrEmpty(folder);
        RequireWhole(model);
        Write(model, model.named_parameters().ToDictionary(named => named.name, named => (Tensor)named.parameter), folder, largestFile);
    }

    /// <summary>
    /// Saves a distributed model to a folder that transformers can load, whatever ranks have which parts of it; every rank calls it, and the first
    /// one writes. Adapters are merged into what is saved.
    /// </summary>
    /// <param name="model">The model.</param>
    /// <param name="folder">The folder, which must not exist, or be empty.</param>
    /// <param name="largestFile">The most bytes of parameters in a file; more are spread over several files with an index.</param>
    /// <exception cref="CheckpointException">The folder has something in it, or cannot be written; all ranks throw.</exception>
    public static void SaveHuggingFace(this DistributedModel<LanguageModel> model, string folder, long largestFile = 5_000_000_000)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentException.ThrowIfNullOrEmpty(folder);
        model.OnFirstRank(folder, "saving the model", state => Write(model.Module, state, folder, largestFile));
    }

    /// <summary>
    /// Saves the adapters of a distributed model alone, in PEFT's files, whatever ranks have which of them; every rank calls it, and the first one
    /// writes.
    /// </summary>
    /// <param name="model">The model.</param>
    /// <param name="folder">The folder, which must not exist, or be empty.</param>
    /// <exception cref="InvalidOperationException">The model has no adapters.</exception>
    /// <exception cref="CheckpointException">The folder has something in it, or cannot be written; all ranks throw.</exception>
    public static void SaveAdapters(this DistributedModel<LanguageModel> model, string folder)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentException.ThrowIfNullOrEmpty(folder);
        var adapters = model.Module.Adapters ?? throw new InvalidOperationException("The model has no adapters.");
        model.OnFirstRank(folder, "saving the adapters", state => adapters.Write(state, folder));
    }

    /// <summary>Writes parameters, whole, by their names in the model.</summary>
    private static void Write(LanguageModel model, IReadOnlyDictionary<string, Tensor> parameters, string folder, long largestFile) =>
        AtomicFolder.Write(folder, partial =>
        {
            using var scope = NewDisposeScope();
            var stored = model.ToHuggingFace(parameters);
            SafetensorsFolder.Write(partial, stored, new Dictionary<string, string> { ["format"] = "pt" }, largestFile);
            WriteConfiguration(model, stored.Values.First().dtype, Path.Combine(partial, ConfigurationFile));
        });

    /// <summary>Refuses a model whose parameters are not here, or not all of them: what would be saved is no model.</summary>
    private static void RequireWhole(LanguageModel model)
    {
        var configuration = new ConfigurationReader(ConfigurationFile, model.Configuration);
        using var whole = new LanguageModel(
            model.Architecture, model.Configuration, model.Architecture.Build(configuration, new ModuleFactory(META, ScalarType.Float32)));
        var shapes = whole.named_parameters().ToDictionary(named => named.name, named => named.parameter.shape);
        foreach (var (name, parameter) in model.named_parameters())
        {
            // Adapters have parameters besides those of the model.
            if (shapes.TryGetValue(name, out var shape) && !parameter.shape.SequenceEqual(shape))
            {
                throw new InvalidOperationException(
                    $"Parameter '{name}' has shape [{string.Join(", ", parameter.shape)}] here instead of [{string.Join(", ", shape)}]: the model is "
                    + "divided over ranks. Save the distributed model instead, whose SaveHuggingFace every rank calls.");
            }
        }
    }

    private static void WriteConfiguration(LanguageModel model, ScalarType type, string path)
    {
        var configuration = model.Configuration;
        configuration["architectures"] = new JsonArray(model.Architecture.ClassName);
        configuration.Remove("torch_dtype");
        configuration["dtype"] = Types.Single(pair => pair.Value == type).Key;
        AtomicFile.Write(path, JsonSerializer.SerializeToUtf8Bytes(configuration, Indented));
    }

    private static ScalarType? StoredType(ConfigurationReader configuration)
    {
        var older = configuration.Text("torch_dtype");
        return (configuration.Text("dtype") ?? older) is { } name && Types.TryGetValue(name, out var type) ? type : null;
    }

    /// <summary>Refuses options of any kind of model that are not supported, and keys that nobody knows.</summary>
    private static void RequireKnown(ConfigurationReader configuration, IReadOnlyCollection<string> ignored)
    {
        configuration.Require("is_encoder_decoder", false);
        configuration.RequireNone("quantization_config");
        configuration.RequireNone("pruned_heads");
        configuration.RequireNone("cross_attention_hidden_size");
        configuration.Ignore(InertKeys.All);
        configuration.Ignore(ignored);
        configuration.RequireAllKnown();
    }
}
