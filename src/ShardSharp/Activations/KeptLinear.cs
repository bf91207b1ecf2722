using ShardSharp.Modules;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Activations;

/// <summary>
/// Has a linear layer keep its product while a region is called, and return that when the region computes again, or something else if nothing
/// needs it. Hooks cannot leave forward out, so it then multiplies no rows.
/// </summary>
/// <remarks>The hooks are the innermost: what is kept is the product itself, without what tensor parallelism makes of it.</remarks>
internal sealed class KeptLinear : IDisposable
{
    private readonly Linear _linear;
    private readonly Recomputation _recomputation;
    private readonly ModuleHooks _hooks;
    private Tensor? _input;
    private Tensor? _known;

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
        _known = _recomputation.Replaying is { } outputs && outputs.Includes(_linear, _input) ? outputs.TakeProduct() : null;
        return _known is not null ? [empty(0, _input.shape[^1], _input.dtype, _input.device)] : given;
    }

    private Tensor After(object? returned)
    {
        var (input, known, product) = (_input!, _known, (Tensor)returned!);
        (_input, _known) = (null, null);
        if (known is not null)
        {
            product.Dispose();
            product = ProductFunction.Run(known, input, _linear.weight!, _linear.bias, _recomputation);
        }

        if (_recomputation.Recording is { } outputs && outputs.Includes(_linear, input))
            outputs.Add(_linear, product);
        return product;
    }
}
