using System.CommandLine;
using System.Diagnostics;
using ShardSharp.Checkpoints;
using ShardSharp.Modules;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Benchmarks;

/// <summary><c>checkpoint</c>: saving and loading the benchmark's GPT with the state of AdamW, beside dd on the same disk.</summary>
internal static class CheckpointCommand
{
    public static Command Create()
    {
        var ranks = PositiveOption.Create("--ranks", 1, "Ranks that hold copies of the model.");
        var hidden = PositiveOption.Create("--hidden", 512, "Width of the model; a multiple of 8.");
        var steps = PositiveOption.Create("--steps", 2, "Training steps to time with a save in the background; 0 leaves them out.", least: 0);
        var repetitions = PositiveOption.Create("--repetitions", 3, "How often to save and load.");
        var folder = new Option<string>("--folder") { Description = "Where to save. Default: the temporary folder.", DefaultValueFactory = _ => Path.GetTempPath() };
        var command = new Command("checkpoint", "Times saving and loading a checkpoint, and what a save in the background costs a step.")
        {
            ranks, hidden, steps, repetitions, folder,
        };
        command.SetAction(arguments =>
        {
            var path = Path.Combine(arguments.GetValue(folder)!, "shardsharp-benchmark-checkpoints");
            return RankRun.Launch(
                new ParallelConfiguration { Ranks = arguments.GetValue(ranks), ThreadsPerRank = 1 },
                session => [Run(session, path, arguments.GetValue(hidden), arguments.GetValue(steps), arguments.GetValue(repetitions))]);
        });
        return command;
    }

    private static CheckpointResult Run(Session session, string folder, int hidden, int steps, int repetitions)
    {
        using var scope = NewDisposeScope();
        var shape = new GptShape(8192, 256, hidden, 8, 8);
        using var model = session.DistributedModel(() => new GptModel(shape));
        using var optimizer = session.DistributedOptimizer(model, parameters => optim.AdamW(parameters, TrainBenchmark.LearningRate));
        foreach (var parameter in model.Parameters)
            parameter.grad = full_like(parameter, 1e-3).detach();
        optimizer.step();
        optimizer.zero_grad();
        var (saves, copies, loads) = (new List<double>(), new List<double>(), new List<double>());
        long bytes = 0;
        for (var i = 0; i < repetitions; i++)
        {
            saves.Add(Seconds(session, () => session.SaveCheckpoint(folder, $"save-{i}", keptPartialCheckpoints: 1)));
            bytes = new DirectoryInfo(Path.Combine(folder, $"save-{i}_partial")).EnumerateFiles().Sum(file => file.Length);
            copies.Add(Seconds(session, () => Copy(session, Path.Combine(folder, "dd"), bytes)));
            loads.Add(Seconds(session, () => session.ResumeFromCheckpoint(folder)));
        }

        var slice = SliceRatio(Path.Combine(folder, $"save-{repetitions - 1}_partial"));
        var (step, call, during) = Background(session, model, optimizer, folder, shape, steps);
        session.Groups.World.Barrier();
        if (session.IsFirstRank)
            Directory.Delete(folder, recursive: true);
        var (save, copy, load) = (Median.Of(saves), Median.Of(copies), Median.Of(loads));
        return new CheckpointResult(
            session.Size, bytes / 1e6, save, bytes / 1e9 / save, copy, copy / save, load, session.Size * bytes / 1e9 / load, slice, step, call, during);
    }

    private static double Seconds(Session session, Action action)
    {
        session.Groups.World.Barrier();
        var watch = Stopwatch.StartNew();
        action();
        session.Groups.World.Barrier();
        return watch.Elapsed.TotalSeconds;
    }

    /// <summary>What the disk does: as many bytes, written by dd and flushed.</summary>
    private static void Copy(Session session, string file, long bytes)
    {
        if (!session.IsFirstRank)
            return;
        string[] arguments = ["if=/dev/zero", $"of={file}", "bs=1M", $"count={bytes >> 20}", "conv=fsync", "status=none"];
        using (var copy = Process.Start("dd", arguments))
            copy.WaitForExit();
        File.Delete(file);
    }

    /// <summary>Bytes read for each byte of one tensor-parallel half: the columns of every other matrix, the rows of the rest.</summary>
    private static double SliceRatio(string checkpoint)
    {
        using var reader = CheckpointReader.Open(checkpoint);
        var needed = 0L;
        foreach (var (i, tensor) in reader.Index.Tensors.Where(tensor => tensor.Shape.Count == 2).Index())
        {
            using var scope = NewDisposeScope();
            var layout = ParameterLayout.Divided([.. tensor.Shape], i % 2, [new IndexRange(0, tensor.Shape[i % 2] / 2)]);
            var half = empty(tensor.Shape[0] * tensor.Shape[1] / 2);
            reader.Read(tensor.Name, TensorPart.Of(layout, 0, half.numel()), half);
            needed += half.numel() * half.element_size();
        }

        return (double)reader.BytesRead / needed;
    }

    private static (double? Step, double? Call, double? During) Background(
        Session session, DistributedModel<GptModel> model, DistributedOptimizer optimizer, string folder, GptShape shape, int steps)
    {
        if (steps == 0)
            return default;
        var tokens = randint(shape.Vocabulary, [8 / session.Size, shape.Sequence], ScalarType.Int64);
        var (plain, call, during) = (new List<double>(), new List<double>(), new List<double>());
        Step();
        for (var i = 0; i < steps; i++)
        {
            plain.Add(Seconds(session, Step));
            during.Add(Seconds(session, () =>
            {
                call.Add(Seconds(session, () => session.SaveCheckpoint(folder, $"background-{i}", keptPartialCheckpoints: 1, inBackground: true)));
                Step();
            }));
            session.FinishCheckpoint();
        }

        return (Median.Of(plain), Median.Of(call), Median.Of(during));

        void Step()
        {
            using var loss = model.Step(tokens, tokens, TrainBenchmark.Loss);
            optimizer.step();
            optimizer.zero_grad();
        }
    }
}

/// <summary>What <c>checkpoint</c> prints.</summary>
/// <param name="Ranks">Ranks, each with a copy of the model.</param>
/// <param name="Mb">Size of the checkpoint in megabytes.</param>
/// <param name="SaveS">Median time of a save in seconds.</param>
/// <param name="SaveGbps">Gigabytes saved per second.</param>
/// <param name="DdS">Median time in which dd writes and flushes as many bytes.</param>
/// <param name="SaveToDd">Speed of saving as a share of dd's.</param>
/// <param name="LoadS">Median time of a load, from files in the page cache.</param>
/// <param name="LoadGbps">Gigabytes loaded per second, all ranks together.</param>
/// <param name="SliceRatio">Bytes read for each byte of a tensor-parallel half.</param>
/// <param name="StepS">Median time of a training step.</param>
/// <param name="CallS">Median time for which a save in the background stops training.</param>
/// <param name="StepWithSaveS">Median time of a step with that save before it, which is written during the step.</param>
internal sealed record CheckpointResult(
    int Ranks, double Mb, double SaveS, double SaveGbps, double DdS, double SaveToDd, double LoadS, double LoadGbps, double SliceRatio,
    double? StepS, double? CallS, double? StepWithSaveS);
