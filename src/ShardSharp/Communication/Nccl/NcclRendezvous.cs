using ShardSharp.Native;

namespace ShardSharp.Communication.Nccl;

/// <summary>Where ranks that have met on the host get a GPU each.</summary>
internal static class NcclRendezvous
{
    /// <summary>NCCL's own switch (NCCL User Guide, environment variables).</summary>
    private const string SharingVariable = "NCCL_MULTI_RANK_GPU_ENABLE";

    /// <summary>Loads NCCL and makes the group of all ranks; all do it together.</summary>
    /// <param name="host">All ranks, through the host; owned by the result.</param>
    /// <param name="device">The rank's GPU.</param>
    /// <param name="deadline">The longest that an operation may take.</param>
    /// <param name="site">Where the program asked for it.</param>
    /// <exception cref="CommunicationException">There is no NCCL, or ranks share a GPU.</exception>
    public static NcclProcessGroup Join(ProcessGroup host, ICudaDevice device, TimeSpan deadline, CallSite site)
    {
        try
        {
            var named = Environment.GetEnvironmentVariable(NcclLibrary.Variable);
            var library = NcclLibrary.Load(NcclLibrary.Candidates(named, TorchInstallation.DefaultFolders()));
            return Join(host, library.EntryPoints, CudaDevices.OfThisProcess, device, deadline, site, SharesDevices);
        }
        catch (Exception failure) when (failure is DllNotFoundException or NotSupportedException or CudaException)
        {
            throw new CommunicationException(failure.Message, failure);
        }
    }

    /// <summary>Makes the group of all ranks with a library that is loaded.</summary>
    internal static NcclProcessGroup Join(
        ProcessGroup host, INcclEntryPoints entryPoints, ICudaDevices devices, ICudaDevice device, TimeSpan deadline, CallSite site,
        bool sharesDevices = false)
    {
        if (!sharesDevices)
            RequireOwnDevice(host, device, site);
        return new NcclProcessGroup(new NcclWorld(entryPoints, device, host, deadline), host, devices, site);
    }

    /// <summary>The number of the GPU that a rank uses.</summary>
    /// <param name="visible">GPUs that the process sees.</param>
    /// <param name="localRank">The rank among those of its host.</param>
    /// <param name="localSize">Ranks of the host.</param>
    /// <param name="sharesDevices">Whether ranks may have the same.</param>
    /// <exception cref="CommunicationException">There are too few.</exception>
    public static int DeviceOf(int visible, int localRank, int localSize, bool sharesDevices = false)
    {
        // A launcher that shows each rank a GPU of its own has chosen already; whether it did comes out when the ranks compare.
        if (visible == 1)
            return 0;
        if (sharesDevices)
            return localRank % visible;
        return visible >= localSize ? localRank : throw new CommunicationException(
            $"NCCL needs a GPU for each rank: {localSize} ranks on this host, {visible} GPUs (CUDA_VISIBLE_DEVICES = "
            + $"{Environment.GetEnvironmentVariable("CUDA_VISIBLE_DEVICES") ?? "not set"}). Start at most {visible} ranks here.");
    }

    /// <summary>
    /// Whether ranks may have the same GPU, to try a layout of many on few: whoever starts the run says so, and NCCL has to let them (release 2.30).
    /// </summary>
    public static bool SharesDevices => Environment.GetEnvironmentVariable(SharingVariable) == "1";

    private static void RequireOwnDevice(ProcessGroup host, ICudaDevice device, CallSite site)
    {
        var shared = host.AllGatherObject(device.Identity, site.File, site.Line).Select((identity, rank) => (identity, rank))
            .GroupBy(pair => pair.identity, pair => host.GlobalRanks[pair.rank]).FirstOrDefault(ranks => ranks.Count() > 1);
        if (shared is not null)
        {
            throw new CommunicationException(
                $"Ranks {string.Join(", ", shared)} have the same GPU, {shared.Key}; NCCL needs one for each. Start fewer ranks, or show each "
                + $"its own with CUDA_VISIBLE_DEVICES. To try a layout on few GPUs set {SharingVariable}=1, with NCCL 2.30 or newer.");
        }
    }
}
