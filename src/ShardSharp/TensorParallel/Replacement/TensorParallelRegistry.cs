using ShardSharp.TensorParallel.Layers;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Replacement;

/// <summary>Which distributed modules take the place of which modules (SMP: <c>tp_register</c>).</summary>
/// <remarks>
/// <c>Linear</c> and <c>Embedding</c> are registered from the start: <see cref="DistributedLinear"/> and <see cref="DistributedEmbedding"/> take the
/// weights of what they replace. Registering a type again replaces what was registered.
/// </remarks>
public sealed class TensorParallelRegistry
{
    private readonly Dictionary<Type, Replacement> _replacements = [];

    /// <summary>Creates one that knows linear layers and embeddings.</summary>
    public TensorParallelRegistry()
    {
        Register<Linear>((module, ranks) => new DistributedLinear(module, ranks));
        Register<Embedding>((module, ranks) => new DistributedEmbedding(module, ranks));
    }

    /// <summary>Registers what takes the place of modules of a type.</summary>
    /// <typeparam name="TModule">The type; not those derived from it.</typeparam>
    /// <param name="create">
    /// Makes the distributed module of the one that it replaces, whose settings and parameters it may read, and the ranks. Ranks run it with
    /// the same random generator's state.
    /// </param>
    /// <param name="forward">Given what the replaced module is called with; returns what to call the distributed one with. Null for the same.</param>
    /// <param name="returned">Given what the distributed module returned; returns what the replaced one would. Null for the same.</param>
    /// <returns>This.</returns>
    public TensorParallelRegistry Register<TModule>(
        Func<TModule, TensorRanks, nn.Module> create, Func<object?[], object?[]>? forward = null, Func<object?, object?>? returned = null)
        where TModule : nn.Module
    {
        ArgumentNullException.ThrowIfNull(create);
        _replacements[typeof(TModule)] = new Replacement((module, ranks) => create((TModule)module, ranks), forward, returned);
        return this;
    }

    /// <summary>What takes the place of modules of a type; null for nothing.</summary>
    internal Replacement? For(nn.Module module) => _replacements.GetValueOrDefault(module.GetType());
}
