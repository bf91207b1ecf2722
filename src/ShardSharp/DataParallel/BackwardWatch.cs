using ShardSharp.Modules;
using ShardSharp.Native;
using static TorchSharp.torch;

namespace ShardSharp.DataParallel;

/// <summary>Tells during backward, every so often, that more gradients are known.</summary>
/// <remarks>
/// It does so when backward leaves one of the largest parts of the model that fit in a bucket and are called with one tensor, through
/// <c>call</c>. Which gradients are known then is for the caller to see: other parts of the model may share the parameters.
/// </remarks>
internal sealed class BackwardWatch : IDisposable
{
    private readonly Dictionary<nn.Module, ModuleHooks> _hooks = new(ReferenceEqualityComparer.Instance);
    private readonly Action _passed;

    /// <param name="passed">Called on the thread that runs backward; it must not throw.</param>
    public BackwardWatch(Action passed) => _passed = passed;

    /// <summary>Watches the largest parts of a module that can be watched.</summary>
    /// <param name="part">The module.</param>
    /// <param name="capacity">Bytes of parameters that a watched part has at most, if it can be divided.</param>
    public void Watch(nn.Module part, long capacity)
    {
        var bytes = part.parameters().Sum(TensorBytes.Of);
        if (part is nn.Module<Tensor, Tensor> && (bytes <= capacity || !part.children().Any()))
        {
            if (bytes > 0 && !_hooks.ContainsKey(part))
                _hooks[part] = new ModuleHooks(part, given => [MarkIfRecorded((Tensor)given[0]!)], static returned => returned);
            return;
        }

        foreach (var child in part.children())
            Watch(child, capacity);
    }

    public void Dispose()
    {
        foreach (var hook in _hooks.Values)
            hook.Dispose();
    }

    private Tensor MarkIfRecorded(Tensor input) =>
        input.requires_grad && is_grad_enabled() ? BackwardMarker.Mark(input, _passed) : input;
}
