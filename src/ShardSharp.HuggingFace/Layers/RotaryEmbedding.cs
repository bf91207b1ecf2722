using ShardSharp.HuggingFace.Configuration;
using TorchSharp;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Layers;

/// <summary>Turns queries and keys by angles that grow with the position. The layers of a model share one.</summary>
/// <param name="settings">How many dimensions turn, and how fast.</param>
/// <param name="interleaved">Whether a pair is two neighbouring dimensions (GPT-J), or one of each half of the rotated ones.</param>
internal sealed class RotaryEmbedding(RotarySettings settings, bool interleaved = false) : IDisposable
{
    private readonly Lock _lock = new();
    private (Tensor Cosine, Tensor Sine)? _table;

    /// <param name="heads">[batch, heads, sequence, size]</param>
    /// <returns>The same, turned.</returns>
    public Tensor Apply(Tensor heads)
    {
        using var scope = NewDisposeScope();
        var (cosine, sine) = Table(heads);
        if (settings.Dimensions == heads.shape[3])
            return Turned(heads, cosine, sine).MoveToOuterDisposeScope();
        var turned = Turned(heads.narrow(3, 0, settings.Dimensions), cosine, sine);
        var rest = heads.narrow(3, settings.Dimensions, heads.shape[3] - settings.Dimensions);
        return cat([turned, rest], 3).MoveToOuterDisposeScope();
    }

    public void Dispose()
    {
        _table?.Cosine.Dispose();
        _table?.Sine.Dispose();
        _table = null;
    }

    private Tensor Turned(Tensor input, Tensor cosine, Tensor sine) => (input * cosine) + (QuarterTurned(input) * sine);

    /// <summary>Each pair (a, b) as (-b, a).</summary>
    private Tensor QuarterTurned(Tensor input)
    {
        if (interleaved)
        {
            var pairs = input.unflatten(3, -1, 2);
            return stack([-pairs.select(4, 1), pairs.select(4, 0)], 4).flatten(3);
        }

        var half = settings.Dimensions / 2;
        return cat([-input.narrow(3, half, half), input.narrow(3, 0, half)], 3);
    }

    /// <summary>Cosines and sines of the positions of <paramref name="heads"/>, of its type [sequence, Dimensions].</summary>
    private (Tensor Cosine, Tensor Sine) Table(Tensor heads)
    {
        var length = heads.shape[2];
        lock (_lock)
        {
            if (_table is not { } table || table.Cosine.shape[0] < length || table.Cosine.dtype != heads.dtype
                || table.Cosine.device != heads.device)
            {
                Dispose();
                _table = table = Computed(length, heads);
            }

            return (table.Cosine.narrow(0, 0, length), table.Sine.narrow(0, 0, length));
        }
    }

    private (Tensor Cosine, Tensor Sine) Computed(long length, Tensor heads)
    {
        using var unrecorded = no_grad();
        using var scope = NewDisposeScope();
        using Scalar factor = settings.Scaling.AttentionFactor;
        var angles = outer(arange(length, dtype: ScalarType.Float32), settings.Frequencies());
        angles = interleaved ? angles.repeat_interleave(2, 1) : cat([angles, angles], 1);
        return (Kept(angles.cos()), Kept(angles.sin()));

        // The table outlives the caller's dispose scopes.
        Tensor Kept(Tensor values) => (values * factor).to(heads.dtype, heads.device).DetachFromDisposeScope();
    }
}
