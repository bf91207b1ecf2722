using ShardSharp.Modules;
using TorchSharp;
using static TorchSharp.torch;

namespace ShardSharp.Activations;

/// <summary>Has what a layer computes and autograd does not keep go when its forward ends, rather than when that of the whole model does.</summary>
internal sealed class LayerScope : IDisposable
{
    private readonly ModuleHooks _hooks;
    private DisposeScope? _scope;

    /// <param name="layer">The layer.</param>
    public LayerScope(nn.Module layer) => _hooks = new ModuleHooks(layer, Before, After);

    public void Dispose() => _hooks.Dispose();

    private object?[] Before(object?[] given)
    {
        _scope = NewDisposeScope();
        return given;
    }

    private object? After(object? returned)
    {
        if (_scope is null)
            return returned;
        var tensors = TensorParts.Of(returned, out var complete);
        foreach (var tensor in tensors.Where(_scope.Contains))
            tensor.MoveToOuterDisposeScope();

        // What cannot be looked into may hold tensors that are still needed: all go with the caller's scope.
        if (!complete)
            _scope.MoveToOuter([.. _scope.DisposablesView]);
        _scope.Dispose();
        _scope = null;
        return returned;
    }
}
