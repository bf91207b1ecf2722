using static TorchSharp.torch;

namespace ShardSharp.Checkpoints;

/// <summary>
/// The state of libtorch's random generator of the CPU, of each rank its own. TorchSharp does not show those of GPUs.
/// </summary>
internal static class RandomState
{
    private const string Prefix = "random/cpu/";

    /// <summary>This rank's state; a new tensor.</summary>
    public static HeldTensor Of(int rank)
    {
        var state = random.get_rng_state();
        return new HeldTensor(NameOf(rank), TensorPart.Whole(state.shape), state);
    }

    /// <summary>Goes on with the state of the rank; one that was not there draws other numbers than those that were.</summary>
    public static void Restore(CheckpointReader reader, int rank)
    {
        if (reader.Find(NameOf(rank)) is not null)
        {
            using var state = reader.Read(NameOf(rank));
            random.set_rng_state(state);
        }
        else if (reader.Find(NameOf(0)) is not null)
        {
            using var first = reader.Read(NameOf(0));
            manual_seed(((long)BlockChecksums.Of(first.bytes) << 20) + rank);
        }
    }

    private static string NameOf(int rank) => $"{Prefix}{rank}";
}
