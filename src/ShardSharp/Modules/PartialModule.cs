using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Modules;

/// <summary>Some of what a module holds, under the names that it has there: what a stage of a pipeline needs of a model.</summary>
internal sealed class PartialModule : nn.Module
{
    private readonly IReadOnlyList<(string Name, Parameter Parameter)>? _named;

    private PartialModule(nn.Module of, IReadOnlyList<(string, Parameter)>? parameters)
        : base(of.GetType().Name) => (Of, _named) = (of, parameters);

    /// <summary>The module that this is a part of.</summary>
    public nn.Module Of { get; }

    /// <summary>The part of a model that consists of some modules with all below them, and of what others hold themselves.</summary>
    /// <param name="root">The model.</param>
    /// <param name="whole">Modules of which everything belongs to the part.</param>
    /// <param name="holders">Modules of which only the parameters and buffers that they hold themselves belong to it.</param>
    public static PartialModule Select(nn.Module root, IEnumerable<nn.Module> whole, IEnumerable<nn.Module> holders)
    {
        var selection = new Selection(
            whole.ToHashSet<nn.Module>(ReferenceEqualityComparer.Instance), holders.ToHashSet<nn.Module>(ReferenceEqualityComparer.Instance));
        var held = selection.Whole.SelectMany(module => module.parameters())
            .Concat(selection.Holders.SelectMany(module => module.parameters(recurse: false)))
            .ToHashSet<Parameter>(ReferenceEqualityComparer.Instance);
        return selection.Part(root, [.. root.named_parameters().Where(named => held.Contains(named.parameter))]);
    }

    /// <summary>With the names in the whole model, also of a parameter that comes first in a part of it that is not here.</summary>
    public override IEnumerable<(string name, Parameter parameter)> named_parameters(bool recurse = true) =>
        recurse && _named is not null ? _named : base.named_parameters(recurse);

    /// <inheritdoc/>
    public override IEnumerable<Parameter> parameters(bool recurse = true) => named_parameters(recurse).Select(named => named.parameter);

    private sealed record Selection(HashSet<nn.Module> Whole, HashSet<nn.Module> Holders)
    {
        public PartialModule Part(nn.Module module, IReadOnlyList<(string, Parameter)>? parameters)
        {
            var part = new PartialModule(module, parameters);
            if (Holders.Contains(module) || Whole.Contains(module))
            {
                foreach (var (name, parameter) in module.named_parameters(recurse: false))
                    part.register_parameter(name, parameter);
                foreach (var (name, buffer) in module.named_buffers(recurse: false))
                    part.register_buffer(name, buffer);
            }

            foreach (var (name, child) in module.named_children())
            {
                if (Whole.Contains(module) || Whole.Contains(child))
                    part.register_module(name, child);
                else if (ModuleTree.Walk(child).Any(below => Whole.Contains(below.Module) || Holders.Contains(below.Module)))
                    part.register_module(name, Part(child, parameters: null));
            }

            return part;
        }
    }
}
