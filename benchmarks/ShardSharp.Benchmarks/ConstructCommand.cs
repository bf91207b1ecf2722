using System.CommandLine;
using System.Diagnostics;
using System.Security.Cryptography;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Benchmarks;

/// <summary><c>construct</c>: the memory and time of building a model, in memory or delayed.</summary>
internal static class ConstructCommand
{
    private const int Width = 4096;
    private const int MegabytesOfLayer = Width * Width * sizeof(float) >> 20;

    public static Command Create()
    {
        var megabytes = PositiveOption.Create("--mib", 2048, $"Size of the model in MiB, in layers of {MegabytesOfLayer}.");
        var delayed = new Option<bool>("--delayed") { Description = "Delayed initialisation." };
        var command = new Command("construct", "Builds a model and prints peak memory, time and a hash of its parameters.") { megabytes, delayed };
        command.SetAction(arguments => RankRun.Launch(
            new ParallelConfiguration { DelayedParameterInitialization = arguments.GetValue(delayed) },
            session => [Measure(session, arguments.GetValue(megabytes) / MegabytesOfLayer)]));
        return command;
    }

    private static ConstructResult Measure(Session session, int layers)
    {
        ConstructResult? result = null;
        using var model = session.DistributedModel(() =>
        {
            var memory = new ProcessMemory();
            var watch = Stopwatch.StartNew();
            var module = nn.Sequential(Enumerable.Range(0, layers).Select(_ => nn.Linear(Width, Width, hasBias: false)));
            var seconds = watch.Elapsed.TotalSeconds;
            memory.Dispose();
            result = new ConstructResult(
                session.Configuration.DelayedParameterInitialization, layers * MegabytesOfLayer, Math.Round(memory.PeakProportionalSet, 1),
                Math.Round(seconds, 2), Hash: "");
            return module;
        });
        return result! with { Hash = Hash(model) };
    }

    private static string Hash(DistributedModel model)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var parameter in model.Parameters)
            hash.AppendData(parameter.bytes);
        return Convert.ToHexStringLower(hash.GetHashAndReset())[..16];
    }

    private sealed record ConstructResult(bool Delayed, int Mib, double PeakPssMib, double Seconds, string Hash);
}
