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
        var parts = new HashSet<nn.Module>(listed, ReferenceEqualityComparer.Instance);
        return listed is [var only] && ReferenceEquals(only, model) ? null : new ModelChain([.. listed.Select((part, i) => Part(part, i == 0))]);

        ChainPart Part(nn.Module module, bool isFirst)
        {
            var call = new ModuleCall(module);
            return new ChainPart(
                inventory.NameOf(module),
                [module, .. HeldBelow(module, parts)],
                (inputs, microbatch) => [(Tensor)call.Invoke([isFirst ? microbatch[0] : inputs[0]])!]);
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

    /// <summary>What a part holds without having registered it, and what that holds.</summary>
    private static IEnumerable<nn.Module> HeldBelow(nn.Module part, HashSet<nn.Module> others)
    {
        var found = new HashSet<nn.Module>(ModuleTree.Walk(part).Select(below => below.Module), ReferenceEqualityComparer.Instance);
        var unseen = new Queue<nn.Module>(found);
        while (unseen.TryDequeue(out var module))
        {
            foreach (var (_, held) in ModuleInventory.HeldBy(module))
            {
                // A module that refers to another part, or to the model above it, uses it; it does not consist of it.
                var below = ModuleTree.Walk(held).Select(named => named.Module).ToArray();
                if (found.Contains(held) || below.Any(others.Contains))
                    continue;
                yield return held;
                foreach (var one in below.Where(found.Add))
                    unseen.Enqueue(one);
            }
        }
    }
}
