using static TorchSharp.torch;

namespace ShardSharp.DataParallel;

/// <summary>The usual ways to make a batch out of samples.</summary>
internal static class Collation
{
    public static (Tensor Inputs, Tensor Labels) Pairs(IEnumerable<(Tensor Inputs, Tensor Labels)> samples, Device device)
    {
        var pairs = samples.ToArray();
        return (Stack(pairs.Select(pair => pair.Inputs), device), Stack(pairs.Select(pair => pair.Labels), device));
    }

    public static Dictionary<string, Tensor> Named(IEnumerable<Dictionary<string, Tensor>> samples, Device device)
    {
        var all = samples.ToArray();
        return all[0].Keys.ToDictionary(name => name, name => Stack(all.Select(sample => sample[name]), device));
    }

    private static Tensor Stack(IEnumerable<Tensor> tensors, Device device)
    {
        using var scope = NewDisposeScope();
        return stack(tensors).to(device).MoveToOuterDisposeScope();
    }
}
