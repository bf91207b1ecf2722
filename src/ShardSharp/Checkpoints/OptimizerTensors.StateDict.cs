using ShardSharp.Optimizers;
using static TorchSharp.torch;

namespace ShardSharp.Checkpoints;

/// <content>The state as tensors by name, numbers among them.</content>
internal sealed partial class OptimizerTensors
{
    /// <summary>The name of a number of a parameter's state.</summary>
    public string NameOfNumber(string number, string parameter) => $"{_prefix}{number}/{parameter}";

    /// <summary>Names of everything that this rank would take over.</summary>
    public IEnumerable<string> Wanted()
    {
        foreach (var (slot, name, _) in _slots)
        {
            foreach (var field in OptimizerFields.TensorsOf(slot.State))
                yield return NameOf(field, name);
            foreach (var (number, _) in OptimizerFields.NumbersOf(slot.State))
                yield return NameOfNumber(number, name);
        }
    }

    /// <summary>What keeps tensors from being taken over; null if nothing does.</summary>
    public string? Mismatch(IReadOnlyDictionary<string, Tensor> state)
    {
        foreach (var (slot, name, part) in _slots)
        {
            foreach (var field in OptimizerFields.TensorsOf(slot.State))
            {
                if (state.TryGetValue(NameOf(field, name), out var values) && !values.shape.SequenceEqual(part.Shape))
                {
                    return $"Tensor {NameOf(field, name)} has shape [{string.Join(", ", values.shape)}], and the parameter [{string.Join(", ", part.Shape)}].";
                }
            }
        }

        return null;
    }

    /// <summary>Takes undivided tensors over. Where there is none of a parameter, the state becomes what it is before the first step.</summary>
    public void Load(IReadOnlyDictionary<string, Tensor> state)
    {
        using var unrecorded = no_grad();
        foreach (var (slot, name, part) in _slots)
        {
            foreach (var field in OptimizerFields.TensorsOf(slot.State))
            {
                var found = state.TryGetValue(NameOf(field, name), out var values);
                if (Room(field, slot, part, found) is { } room)
                    TensorSlices.Copy(values!, new HeldTensor(NameOf(field, name), part, room));
            }

            foreach (var (number, _) in OptimizerFields.NumbersOf(slot.State).ToArray())
            {
                if (state.TryGetValue(NameOfNumber(number, name), out var value))
                    OptimizerFields.SetNumber(slot.State, number, value.to_type(ScalarType.Float64).item<double>());
            }
        }
    }
}
