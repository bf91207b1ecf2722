using System.Reflection;
using ShardSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Automatic;

/// <summary>Calls of modules of any signature.</summary>
internal static class ModuleCall
{
    /// <summary>Calls a module, with its hooks.</summary>
    public static object? Run(nn.Module module, object?[] arguments)
    {
        var call = module.GetType().GetMethods().FirstOrDefault(method => method.Name == "call" && method.GetParameters().Length == arguments.Length)
            ?? throw new TensorParallelException($"A {module.GetType().Name} is not called with {arguments.Length} arguments; the example has as many.");
        return call.Invoke(module, BindingFlags.DoNotWrapExceptions, binder: null, arguments, culture: null);
    }

    /// <summary>Does something with a model in evaluation or training mode, without recording a graph, and lets go of the tensors it makes.</summary>
    public static void Evaluate(nn.Module root, Action action, bool training = false)
    {
        var modes = ModuleTree.Walk(root).Select(below => (below.Module, below.Module.training)).ToArray();
        using var scope = NewDisposeScope();
        using var unrecorded = no_grad();
        root.train(training);
        try
        {
            action();
        }
        finally
        {
            // Parents, which set the modes of all below them, come first.
            foreach (var (module, mode) in modes)
                module.train(mode);
        }
    }

    /// <summary>How far tensors are from others, relative to those; infinite where shapes differ.</summary>
    public static double Distance(Tensor expected, Tensor actual)
    {
        if (!expected.shape.SequenceEqual(actual.shape))
            return double.PositiveInfinity;
        using var scope = NewDisposeScope();
        var (one, other) = (expected.to_type(ScalarType.Float64), actual.to_type(ScalarType.Float64));
        var difference = (other - one).norm().item<double>();
        return difference == 0 ? 0 : difference / Math.Max(one.norm().item<double>(), 1e-30);
    }
}
