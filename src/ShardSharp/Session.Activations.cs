using ShardSharp.Activations;
using ShardSharp.Modules;
using ShardSharp.Native;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp;

public sealed partial class Session
{
    private readonly Recomputation _recomputation = new(isReported: true);
    private RegionProducts? _products;
    private IDisposable? _ownGenerator;

    /// <summary>
    /// Calls a module so that only what it is called with is kept, and everything else computed again in backward (SMP: <c>checkpoint</c>).
    /// </summary>
    /// <remarks>
    /// Gradients are the same, bit for bit. Tensors may come and go in tuples, records, arrays, lists and dictionaries. Where nothing is recorded
    /// (<c>no_grad</c>), or nothing needs a gradient, it is a plain call.
    /// </remarks>
    /// <typeparam name="TInput">What the module takes.</typeparam>
    /// <typeparam name="TResult">What it returns.</typeparam>
    /// <param name="module">The module; it must not write to its input.</param>
    /// <param name="input">Its input.</param>
    /// <param name="preserveRandomState">Whether random numbers, as in dropout, are the same when the module computes again.</param>
    /// <exception cref="NotSupportedException">The module writes to its input, or returns a class in which tensors cannot be found.</exception>
    public TResult Checkpoint<TInput, TResult>(nn.Module<TInput, TResult> module, TInput input, bool preserveRandomState = true)
    {
        ArgumentNullException.ThrowIfNull(module);
        return (TResult)Run(module, [input], preserveRandomState)!;
    }

    /// <summary>The same for a module of two inputs.</summary>
    /// <typeparam name="TFirst">The first input's type.</typeparam>
    /// <typeparam name="TSecond">The second input's type.</typeparam>
    /// <typeparam name="TResult">What it returns.</typeparam>
    /// <param name="module">The module.</param>
    /// <param name="first">Its first input.</param>
    /// <param name="second">Its second input.</param>
    /// <param name="preserveRandomState">Whether random numbers are the same when the module computes again.</param>
    /// <inheritdoc cref="Checkpoint{TInput, TResult}"/>
    public TResult Checkpoint<TFirst, TSecond, TResult>(
        nn.Module<TFirst, TSecond, TResult> module, TFirst first, TSecond second, bool preserveRandomState = true)
    {
        ArgumentNullException.ThrowIfNull(module);
        return (TResult)Run(module, [first, second], preserveRandomState)!;
    }

    /// <summary>The same for a module of three inputs.</summary>
    /// <typeparam name="TFirst">The first input's type.</typeparam>
    /// <typeparam name="TSecond">The second input's type.</typeparam>
    /// <typeparam name="TThird">The third input's type.</typeparam>
    /// <typeparam name="TResult">What it returns.</typeparam>
    /// <param name="module">The module.</param>
    /// <param name="first">Its first input.</param>
    /// <param name="second">Its second input.</param>
    /// <param name="third">Its third input.</param>
    /// <param name="preserveRandomState">Whether random numbers are the same when the module computes again.</param>
    /// <inheritdoc cref="Checkpoint{TInput, TResult}"/>
    public TResult Checkpoint<TFirst, TSecond, TThird, TResult>(
        nn.Module<TFirst, TSecond, TThird, TResult> module, TFirst first, TSecond second, TThird third, bool preserveRandomState = true)
    {
        ArgumentNullException.ThrowIfNull(module);
        return (TResult)Run(module, [first, second, third], preserveRandomState)!;
    }

    /// <summary>Calls the members of a <c>Sequential</c> one after another, checkpointed in groups (SMP: <c>checkpoint_sequential</c>).</summary>
    /// <param name="sequential">The modules; each takes and returns a tensor.</param>
    /// <param name="input">What the first is called with.</param>
    /// <param name="strategy">Which of them are checkpointed together; each for itself if null. Names of <c>CheckpointStrategy.Keeping</c> are those in
    /// the distributed model that has the modules, or in <paramref name="sequential"/> where none has.</param>
    /// <param name="preserveRandomState">Whether random numbers are the same when a group computes again.</param>
    /// <inheritdoc cref="Checkpoint{TInput, TResult}"/>
    public Tensor CheckpointSequential(Sequential sequential, Tensor input, CheckpointStrategy? strategy = null, bool preserveRandomState = true)
    {
        ArgumentNullException.ThrowIfNull(sequential);
        strategy ??= CheckpointStrategy.Each;
        nn.Module<Tensor, Tensor>[] members = [.. sequential.children().Cast<nn.Module<Tensor, Tensor>>()];
        foreach (var group in strategy.Divide(members))
        {
            var region = Region($"{sequential.GetName()} of {group.Count}", group, Chain(group), strategy, sequential);
            input = (Tensor)(region with { PreservesRandomState = preserveRandomState }).Run([input])!;
        }

        return input;
    }

    /// <summary>Whether other ranks draw from the generator that this one draws from.</summary>
    private bool SharesRandomNumbers => Groups.World is { IsWithinProcess: true, Size: > 1 } && _ownGenerator is null;

    /// <summary>Ranks that are threads draw as processes do: each its own numbers, whatever the others draw.</summary>
    private void GiveOwnRandomNumbers()
    {
        if (Groups.World.IsWithinProcess)
            _ownGenerator = ThreadGenerators.TryUse((ulong)Configuration.Seed);
        _recomputation.SharesRandomNumbers = SharesRandomNumbers;
    }

    private static Func<object?[], object?> Chain(IReadOnlyList<nn.Module<Tensor, Tensor>> modules) =>
        given => modules.Aggregate((Tensor)given[0]!, (value, module) => module.call(value));

    private object? Run(nn.Module module, object?[] given, bool preserveRandomState)
    {
        var region = Region(module.GetName(), [module], ModuleForward.CallOf(module), CheckpointStrategy.Each, module);
        return (region with { PreservesRandomState = preserveRandomState }).Run(given);
    }

    /// <param name="name">What it is called in messages.</param>
    /// <param name="modules">Its modules.</param>
    /// <param name="compute">Computes it.</param>
    /// <param name="strategy">Which products it keeps.</param>
    /// <param name="root">What the strategy's names refer to where no model has the modules.</param>
    private CheckpointRegion Region(
        string name, IReadOnlyList<nn.Module> modules, Func<object?[], object?> compute, CheckpointStrategy strategy, nn.Module root)
    {
        // Gradients of a model's own modules are reduced by its engine, which must know when one of them computes again.
        var owner = _models.FirstOrDefault(model => !model.IsDisposed && model.Holds(modules[0]));
        var products = owner is not null
            ? owner.ProductsOfCall(modules, strategy)
            : (_products ??= new RegionProducts(_recomputation)).OfCall(root, modules, strategy);
        return new CheckpointRegion(name, compute, modules, owner?.Recomputation ?? _recomputation) { Products = products };
    }
}
