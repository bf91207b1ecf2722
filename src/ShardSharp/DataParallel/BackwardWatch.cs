using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.DataParallel;

/// <summary>Tells during backward which modules' parameters have all their gradients.</summary>
/// <remarks>
/// Watched are the largest parts of the model that fit in a bucket and are called with one tensor, through <c>call</c>. Parameters of other
/// parts, and those that several modules share, are never reported: their gradients are complete when backward is.
/// </remarks>
internal sealed class BackwardWatch : IDisposable
{
    private readonly List<Unit> _units = [];
    private readonly Action<IReadOnlyList<Parameter>> _completed;

    /// <param name="module">The model.</param>
    /// <param name="capacity">Bytes of parameters that a watched part has at most, if it can be divided.</param>
    /// <param name="completed">Called during backward with parameters whose gradients are complete.</param>
    public BackwardWatch(nn.Module module, long capacity, Action<IReadOnlyList<Parameter>> completed)
    {
        _completed = completed;
        var owners = new Dictionary<Parameter, int>(ReferenceEqualityComparer.Instance);
        foreach (var part in module.modules().Append(module).Distinct())
        {
            foreach (var parameter in part.parameters(recurse: false))
                owners[parameter] = owners.GetValueOrDefault(parameter) + 1;
        }

        Watch(module, capacity, owners);
    }

    /// <summary>Forgets calls whose backward never came, as in an evaluation that recorded a graph.</summary>
    public void Reset() => _units.ForEach(unit => unit.Pending = 0);

    public void Dispose() => _units.ForEach(unit => unit.Hook.remove());

    private void Watch(nn.Module module, long capacity, Dictionary<Parameter, int> owners)
    {
        var parameters = module.parameters().Where(parameter => parameter.requires_grad && owners[parameter] == 1).ToArray();
        if (parameters.Length == 0)
            return;
        var fits = parameters.Sum(parameter => parameter.numel() * parameter.element_size()) <= capacity || !module.children().Any();
        if (fits && module is nn.Module<Tensor, Tensor> called)
        {
            _units.Add(new Unit(parameters, called, _completed));
            return;
        }

        foreach (var child in module.children())
            Watch(child, capacity, owners);
    }

    private sealed class Unit
    {
        public Unit(IReadOnlyList<Parameter> parameters, nn.Module<Tensor, Tensor> module, Action<IReadOnlyList<Parameter>> completed)
        {
            void Passed()
            {
                if (--Pending == 0)
                    completed(parameters);
            }

            Hook = module.register_forward_pre_hook((_, input) =>
            {
                if (!input.requires_grad || !is_grad_enabled())
                    return input;
                Pending++;
                return BackwardMarker.Mark(input, Passed);
            });
        }

        /// <summary>Calls that backward has not come back to.</summary>
        public int Pending { get; set; }

        public nn.Module<Tensor, Tensor>.HookRemover Hook { get; }
    }
}
