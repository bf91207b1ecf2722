using System.CommandLine;
using System.Diagnostics;
using System.Security.Cryptography;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Benchmarks;

/// <summary><c>construct</c>: the memory and time of building a model and sharding it over the ranks, at once or delayed.</summary>
internal static class ConstructCommand
{
    private const int Width = 4096;
    private const int MegabytesOfLayer = Width * Width * sizeof(float) >> 20;

    public static Command Create()
    {
        var megabytes = PositiveOption.Create("--mib", 2048, $"Size of the model in MiB, in layers of {MegabytesOfLayer}.");
        var ranks = PositiveOption.Create("--ranks", 4, "Number of ranks, which share the model.");
        var delayed = new Option<bool>("--delayed") { Description = "Delayed initialisation." };
        var command = new Command("construct", "Builds a model and prints peak memory, time and a hash of its parameters.")
        {
            megabytes, ranks, delayed,
        };
        command.SetAction(arguments => RankRun.Launch(
            new ParallelConfiguration
            {
                Ranks = arguments.GetValue(ranks),
                ShardedDataParallelDegree = arguments.GetValue(ranks),
                DelayedParameterInitialization = arguments.GetValue(delayed),
            },
            session => [Measure(session, arguments.GetValue(megabytes) / MegabytesOfLayer)]));
        return command;
    }

    private static ConstructResult Measure(Session session, int layers)
    {
        var memory = new ProcessMemory();
        var watch = Stopwatch.StartNew();
        using var model = session.DistributedModel(
            () => nn.Sequential(Enumerable.Range(0, layers).Select(_ => nn.Linear(Width, Width, hasBias: false))));
        var seconds = watch.Elapsed.TotalSeconds;
        memory.Dispose();
        var peaks = session.Groups.World.AllGatherObject(Math.Round(memory.PeakProportionalSet, 1));
        return new ConstructResult(
            session.Configuration.DelayedParameterInitialization, session.Size, layers * MegabytesOfLayer, peaks, Math.Round(seconds, 2),
            Hash(model.Module));
    }

    private static string Hash(nn.Module module)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var parameter in module.parameters())
            hash.AppendData(parameter.bytes);
        return Convert.ToHexStringLower(hash.GetHashAndReset())[..16];
    }

    private sealed record ConstructResult(
        bool Delayed, int Ranks, int Mib, IReadOnlyList<double> PeakPssMib, double Seconds, string Hash);
}
