using ShardSharp.Modules;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Adapters;

/// <summary>The adapter of one linear: two linears below it in the module tree, whose product is added to what it returns.</summary>
/// <remarks>
/// As children of the linear their parameters have names in the model, and belong to the same unit where parameters are sharded. The linear
/// stays what it is: a hook on its call adds what they compute.
/// </remarks>
internal sealed class LoraLayer
{
    private readonly Linear _target;
    private readonly LoraOptions _options;
    private readonly Dropout? _dropout;
    private readonly nn.Module<Tensor, Tensor>.HookRemover _hook;

    public LoraLayer(string name, Linear target, LoraOptions options)
    {
        (Name, _target, _options) = (name, target, options);
        var weight = target.weight!;
        Down = nn.Linear(weight.shape[1], options.Rank, hasBias: false, weight.device, weight.dtype);
        Up = nn.Linear(options.Rank, weight.shape[0], hasBias: false, weight.device, weight.dtype);

        // Zeros here let the adapted model begin as the model itself (Hu et al. 2021, section 4.1).
        using (no_grad())
            Up.weight!.zero_();
        target.register_module(LinearAdapter.DownName, Down);
        target.register_module(LinearAdapter.UpName, Up);
        if (options.Dropout > 0)
        {
            // A module, so that ranks agree on what it drops where they share the layer.
            _dropout = nn.Dropout(options.Dropout);
            _dropout.train(target.training);
            target.register_module(LinearAdapter.DropoutName, _dropout);
        }

        _hook = target.register_forward_hook(Adapted);
    }

    /// <summary>The linear's name in the model.</summary>
    public string Name { get; }

    /// <summary>From the inputs to as many numbers as the rank.</summary>
    public Linear Down { get; }

    /// <summary>From there to the outputs.</summary>
    public Linear Up { get; }

    /// <summary>The names of the adapter's parameters in the model.</summary>
    public string DownWeight => $"{Name}.{LinearAdapter.DownName}.weight";

    /// <inheritdoc cref="DownWeight"/>
    public string UpWeight => $"{Name}.{LinearAdapter.UpName}.weight";

    /// <summary>The adapter's parameters, with their names in the model.</summary>
    public IEnumerable<(string Name, Tensor Value)> Parameters => [(DownWeight, Down.weight!), (UpWeight, Up.weight!)];

    /// <summary>The weight of a linear that computes the same without the adapter.</summary>
    /// <param name="weight">The linear's weight, whole.</param>
    /// <param name="down">The adapter's weights, likewise.</param>
    /// <param name="up">See <paramref name="down"/>.</param>
    public Tensor Merged(Tensor weight, Tensor down, Tensor up)
    {
        using var unrecorded = no_grad();
        using var scope = NewDisposeScope();
        using Scalar scale = Scale;

        // In float32 at least: a weight of a narrow type is rounded once.
        var wide = promote_types(weight.dtype, ScalarType.Float32);
        var added = up.to_type(wide).matmul(down.to_type(wide)) * scale;
        return (weight.to_type(wide) + added).to_type(weight.dtype).MoveToOuterDisposeScope();
    }

    /// <summary>Takes the adapter into the weight, and away.</summary>
    public void Merge()
    {
        using (no_grad())
        {
            using var merged = Merged(_target.weight!, Down.weight!, Up.weight!);
            _target.weight!.copy_(merged);
        }

        Remove();
    }

    /// <summary>Takes the adapter away.</summary>
    public void Remove()
    {
        _hook.remove();
        _target.register_module(LinearAdapter.DownName, null!);
        _target.register_module(LinearAdapter.UpName, null!);
        if (_dropout is not null)
            _target.register_module(LinearAdapter.DropoutName, null!);
        Down.Dispose();
        Up.Dispose();
        _dropout?.Dispose();
    }

    private double Scale => _options.Alpha / _options.Rank;

    private Tensor Adapted(nn.Module<Tensor, Tensor> module, Tensor input, Tensor output)
    {
        using var scope = NewDisposeScope();
        using Scalar scale = Scale;
        var kept = _dropout is null ? input : _dropout.call(input);
        return (output + Up.call(Down.call(kept)) * scale).MoveToOuterDisposeScope();
    }
}
