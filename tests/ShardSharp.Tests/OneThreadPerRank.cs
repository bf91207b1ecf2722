using static TorchSharp.torch;

[assembly: AssemblyFixture(typeof(ShardSharp.Tests.OneThreadPerRank))]

namespace ShardSharp.Tests;

/// <summary>
/// Has libtorch compute on the thread that asks. Tests run side by side, with ranks that are threads themselves; what several threads of
/// libtorch would do on cores that are busy anyway is wait for each other.
/// </summary>
public sealed class OneThreadPerRank
{
    public OneThreadPerRank() => set_num_threads(1);
}
