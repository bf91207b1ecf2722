using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.DataParallel;

/// <summary>Tells during backward which modules' parameters have all their gradients.</summary>
/// <remarks>
/// Watched are the largest parts of the model that fit in a bucket and are called with one tensor, through <c>call</c>. Parameters of other
/// parts, and those that several parts share, are never reported: their gradients are complete when backward is.
/// </remarks>
internal sealed class BackwardWatch : IDisposable
{
    private readonly List<Unit> _units = [];

    /// <param name="module">The model.</param>
    /// <param name="capacity">Bytes of parameters that a watched part has at most, if it can be divided.</param>
    /// <param name="completed">Called during backward with parameters whose gradients are complete.</param>
    public BackwardWatch(nn.Module module, long capacity, Action<IReadOnlyList<Parameter>> completed)
    {
        var parts = new HashSet<nn.Module<Tensor, Tensor>>(ReferenceEqualityComparer.Instance);
        var users = new Dictionary<Parameter, int>(ReferenceEqualityComparer.Instance);
        Divide(module);
        foreach (var part in parts)
        {
            var own = part.parameters().Where(parameter => parameter.requires_grad && users[parameter] == 1).ToArray();
            if (own.Length > 0)
                _units.Add(new Unit(part, own, completed));
        }

        void Divide(nn.Module part)
        {
            var whole = part.parameters().ToArray();
            var fits = whole.Sum(parameter => parameter.numel() * parameter.element_size()) <= capacity || !part.children().Any();
            if (fits && part is nn.Module<Tensor, Tensor> called)
            {
                if (parts.Add(called))
                    Count(whole);
                return;
            }

            Count(part.parameters(recurse: false));
            foreach (var child in part.children())
                Divide(child);
        }

        void Count(IEnumerable<Parameter> used)
        {
            foreach (var parameter in used)
                users[parameter] = users.GetValueOrDefault(parameter) + 1;
        }
    }

    /// <summary>Forgets calls whose backward never came, as in an evaluation that recorded a graph.</summary>
    public void Reset() => _units.ForEach(unit => unit.Pending = 0);

    public void Dispose() => _units.ForEach(unit => unit.Hook.remove());

    private sealed class Unit
    {
        public Unit(nn.Module<Tensor, Tensor> module, IReadOnlyList<Parameter> parameters, Action<IReadOnlyList<Parameter>> completed)
        {
            void Passed()
            {
                if (--Pending == 0)
                    completed(parameters);
            }

            Hook = module.register_forward_pre_hook((_, input) =>
            {
                if (!is_grad_enabled())
                    return input;

                // Backward does not come back to an input that needs no gradient: such a call stays pending, and the parts with it.
                Pending++;
                return input.requires_grad ? BackwardMarker.Mark(input, Passed) : input;
            });
        }

        /// <summary>Calls that backward has not come back to.</summary>
        public int Pending { get; set; }

        public nn.Module<Tensor, Tensor>.HookRemover Hook { get; }
    }
}
