using ShardSharp.Modules;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Activations;

/// <summary>
/// Has a linear layer keep its product while a region is called, and return that when the region computes again. Hooks cannot leave forward out,
/// so it then multiplies no rows.
/// </summary>
/// <remarks>The hooks are the innermost: what is kept is the product itself, without what tensor parallelism makes of it.</remarks>
internal sealed class KeptLinear : IDisposable
{
    private readonly Linear _linear;
    private readonly Recomputation _recomputation;
    private readonly ModuleHooks _hooks;
    private Tensor? _input;
    private bool _isReplayed;

    /// <param name="linear">The layer.</param>
    /// <param name="recomputation">What the model's regions share.</param>
    public KeptLinear(Linear linear, Recomputation recomputation)
    {
        (_linear, _recomputation) = (linear, recomputation);
        _hooks = new ModuleHooks(linear, Before, After);
    }

    public void Dispose() => _hooks.Dispose();

    private object?[] Before(object?[] given)
    {
        _input = (Tensor)given[0]!;
        _isReplayed = _recomputation.Replaying?.Keeps(_linear, _input) is true;
        return _isReplayed ? [empty(0, _input.shape[^1], _input.dtype, _input.device)] : given;
    }

    private Tensor After(object? returned)
    {
        var input = _input!;
        _input = null;
        var product = (Tensor)returned!;
        if (_isReplayed)
        {
            product.Dispose();
            product = ProductFunction.Run(_recomputation.Replaying!.Next(), input, _linear.weight!, _linear.bias, _recomputation);
        }

        if (_recomputation.Recording?.Keeps(_linear, input) is true)
            _recomputation.Recording.Add(product);
        return product;
    }
}
