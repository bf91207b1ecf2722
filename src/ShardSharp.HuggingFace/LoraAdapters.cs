using ShardSharp.HuggingFace.Adapters;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace;

/// <summary>
/// Low-rank adapters of a model's linears (Hu et al. 2021, https://arxiv.org/abs/2106.09685): they alone are trained, and at first they
/// change nothing.
/// </summary>
/// <remarks>
/// Attach them where the model is made, in the function that <c>session.DistributedModel</c> takes: a model that is distributed already must
/// not get or lose parameters. <see cref="HuggingFaceModel.SaveHuggingFace(LanguageModel, string, long)"/> saves a model with adapters as the
/// plain model that computes the same. Tell the optimizer to leave out what is frozen: <c>optim.AdamW(parameters.Where(parameter =&gt; parameter.requires_grad))</c>.
/// </remarks>
public sealed class LoraAdapters
{
    private readonly LanguageModel _model;
    private readonly IReadOnlyList<LoraLayer> _layers;
    private readonly IReadOnlyList<Parameter> _frozen;

    private LoraAdapters(LanguageModel model, LoraOptions options)
    {
        var targets = LoraTargets.Find(model, options.Targets);
        (_model, Options) = (model, options);
        _frozen = [.. model.parameters().Where(parameter => parameter.requires_grad)];
        foreach (var parameter in _frozen)
            parameter.requires_grad = false;
        _layers = [.. targets.Select(target => new LoraLayer(target.Name, target.Linear, options))];
    }

    /// <summary>What the adapters were made with.</summary>
    public LoraOptions Options { get; }

    /// <summary>The names of the linears that have adapters.</summary>
    public IReadOnlyList<string> Targets => [.. _layers.Select(layer => layer.Name)];

    /// <summary>Gives linears of a model adapters, and freezes everything else.</summary>
    /// <param name="model">The model, which is not distributed yet.</param>
    /// <param name="options">Which linears, and how large the adapters are; the defaults if null.</param>
    /// <exception cref="ArgumentException">An option makes no sense, a pattern fits no linear, or one that is tied to the embedding.</exception>
    /// <exception cref="InvalidOperationException">The model has adapters.</exception>
    public static LoraAdapters Attach(LanguageModel model, LoraOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        options ??= new LoraOptions();
        options.Validate();
        if (model.Adapters is not null)
            throw new InvalidOperationException("The model has adapters already; merge them first.");
        return model.Adapters = new LoraAdapters(model, options);
    }

    /// <summary>Gives a model the adapters that <see cref="Save"/> wrote, or PEFT.</summary>
    /// <param name="model">The model that they are for.</param>
    /// <param name="folder">The folder with <c>adapter_config.json</c> and <c>adapter_model.safetensors</c>.</param>
    /// <exception cref="UnsupportedModelException">The adapters are of another kind.</exception>
    /// <exception cref="InvalidDataException">They do not fit the model; the model is as it was.</exception>
    public static LoraAdapters Load(LanguageModel model, string folder)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        var adapters = Attach(model, AdapterFolder.ReadOptions(folder));
        try
        {
            AdapterFolder.ReadWeights(folder, adapters._layers);
            return adapters;
        }
        catch
        {
            adapters.Remove(layer => layer.Remove());
            throw;
        }
    }

    /// <summary>Saves the adapters alone, in PEFT's files. Where parameters are sharded, in <c>GatherParameters</c>.</summary>
    /// <param name="folder">The folder, which must not exist, or be empty.</param>
    /// <exception cref="IOException">The folder has something in it, or cannot be written.</exception>
    public void Save(string folder)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        Write(_layers.SelectMany(layer => layer.Parameters).ToDictionary(named => named.Name, named => named.Value), folder);
    }

    /// <summary>Writes adapters, whole, by the names of their parameters in the model.</summary>
    internal void Write(IReadOnlyDictionary<string, Tensor> parameters, string folder)
    {
        RequireAttached();
        AdapterFolder.Write(folder, Options, _model, _layers, parameters);
    }

    /// <summary>
    /// Adds the adapters to the weights and takes them away: a plain model that computes the same, all of it trained again. Not while the
    /// model is distributed.
    /// </summary>
    /// <exception cref="InvalidOperationException">The adapters were merged before.</exception>
    public void Merge()
    {
        RequireAttached();
        Remove(layer => layer.Merge());
    }

    /// <summary>The parameter to save under a name: merged if it has an adapter, null if it is one.</summary>
    /// <param name="name">The name.</param>
    /// <param name="parameters">All parameters, whole, by their names in the model.</param>
    internal Tensor? AsSaved(string name, IReadOnlyDictionary<string, Tensor> parameters)
    {
        if (_layers.Any(layer => name == layer.DownWeight || name == layer.UpWeight))
            return null;
        return _layers.FirstOrDefault(layer => name == $"{layer.Name}.weight") is { } adapted
            ? adapted.Merged(parameters[name], parameters[adapted.DownWeight], parameters[adapted.UpWeight])
            : parameters[name];
    }

    private void Remove(Action<LoraLayer> remove)
    {
        foreach (var layer in _layers)
            remove(layer);
        foreach (var parameter in _frozen)
            parameter.requires_grad = true;
        _model.Adapters = null;
    }

    private void RequireAttached()
    {
        if (!ReferenceEquals(_model.Adapters, this))
            throw new InvalidOperationException("The adapters were merged into the model, which has none now.");
    }
}
