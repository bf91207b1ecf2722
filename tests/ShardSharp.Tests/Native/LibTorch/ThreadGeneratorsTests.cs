using ShardSharp.Native;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Native.LibTorch;

/// <summary>A thread draws its own random numbers, whatever other threads draw meanwhile.</summary>
public sealed class ThreadGeneratorsTests
{
    [Fact]
    public void Threads_draw_what_each_would_alone()
    {
        var alone = Draw(seed: 5);
        var drawn = new float[4][];
        var threads = Enumerable.Range(0, drawn.Length).Select(i => new Thread(() => drawn[i] = Draw(seed: 5))).ToList();
        threads.ForEach(thread => thread.Start());
        threads.ForEach(thread => thread.Join());
        Assert.All(drawn, numbers => Assert.Equal(alone, numbers));
        Assert.NotEqual(alone, Draw(seed: 6));
    }

    [Fact]
    public void Seeds_and_states_are_the_threads_own()
    {
        using var use = ThreadGenerators.TryUse(1);
        Assert.NotNull(use);
        manual_seed(7);
        using var state = random.get_rng_state();
        using var first = rand(10);
        var other = new Thread(() => rand(100).Dispose());
        other.Start();
        other.Join();
        random.set_rng_state(state);
        using var second = nn.functional.dropout(ones(10), 0.5, training: true);
        manual_seed(7);
        using var third = nn.functional.dropout(ones(10), 0.5, training: true);
        Assert.Equal(second.data<float>().ToArray(), third.data<float>().ToArray());
    }

    private static float[] Draw(ulong seed)
    {
        using var use = ThreadGenerators.TryUse(seed);
        Assert.NotNull(use);
        using var scope = NewDisposeScope();
        return [.. Enumerable.Range(0, 200).SelectMany(_ => nn.functional.dropout(rand(3), 0.3, training: true).data<float>().ToArray())];
    }
}
