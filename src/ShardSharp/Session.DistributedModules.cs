using ShardSharp.DataParallel;
using ShardSharp.Modules;
using ShardSharp.TensorParallel.Layers;
using ShardSharp.TensorParallel.Replacement;
using static TorchSharp.torch;

namespace ShardSharp;

public sealed partial class Session
{
    private readonly TensorParallelMarks _tensorParallel = new();

    /// <summary>
    /// The ranks that share distributed modules of this session, as <c>prescaled_batch</c> and <c>optimize</c> say: what such modules are created with.
    /// </summary>
    public TensorRanks TensorRanks => new(Groups.Tensor) { PrescaledBatch = Configuration.PrescaledBatch, Optimize = Configuration.Optimize };

    /// <summary>Which distributed modules take the place of which modules, where tensor parallelism is on.</summary>
    public TensorParallelRegistry TensorParallelRegistry { get; } = new();

    /// <summary>
    /// Turns tensor parallelism on or off for a module: <c>session.DistributedModel</c> replaces the outermost registered modules below it,
    /// or itself. Within <c>create</c> of it.
    /// </summary>
    /// <param name="module">The module; what is set for a module below it goes before.</param>
    /// <param name="enabled">Whether to replace.</param>
    public void SetTensorParallelism(nn.Module module, bool enabled = true)
    {
        ArgumentNullException.ThrowIfNull(module);
        _tensorParallel.Set(module, enabled);
    }

    /// <summary>
    /// Turns tensor parallelism on or off for the modules that this thread creates until the result is disposed (SMP:
    /// <c>smp.tensor_parallelism</c>); the innermost scope counts, and what is set for a module itself goes before.
    /// </summary>
    /// <remarks>
    /// Modules are known by the parameters that they make. One that has parameters of several scopes is not replaced itself; its parts are looked
    /// at in turn.
    /// </remarks>
    /// <param name="enabled">Whether to replace.</param>
    /// <returns>The scope; dispose it on the same thread, within <c>create</c> of <c>session.DistributedModel</c>.</returns>
    /// <exception cref="PlatformNotSupportedException">This is for Linux x64; elsewhere use the other overload, or
    /// <see cref="SetTensorParallelism"/>.</exception>
    public IDisposable TensorParallelism(bool enabled = true) =>
        Groups.Tensor.Size > 1 ? new CreationScope(_tensorParallel, enabled ? 1 : 0) : new NoScope();

    /// <summary>Creates a module with tensor parallelism on or off for it; what is created so within it goes before.</summary>
    /// <typeparam name="TModule">The module's type.</typeparam>
    /// <param name="create">Creates it.</param>
    /// <param name="enabled">Whether to replace.</param>
    /// <returns>The module, which is replaced by <c>session.DistributedModel</c>.</returns>
    public TModule TensorParallelism<TModule>(Func<TModule> create, bool enabled = true)
        where TModule : nn.Module
    {
        ArgumentNullException.ThrowIfNull(create);
        var module = create();
        _tensorParallel.SetOuter(module, enabled);
        return module;
    }

    /// <summary>Takes note of the modules that were created in scopes, while their parameters are where they were made.</summary>
    private void NoteTensorParallelism(nn.Module model)
    {
        foreach (var (module, enabled) in CreationScope.Created(model, _tensorParallel))
            _tensorParallel.SetOuter(module, enabled == 1);
    }

    /// <summary>Replaces what tensor parallelism is on for; nothing with a degree of 1.</summary>
    /// <returns>Whether the model has distributed modules, and so needs no plan.</returns>
    private bool ReplaceModules(nn.Module root)
    {
        if (Groups.Tensor.Size > 1 && _tensorParallel.AreIn(root))
        {
            lock (_construction)
            {
                manual_seed(Configuration.Seed);
                _tensorParallel.Replace(root, TensorParallelRegistry, TensorRanks, MoveStage);
            }
        }

        if (!DistributedModules.AreIn(root))
            return false;

        // Ranks of one process share a generator: none draws masks from it while another still builds its parts.
        if (Groups.Tensor.Size > 1)
            Groups.Tensor.Barrier();

        // What is whole begins the same on all ranks also where a program makes it differ.
        var layouts = DistributedModules.LayoutsOf(root);
        foreach (var (name, parameter) in root.named_parameters())
        {
            if (Groups.Tensor.Size > 1 && layouts.Of(name, parameter).IsWhole)
                Groups.Tensor.Broadcast(parameter, root: 0);
        }

        new ReplicaSynchronizer(root, Groups.Tensor).BroadcastBuffers();
        return true;
    }
}
