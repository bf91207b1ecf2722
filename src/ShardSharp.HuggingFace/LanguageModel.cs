using System.Text.Json.Nodes;
using ShardSharp.HuggingFace.Architectures;
using ShardSharp.Pipeline;
using ShardSharp.TensorParallel;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace;

/// <summary>
/// A language model of the Hugging Face format: token ids [batch, sequence] of int64 in, logits [batch, sequence, vocabulary] out. It is an
/// ordinary TorchSharp module; its parameters have the names that transformers gives them.
/// </summary>
/// <remarks>
/// Every token of the input is attended to: there is no attention mask. Sequences shorter than others are padded at their end, with labels
/// of <see cref="LanguageModelLoss.Ignored"/>, which is exact for causal models.
/// </remarks>
public sealed partial class LanguageModel : nn.Module<Tensor, Tensor>, IPipelineModel, ITensorParallelModule
{
    private readonly JsonObject _configuration;
    private readonly IReadOnlyList<IDisposable> _owned;

    internal LanguageModel(Architecture architecture, JsonObject configuration, ModelTree tree)
        : base(architecture.ClassName)
    {
        (Architecture, _configuration, Parts, _owned) = (architecture, configuration, tree.Parts, tree.Owned);
        TensorParallelPlan = new TensorParallelPlan(tree.Styles) { ReleasesOutputs = true };
        foreach (var (name, child) in tree.Children)
            register_module(name, child);
    }

    /// <summary>
    /// The modules whose calls, one after another, are the model: the embedding, each layer, the last norm, the head. A pipeline may cut
    /// between any two, and inside of a layer behind its attention; there passes one tensor [batch, sequence, hidden].
    /// </summary>
    public IReadOnlyList<nn.Module<Tensor, Tensor>> Parts { get; }

    IReadOnlyList<nn.Module> IPipelineModel.PipelineParts => Parts;

    /// <summary>What the model was trained to predict.</summary>
    public ModelTask Task => Architecture.Task;

    /// <summary>The model's <c>config.json</c>, as it was loaded; a copy.</summary>
    public JsonObject Configuration => (JsonObject)_configuration.DeepClone();

    /// <summary>
    /// How the model is spread over tensor-parallel ranks: heads of attention, the width of feed-forward networks, and the vocabulary. Heads of
    /// keys and values that are fewer than the ranks are held by several. Adapters are divided as the layers that they adapt.
    /// </summary>
    public TensorParallelPlan TensorParallelPlan { get; }

    /// <summary>The low-rank adapters of the model; null if it has none.</summary>
    public LoraAdapters? Adapters { get; internal set; }

    internal Architecture Architecture { get; }

    /// <summary>Computes logits.</summary>
    /// <param name="input">Token ids [batch, sequence] of int64.</param>
    /// <returns>Logits [batch, sequence, vocabulary].</returns>
    public override Tensor forward(Tensor input)
    {
        using var scope = NewDisposeScope();
        var hidden = input;
        foreach (var part in Parts)
            hidden = part.call(hidden);
        return hidden.MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            foreach (var owned in _owned)
                owned.Dispose();
        }

        base.Dispose(disposing);
    }
}
