using ShardSharp.HuggingFace.Configuration;
using ShardSharp.HuggingFace.Layers;
using TorchSharp.Modules;

namespace ShardSharp.HuggingFace.Architectures;

/// <summary>A kind of model: how its <c>config.json</c> is read, what modules it is made of, and how files name its parameters.</summary>
internal abstract class Architecture
{
    /// <summary>What <c>model_type</c> says.</summary>
    public abstract string ModelType { get; }

    /// <summary>The class of transformers, which <c>architectures</c> names.</summary>
    public abstract string ClassName { get; }

    /// <summary>What the model predicts.</summary>
    public virtual ModelTask Task => ModelTask.CausalLanguageModel;

    /// <summary>What begins the names of all parameters but the head's; files of bare models leave it out.</summary>
    public abstract string Prefix { get; }

    /// <summary>Ends of the names of tensors in files that are no parameters: masks and tables that can be computed.</summary>
    public virtual IReadOnlyList<string> ComputedTensors => [".rotary_emb.inv_freq"];

    /// <summary>Beginnings of the names of tensors in files that belong to other tasks than predicting tokens.</summary>
    public virtual IReadOnlyList<string> ForeignTensors => [];

    /// <summary>Names in files of parameters that are one with another where head and embedding are tied, and the others' names.</summary>
    public abstract IReadOnlyDictionary<string, string> Tied { get; }

    /// <summary>Whether files have this besides parameters: a table that can be computed, part of another task, or a copy of what it is tied to.</summary>
    public bool IsNoParameter(string name) =>
        ComputedTensors.Any(end => name.EndsWith(end, StringComparison.Ordinal))
        || ForeignTensors.Any(start => name.StartsWith(start, StringComparison.Ordinal)) || Tied.ContainsKey(name);

    /// <summary>The names that files have for a parameter: the one that is saved, then older ones.</summary>
    public virtual IReadOnlyList<string> StoredNames(string parameter) => [parameter];

    /// <summary>Whether files hold a parameter transposed.</summary>
    public virtual bool IsTransposed(string parameter) => false;

    /// <summary>Reads a configuration and makes the modules it describes.</summary>
    /// <exception cref="UnsupportedModelException">The configuration asks for something that is not supported.</exception>
    /// <exception cref="InvalidDataException">A value of the configuration is missing or makes no sense.</exception>
    public abstract ModelTree Build(ConfigurationReader configuration, ModuleFactory factory);

    /// <summary>
    /// Makes one parameter of a head and an embedding. The embedding takes the head's: its own it has in native code, from where TorchSharp
    /// returns a new object each time, which everybody would take for another parameter.
    /// </summary>
    protected static void Tie(Linear head, Embedding embedding) => embedding.weight = head.weight!;
}
