using static TorchSharp.torch;

namespace ShardSharp.Activations;

/// <summary>Where this rank's random numbers stood when a region began, so that it can draw the same once more.</summary>
internal sealed class RandomState : IDisposable
{
    private readonly Tensor _state = random.get_rng_state().DetachFromDisposeScope();

    /// <summary>Whether numbers have been drawn since.</summary>
    public bool HasAdvanced
    {
        get
        {
            using var now = random.get_rng_state();
            return !now.bytes.SequenceEqual(_state.bytes);
        }
    }

    /// <summary>Goes back to where they stood; the result, once disposed, to where they are now.</summary>
    public Return Replay()
    {
        var now = new RandomState();
        random.set_rng_state(_state);
        return new Return(now);
    }

    public void Dispose() => _state.Dispose();

    /// <summary>The way back from a <see cref="Replay"/>.</summary>
    public readonly ref struct Return(RandomState? state)
    {
        public void Dispose()
        {
            if (state is null)
                return;
            random.set_rng_state(state._state);
            state.Dispose();
        }
    }
}
