using System.Runtime.CompilerServices;
using ShardSharp.Modules;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Activations;

/// <summary>What regions keep of their linear layers' products, and the hooks on these layers that do so.</summary>
/// <param name="recomputation">What the regions share.</param>
internal sealed class RegionProducts(Recomputation recomputation) : IDisposable
{
    // A program may call checkpointed modules that come and go.
    private readonly ConditionalWeakTable<nn.Module, KeptLinear> _linears = [];
    private readonly ConditionalWeakTable<nn.Module, List<Called>> _called = [];

    /// <summary>Those of modules that are checkpointed together; null where they have no linear layer.</summary>
    /// <param name="modules">The modules.</param>
    /// <param name="kept">The layers whose products are kept.</param>
    public KeptProducts? Of(IEnumerable<nn.Module> modules, HashSet<Linear> kept)
    {
        Linear[] linears = [.. modules.SelectMany(module => ModuleTree.Walk(module)).Select(below => below.Module).OfType<Linear>()];
        foreach (var linear in linears)
            _linears.GetValue(linear, _ => new KeptLinear(linear, recomputation));
        return linears.Length == 0 ? null : new KeptProducts(linears, kept);
    }

    /// <summary>The same for modules that the program checkpoints with each call: what the first call has found out holds for the later ones.</summary>
    /// <param name="root">What names of layers refer to.</param>
    /// <param name="modules">The modules, at least one.</param>
    /// <param name="strategy">Which products are kept.</param>
    /// <exception cref="ArgumentException">A name fits no linear layer.</exception>
    public KeptProducts? OfCall(nn.Module root, IReadOnlyList<nn.Module> modules, CheckpointStrategy strategy)
    {
        var calls = _called.GetOrCreateValue(modules[0]);
        var call = calls.Find(call => call.Strategy == strategy && call.Modules.SequenceEqual(modules, ReferenceEqualityComparer.Instance));
        if (call is null)
            calls.Add(call = new Called([.. modules], strategy, Of(modules, strategy.IsSelective ? ModuleSelection.Linears(root, strategy.KeptNames) : [])));
        return call.Products;
    }

    public void Dispose()
    {
        foreach (var (_, linear) in _linears)
            linear.Dispose();
    }

    private sealed record Called(IReadOnlyList<nn.Module> Modules, CheckpointStrategy Strategy, KeptProducts? Products);
}
