using ShardSharp.Communication;
using Tensor = TorchSharp.torch.Tensor;

namespace ShardSharp.Tests.Stress;

/// <summary>The tensors that one rank gives to one operation: one, or several that count as one.</summary>
internal sealed class StressTensors
{
    private readonly StressTensor[] _tensors;
    private readonly (int Start, int Length)[] _places;

    /// <param name="call">The operation.</param>
    /// <param name="contents">What they hold together.</param>
    /// <param name="cuts">The elements at which one ends and the next begins.</param>
    /// <param name="layouts">Draws how each lies in memory.</param>
    /// <param name="arena">Where they lie if it is not in memory of their own.</param>
    public StressTensors(StressCall call, byte[] contents, int[] cuts, Random layouts, StressArena? arena)
    {
        var elementBytes = ElementTypes.SizeOf(call.Type);
        int[] bounds = [0, .. cuts.Select(cut => cut * elementBytes), contents.Length];
        _places = [.. bounds.Zip(bounds.Skip(1), (from, to) => (from, to - from))];
        _tensors = [.. _places.Select(place => new StressTensor(
            call.Type, contents.AsSpan(place.Start, place.Length), (StressLayout)Math.Max(0, layouts.Next(6) - 3), arena))];
    }

    public Tensor First => _tensors[0].Tensor;

    /// <summary>Runs the operation, or starts it if the call says so and it can.</summary>
    public Work? Run(StressCall call, Action<Tensor[]> run, Func<Tensor[], Work>? start)
    {
        Tensor[] tensors = [.. _tensors.Select(tensor => tensor.Tensor)];
        if (call.InBackground && start is not null)
            return start(tensors);
        run(tensors);
        return null;
    }

    /// <summary>Compares and disposes them.</summary>
    /// <returns>What is wrong, or null.</returns>
    public string? Check(byte[] expected)
    {
        string? difference = null;
        for (var i = 0; i < _tensors.Length; i++)
        {
            if (_tensors[i].Compare(expected.AsSpan(_places[i].Start, _places[i].Length)) is { } one)
                difference ??= $"tensor {i}: {one}";
            _tensors[i].Dispose();
        }

        return difference;
    }
}
