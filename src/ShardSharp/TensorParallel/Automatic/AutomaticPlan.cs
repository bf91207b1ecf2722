using ShardSharp.Modules;
using ShardSharp.Native;
using ShardSharp.TensorParallel.Styles;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Automatic;

/// <summary>Makes a plan out of one forward of a model.</summary>
internal static class AutomaticPlan
{
    /// <summary>Embeddings with a smaller part of the model's elements are not worth an exchange.</summary>
    private const int SmallestShare = 16;

    /// <param name="root">The model, whole.</param>
    /// <param name="degree">Number of ranks.</param>
    /// <param name="example">What to call the model with; nothing makes something up.</param>
    /// <exception cref="TensorParallelException">Nothing can be divided, or nothing can be made up.</exception>
    public static TensorParallelPlan Of(nn.Module root, int degree, IReadOnlyList<Tensor> example)
    {
        var madeUp = example.Count > 0 ? null : ModelExample.Of(root, degree) ?? throw new TensorParallelException(
            $"Nothing that a {root.GetType().Name} could be called with can be made up, which an automatic plan needs: it takes more than one tensor, or has "
            + "neither an embedding nor a linear layer. Pass plan: module => TensorParallelPlan.Automatic(module, degree, example).");
        using var trace = ModelTrace.Record(root, madeUp ?? [.. example]);
        var draws = RandomDraws.Record(root, madeUp ?? [.. example], group: null);
        Array.ForEach(madeUp ?? [], made => ((Tensor)made!).Dispose());
        var search = new PairSearch(trace, degree);
        search.Run();
        DivideVocabulary(root, trace, degree, search);
        var names = ModuleTree.Walk(root).Where(below => !search.Styles.ContainsKey(below.Name) && below.Module.named_parameters(recurse: false).Any());
        foreach (var (name, module) in names)
        {
            search.Reasons.TryAdd(
                name,
                trace.Calls.All(call => call.Name != name) ? "it was not called"
                : module is Linear ? "no linear layer behind it takes its output alone"
                : module is Embedding ? "it is small"
                : $"a {module.GetType().Name} computes the same on every rank");
        }

        if (search.Styles.Count == 0)
        {
            throw new TensorParallelException(
                $"No layer of a {root.GetType().Name} can be divided over {degree} ranks:\n{new TensorParallelReport([], [.. search.Reasons.Select(each => (each.Key, each.Value))])}");
        }

        var sequences = new SequenceSearch(trace, search.Styles, degree);
        var problem = sequences.Run(draws);
        return new TensorParallelPlan(search.Styles) { Reasons = search.Reasons, SequenceStyles = sequences.Styles, SequenceProblem = problem };
    }

    /// <summary>The head, whose output is the model's, and embeddings; those that share a parameter only together.</summary>
    private static void DivideVocabulary(nn.Module root, ModelTrace trace, int degree, PairSearch search)
    {
        var head = trace.Calls.LastOrDefault(call =>
            call.Module is Linear && ReferenceEquals(call.Returned, trace.Root.Returned) && !search.Styles.ContainsKey(call.Name));
        var embeddings = trace.Calls.Where(call => call.Module is Embedding).DistinctBy(call => call.Name).ToArray();
        var elements = ModuleTree.ElementsOf(root);
        var divided = embeddings.Where(call => IsWorthIt(call, head)).ToArray();
        if (head is not null && ((Linear)head.Module).out_features >= degree
            && embeddings.Except(divided).All(call => AddressOf(call.Module) != AddressOf(head.Module)))
        {
            Add(head, TensorParallelStyle.Column(gatherOutput: true));
        }

        foreach (var call in divided)
        {
            // A parameter that others hold too, besides the head, would be divided under their hands.
            var holders = ModuleTree.Walk(root).Where(below => below.Module is Linear or Embedding && AddressOf(below.Module) == AddressOf(call.Module));
            if (holders.All(below => below.Name == call.Name || search.Styles.ContainsKey(below.Name) || divided.Any(other => other.Name == below.Name)))
                Add(call, TensorParallelStyle.VocabularyEmbedding());
        }

        void Add(TracedCall call, TensorParallelStyle style)
        {
            search.Styles[call.Name] = style;
            search.Reasons.Remove(call.Name);
        }

        bool IsWorthIt(TracedCall call, TracedCall? output)
        {
            var weight = call.Module.get_parameter("weight")!;
            var tied = output is not null && AddressOf(output.Module) == AddressOf(call.Module);
            if (weight.shape[0] < degree || (!tied && weight.numel() * SmallestShare < elements))
                return false;
            try
            {
                EmbeddingOptions.Of(call.Name, (Embedding)call.Module, weight, weight.shape[0]);
                return true;
            }
            catch (TensorParallelException refused)
            {
                search.Reasons[call.Name] = refused.Message;
                return false;
            }
        }
    }

    private static nint AddressOf(nn.Module module) => TensorMemory.DataPointer(module.get_parameter("weight")!);
}
