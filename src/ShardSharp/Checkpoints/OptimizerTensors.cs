using System.Reflection;
using ShardSharp.Optimizers;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Checkpoints;

/// <summary>
/// What a rank has of an optimizer's state. A tensor of a parameter's state has an element for each of the parameter's, and so the same
/// place in the undivided model.
/// </summary>
internal sealed partial class OptimizerTensors
{
    private readonly OptimizerHelper _optimizer;
    private readonly string _prefix;
    private readonly List<(OptimizerSlot Slot, string Name, TensorPart Part)> _slots;

    /// <param name="optimizer">The optimizer.</param>
    /// <param name="model">The model whose parameters it updates.</param>
    /// <param name="prefix">What names in the checkpoint begin with.</param>
    /// <exception cref="NotSupportedException">The optimizer does not show its state, or it belongs to no parameter.</exception>
    public OptimizerTensors(optim.Optimizer optimizer, ModelState model, string prefix)
    {
        if (optimizer is not OptimizerHelper helper || optimizer is LBFGS)
        {
            throw new NotSupportedException(
                $"The state of {optimizer.GetType().Name} is not that of single parameters, so a checkpoint cannot have it. Use an optimizer such as "
                + "AdamW, or save the model alone.");
        }

        (_optimizer, _prefix) = (helper, prefix);
        var parts = model.Parts.ToDictionary(entry => (object)entry.Owned.Parameter, ReferenceEqualityComparer.Instance);
        _slots = [.. OptimizerSlot.Of(helper).Select(slot => parts.TryGetValue(slot.Parameter, out var entry)
            ? (slot, entry.Owned.Name, entry.Part)
            : throw new NotSupportedException("The optimizer has a parameter that is none of the model's, so a checkpoint has no name for its state."))];
    }

    /// <summary>What names in the checkpoint begin with.</summary>
    public string Prefix => _prefix;

    /// <summary>The tensors that this rank has.</summary>
    public IEnumerable<HeldTensor> Held()
    {
        foreach (var (slot, name, part) in _slots.Where(entry => entry.Part.Count > 0))
        {
            foreach (var field in OptimizerFields.TensorsOf(slot.State))
            {
                if (field.GetValue(slot.State) is not Tensor tensor)
                    continue;
                if (tensor.numel() != part.Count)
                {
                    throw new NotSupportedException(
                        $"{field.Name} of parameter {name} has {tensor.numel()} elements and the parameter {part.Count}; a checkpoint can only have "
                        + "optimizer state of the parameter's shape.");
                }

                foreach (var held in new HeldTensor(NameOf(field, name), part, tensor).Separated)
                    yield return held;
            }
        }
    }

    /// <summary>What this rank has besides tensors.</summary>
    public OptimizerSnapshot Snapshot()
    {
        var numbers = new Dictionary<string, Dictionary<string, double>>(StringComparer.Ordinal);
        foreach (var (slot, name, _) in _slots.Where(entry => entry.Part.Count > 0))
        {
            foreach (var (number, value) in OptimizerFields.NumbersOf(slot.State))
            {
                if (!numbers.TryGetValue(number, out var values))
                    numbers[number] = values = new Dictionary<string, double>(StringComparer.Ordinal);
                values[name] = value;
            }
        }

        return new OptimizerSnapshot(
            _optimizer.GetType().Name, [.. _optimizer.state_dict().Options.Select(OptimizerFields.OptionsOf)], numbers);
    }

    /// <summary>Why a checkpoint's optimizer is another one; null if it is not.</summary>
    public string? Mismatch(OptimizerSnapshot saved)
    {
        if (saved.Type != _optimizer.GetType().Name)
            return $"the checkpoint has the state of {saved.Type}, and the program's optimizer is {_optimizer.GetType().Name}";
        var groups = _optimizer.ParamGroups.Count();
        return saved.Groups.Count == groups ? null : $"the checkpoint's optimizer has {saved.Groups.Count} parameter groups, and the program's has {groups}";
    }

    /// <summary>Takes a checkpoint's state over. Where it has none of a parameter, the state becomes what it is before the first step.</summary>
    /// <param name="reader">The checkpoint.</param>
    /// <param name="saved">What it has besides tensors.</param>
    /// <param name="threads">How many threads read.</param>
    public void Load(CheckpointReader reader, OptimizerSnapshot saved, int threads)
    {
        using var unrecorded = no_grad();
        foreach (var (options, values) in _optimizer.state_dict().Options.Zip(saved.Groups))
            OptimizerFields.SetOptions(options, values);
        TensorReads.Run(reader, _slots.SelectMany(entry => Wanted(reader, entry.Slot, entry.Name, entry.Part)), threads);
        foreach (var (slot, name, _) in _slots)
        {
            foreach (var (number, values) in saved.Numbers)
            {
                if (values.TryGetValue(name, out var value))
                    OptimizerFields.SetNumber(slot.State, number, value);
            }
        }
    }

    /// <summary>What is to be read of a parameter's state; the tensors are there then.</summary>
    private IEnumerable<HeldTensor> Wanted(CheckpointReader reader, OptimizerSlot slot, string parameter, TensorPart part)
    {
        foreach (var field in OptimizerFields.TensorsOf(slot.State))
        {
            var name = NameOf(field, parameter);
            if (Room(field, slot, part, reader.Find(name) is not null) is { } room)
                yield return new HeldTensor(name, part, room);
        }
    }

    /// <summary>Where a tensor of a state is to be read to; null where there is none, as of momentum that no step has made yet.</summary>
    private static Tensor? Room(FieldInfo field, OptimizerSlot slot, TensorPart part, bool isThere)
    {
        var existing = (Tensor?)field.GetValue(slot.State);
        if (isThere && existing is not null && existing.numel() == part.Count)
            return existing;
        existing?.Dispose();
        var room = isThere ? zeros_like(slot.Parameter).detach().DetachFromDisposeScope() : null;
        field.SetValue(slot.State, room);
        return room;
    }

    private string NameOf(FieldInfo field, string parameter) => $"{_prefix}{field.Name}/{parameter}";
}
