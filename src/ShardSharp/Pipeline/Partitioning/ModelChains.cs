using ShardSharp.Modules;
using ShardSharp.Pipeline.Tracing;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Pipeline.Partitioning;

/// <summary>Models as chains of parts.</summary>
internal static class ModelChains
{
    /// <summary>The parts of a model that lists them, without running it: a <see cref="Sequential"/>, or an <see cref="IPipelineModel"/>.</summary>
    /// <returns>The chain, whose first part takes the first tensor of the microbatch; null if the model does not list its parts, or one of them
    /// takes or returns something else than a tensor.</returns>
    public static ModelChain? List(nn.Module model)
    {
        var inventory = new ModuleInventory(model);
        var listed = Flat(model).ToArray();
        if (listed.Any(part => !ModuleTree.IsCalled(part) || !IsOfTensors(new ModuleCall(part))))
            return null;
        return listed is [var only] && ReferenceEquals(only, model) ? null : new ModelChain([.. listed.Select((part, i) => Part(part, i == 0))]);

        ChainPart Part(nn.Module module, bool isFirst)
        {
            var call = new ModuleCall(module);
            return new ChainPart(
                inventory.NameOf(module),
                ModuleInventory.WithHeld(module),
                (inputs, microbatch) => [(Tensor)call.Invoke([isFirst ? microbatch[0] : inputs[0]])!]);
        }
    }

    /// <summary>The parts of any model, found by running its forward once.</summary>
    /// <param name="model">The model, before anything puts hooks on it that change what its modules take or return.</param>
    /// <param name="microbatch">The tensors of a microbatch.</param>
    /// <param name="forward">Calls the model with tensors of the microbatch, of which it is given copies; null calls it with as many as it takes.</param>
    /// <returns>The chain, and why some modules stay whole.</returns>
    /// <exception cref="InvalidOperationException">The model is not called exactly once.</exception>
    public static (ModelChain Chain, IReadOnlyList<ChainBreak> Breaks) Trace(
        nn.Module model, IReadOnlyList<Tensor> microbatch, Action<IReadOnlyList<Tensor>>? forward = null)
    {
        var inventory = new ModuleInventory(model);
        return ChainBuilder.Build(ForwardTrace.Run(model, inventory, microbatch, forward ?? Call), inventory);

        void Call(IReadOnlyList<Tensor> tensors)
        {
            var call = new ModuleCall(model);
            call.Invoke(call.Arguments(tensors.Take(call.Takes.Count).ToArray()));
        }
    }

    /// <summary>The parts that a module lists, those of the parts included.</summary>
    private static IEnumerable<nn.Module> Flat(nn.Module module) => module switch
    {
        IPipelineModel model => model.PipelineParts.SelectMany(Flat),
        Sequential sequential => sequential.children().SelectMany(Flat),
        _ => [module],
    };

    private static bool IsOfTensors(ModuleCall call) => call.Takes is [var taken] && taken == typeof(Tensor) && call.Returns == typeof(Tensor);
}
