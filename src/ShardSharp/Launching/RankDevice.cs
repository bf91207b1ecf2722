using ShardSharp.Communication;
using ShardSharp.Communication.Nccl;
using ShardSharp.Native;

namespace ShardSharp.Launching;

/// <summary>The GPUs of this host for the ranks that run on it.</summary>
internal static class RankDevice
{
    /// <summary>Opens a rank's GPU.</summary>
    /// <param name="localRank">The rank among those of its host.</param>
    /// <param name="localSize">Ranks of the host.</param>
    /// <exception cref="CommunicationException">There is none for it, or libtorch cannot use it.</exception>
    public static ICudaDevice Open(int localRank, int localSize)
    {
        try
        {
            return CudaDevices.OfThisProcess.Open(
                NcclRendezvous.DeviceOf(CudaDriver.Load().DeviceCount, localRank, localSize, NcclRendezvous.SharesDevices));
        }
        catch (CudaException failure)
        {
            throw new CommunicationException(failure.Message, failure);
        }
    }

    /// <summary>Looks, before ranks are started on this host, whether there is a GPU for each.</summary>
    /// <exception cref="PlatformNotSupportedException">There is not; the message says what would work.</exception>
    public static void RequireEnough(int ranks)
    {
        try
        {
            var visible = CudaDriver.Load().DeviceCount;
            if (visible < ranks && !(visible > 0 && NcclRendezvous.SharesDevices))
            {
                throw new PlatformNotSupportedException(
                    $"NCCL needs a GPU for each rank: ranks = {ranks}, and this host shows {visible} (CUDA_VISIBLE_DEVICES = "
                    + $"{Environment.GetEnvironmentVariable("CUDA_VISIBLE_DEVICES") ?? "not set"}). Start at most {visible} ranks.");
            }
        }
        catch (CudaException failure)
        {
            throw new PlatformNotSupportedException($"NCCL needs a GPU for each rank. {failure.Message}", failure);
        }
    }
}
