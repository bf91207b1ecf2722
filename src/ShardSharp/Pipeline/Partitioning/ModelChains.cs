using ShardSharp.Modules;
using ShardSharp.Pipeline.Tracing;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Pipeline.Partitioning;

/// <summary>Models as chains of parts.</summary>
internal static class ModelChains
{
    /// <summary>The parts of a model that lists them, without running it: a <see cref="Sequential"/>, or an <see cref="IPipelineModel"/>.</summary>
    /// <param name="model">The model.</param>
    /// <param name="whole">Modules that are one part each, whatever they list.</param>
    /// <returns>The chain, whose first part takes the first tensor of the microbatch; null if the model does not list its parts, or one of them
    /// takes or returns something else than a tensor.</returns>
    public static ModelChain? List(nn.Module model, IReadOnlySet<nn.Module>? whole = null)
    {
        var inventory = new ModuleInventory(model);
        var (parts, composites) = (new List<ChainPart>(), new List<CompositePart>());
        return TryList(model) && parts.Count > 0 ? new ModelChain(parts) { Composites = composites } : null;

        bool TryList(nn.Module module)
        {
            var first = parts.Count;
            var listed = whole?.Contains(module) is true ? null : Listed(module);
            if (listed is null && ReferenceEquals(module, model))
                return false;
            if (listed is not null && !listed.All(TryList))
                return false;
            if (ReferenceEquals(module, model))
                return true;
            if (!ModuleTree.IsCalled(module) || new ModuleCall(module) is var call && !IsOfTensors(call))
                return listed is not null;
            var part = new ChainPart(
                inventory.NameOf(module),
                ModuleInventory.WithHeld(module),
                (inputs, microbatch) => [(Tensor)call.Invoke([first == 0 ? microbatch[0] : inputs[0]])!]);
            if (listed is null)
                parts.Add(part);
            else if (parts.Count > first)
                composites.Add(new CompositePart(first, parts.Count - first, part));
            return true;
        }
    }

    /// <summary>The parts of any model, found by running its forward once.</summary>
    /// <param name="model">The model, before anything puts hooks on it that change what its modules take or return.</param>
    /// <param name="microbatch">The tensors of a microbatch.</param>
    /// <param name="forward">Calls the model with tensors of the microbatch, of which it is given copies; null calls it with as many as it takes.</param>
    /// <param name="whole">Modules that are not taken apart.</param>
    /// <returns>The chain, and why some modules stay whole.</returns>
    /// <exception cref="InvalidOperationException">The model is not called exactly once.</exception>
    public static (ModelChain Chain, IReadOnlyList<ChainBreak> Breaks) Trace(
        nn.Module model, IReadOnlyList<Tensor> microbatch, Action<IReadOnlyList<Tensor>>? forward = null, IReadOnlySet<nn.Module>? whole = null)
    {
        var inventory = new ModuleInventory(model);
        return ChainBuilder.Build(ForwardTrace.Run(model, inventory, microbatch, forward ?? Call), inventory, whole);

        void Call(IReadOnlyList<Tensor> tensors)
        {
            var call = new ModuleCall(model);
            call.Invoke(call.Arguments(tensors.Take(call.Takes.Count).ToArray()));
        }
    }

    /// <summary>The parts that a module lists; null if it lists none.</summary>
    private static IEnumerable<nn.Module>? Listed(nn.Module module) => module switch
    {
        IPipelineModel model => model.PipelineParts,
        Sequential sequential => sequential.children(),
        _ => null,
    };

    private static bool IsOfTensors(ModuleCall call) => call.Takes is [var taken] && taken == typeof(Tensor) && call.Returns == typeof(Tensor);
}
