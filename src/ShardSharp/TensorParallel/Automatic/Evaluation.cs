using ShardSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Automatic;

/// <summary>Computing with a model without training it, and comparing what it computed.</summary>
internal static class Evaluation
{
    /// <summary>Does something with a model in evaluation or training mode, without recording a graph, and lets go of the tensors it makes.</summary>
    public static void Run(nn.Module root, Action action, bool training = false)
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

    /// <summary>What a module was called with, in tensors of its own that it may write to.</summary>
    public static object?[] Copies(object?[] arguments)
    {
        var complete = true;
        return [.. arguments.Select(argument => TensorParts.Replace(argument, tensor => tensor.clone(), ref complete))];
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
