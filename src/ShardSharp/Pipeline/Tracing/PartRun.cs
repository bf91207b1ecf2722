using static TorchSharp.torch;

namespace ShardSharp.Pipeline.Tracing;

/// <summary>Runs the steps of a part.</summary>
/// <param name="steps">The steps, in order.</param>
/// <param name="inputs">What the part is given.</param>
/// <param name="outputs">What it hands on.</param>
internal sealed class PartRun(IReadOnlyList<ChainStep> steps, IReadOnlyList<TracedValue> inputs, IReadOnlyList<TracedValue> outputs)
{
    public IReadOnlyList<Tensor> Run(IReadOnlyList<Tensor> given, IReadOnlyList<Tensor> microbatch)
    {
        if (given.Count != inputs.Count)
            throw new ArgumentException($"The part '{steps[0].Name}' takes {inputs.Count} tensors from the one before; it got {given.Count}.", nameof(given));
        var values = new Dictionary<TracedValue, Tensor>();
        foreach (var (value, tensor) in inputs.Zip(given))
            values[value] = tensor;
        foreach (var step in steps)
        {
            var made = step.Run(Read);
            foreach (var (value, tensor) in step.Outputs.Zip(made))
                values[value] = tensor;
        }

        return [.. outputs.Select(Read)];

        Tensor Read(TracedValue value) =>
            value.Own is { } own ? own.Read() : value.Batch is { } batch ? microbatch[batch] : values[value];
    }
}
