using ShardSharp.Modules;
using ShardSharp.Native;
using static TorchSharp.torch;

namespace ShardSharp.Pipeline.Tracing;

/// <summary>
/// Records which modules a forward calls and which tensors pass between them. A tensor is the same where it is the same object, and nobody has
/// written to it in the meantime; what a module without calls of its own returns is made a new object, so that it cannot be taken for its input.
/// </summary>
internal sealed class ForwardTrace
{
    private readonly ModuleInventory _inventory;
    private readonly Dictionary<Tensor, (TracedValue Value, long Version)> _values = new(ReferenceEqualityComparer.Instance);
    private readonly HashSet<object> _returned = new(ReferenceEqualityComparer.Instance);
    private readonly Stack<(TracedCall Call, Tensor[] Given, long[] Versions)> _open = new();
    private readonly nn.Module _model;

    private ForwardTrace(nn.Module model, ModuleInventory inventory, IReadOnlyList<Tensor> microbatch)
    {
        (_model, _inventory) = (model, inventory);
        foreach (var module in inventory.Modules)
        {
            foreach (var (name, parameter) in module.named_parameters(recurse: false))
                Remember(parameter, new TracedValue($"parameter '{name}' of '{inventory.NameOf(module)}'") { Own = (module, () => module.get_parameter(name)!) });
            foreach (var (name, buffer) in module.named_buffers(recurse: false))
                Remember(buffer, new TracedValue($"buffer '{name}' of '{inventory.NameOf(module)}'") { Own = (module, () => module.get_buffer(name)!) });
        }

        for (var i = 0; i < microbatch.Count; i++)
            Remember(microbatch[i], new TracedValue($"tensor {i} of the microbatch") { Batch = i });
    }

    private TracedCall? Root { get; set; }

    /// <summary>Runs a model's forward and records it. Parameters, gradients, buffers and the random generator stay as they are.</summary>
    /// <param name="model">The model, before anything puts hooks on it that change what its modules take or return.</param>
    /// <param name="inventory">Its modules.</param>
    /// <param name="microbatch">The tensors of a microbatch.</param>
    /// <param name="forward">Calls the model, once, with tensors of the microbatch as it is given them here: they are copies.</param>
    /// <exception cref="InvalidOperationException">It was not called exactly once.</exception>
    public static TracedCall Run(nn.Module model, ModuleInventory inventory, IReadOnlyList<Tensor> microbatch, Action<IReadOnlyList<Tensor>> forward)
    {
        using var untouched = new UntouchedState(model);
        using var scope = NewDisposeScope();
        using var _ = no_grad();

        // A model may write to what it is given; the microbatch is to be used again.
        Tensor[] copies = [.. microbatch.Select(tensor => tensor.detach().clone())];
        var trace = new ForwardTrace(model, inventory, copies);
        var hooks = inventory.Modules.Where(ModuleTree.IsCalled).Select(module => new ModuleHooks(
            module, given => trace.Begin(module, given), trace.End)).ToArray();
        try
        {
            forward(copies);
        }
        finally
        {
            foreach (var hook in hooks)
                hook.Dispose();
        }

        return trace.Root ?? throw new InvalidOperationException(
            $"The model was not called with `call`, so a pipeline does not know what it computes. Use {model.GetName()}.call(...) rather than forward(...).");
    }

    private object?[] Begin(nn.Module module, object?[] given)
    {
        var tensors = new List<Tensor>();
        var takes = given.Select(value => TensorStructure.Of(value, tensors)).ToArray();
        var foreign = takes.Zip(given).FirstOrDefault(pair => pair.First.Beside is not null && !(pair.Second is not ValueType && _returned.Contains(pair.Second!)));
        var call = new TracedCall(module, _inventory.NameOf(module))
        {
            Takes = takes,
            Inputs = [.. tensors.Select((tensor, i) => Find(tensor, $"input {i} of '{_inventory.NameOf(module)}'"))],
            Foreign = foreign.First?.Beside,
        };
        if (_open.TryPeek(out var caller))
            caller.Call.Calls.Add(call);
        else if (ReferenceEquals(module, _model))
            Root = Root is null ? call : throw new InvalidOperationException("The model is called twice in a step; a pipeline runs it once.");
        _open.Push((call, [.. tensors], [.. tensors.Select(TensorVersion.Of)]));
        return given;
    }

    private object? End(object? returned)
    {
        var (call, given, versions) = _open.Pop();
        call.ChangesInputs = given.Zip(versions).Any(pair => TensorVersion.Of(pair.First) != pair.Second);
        var tensors = new List<Tensor>();
        call.Returns = TensorStructure.Of(returned, tensors);
        if (call.Calls.Count == 0 && tensors.Count > 0)
        {
            tensors = [.. tensors.Select(tensor => tensor.alias())];
            returned = call.Returns.Build(tensors);
            foreach (var (i, tensor) in tensors.Index())
                Remember(tensor, new TracedValue($"output {i} of {call.Title}"));
        }

        call.Outputs = [.. tensors.Select((tensor, i) => Find(tensor, $"output {i} of {call.Title}"))];
        if (returned is not null and not ValueType)
            _returned.Add(returned);
        return returned;
    }

    private TracedValue Find(Tensor tensor, string seenAs)
    {
        var version = TensorVersion.Of(tensor);
        if (_values.TryGetValue(tensor, out var known) && known.Version == version)
            return known.Value;
        var value = new TracedValue(known.Value is null ? $"{seenAs}, which no module returned" : $"{known.Value}, written to since");
        _values[tensor] = (value, version);
        return value;
    }

    private void Remember(Tensor tensor, TracedValue value) => _values[tensor] = (value, TensorVersion.Of(tensor));
}
