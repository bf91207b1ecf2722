using System.Text.Json;
using ShardSharp.Checkpoints;
using ShardSharp.Communication;
using ShardSharp.DataParallel;
using static TorchSharp.torch;

namespace ShardSharp;

/// <summary>Loads one checkpoint into what a session has.</summary>
internal sealed class Resumption
{
    private readonly ProcessGroup _group;
    private readonly string _path;
    private readonly string _tag;
    private readonly bool _partial;

    private Resumption(ProcessGroup group, string path, string tag, bool partial) => (_group, _path, _tag, _partial) = (group, path, tag, partial);

    /// <summary>Finds the checkpoint; all ranks the same.</summary>
    /// <returns>Null if none was asked for by name, and there is none.</returns>
    public static Resumption? Find(ProcessGroup group, string path, string? tag, bool partial)
    {
        var folder = new CheckpointFolder(path);
        var found = group.Rank == 0 ? RankOutcome<string[]>.Of(() => (tag ?? folder.Newest(partial)) is { } name ? [name, folder.PathOf(name, partial)] : [], out _) : null;
        found = group.BroadcastObject(found!, 0);
        return found switch
        {
            { Error: { } problem } => throw new CheckpointException(folder.FullPath, problem),
            { Value: [var name, var place] } => new Resumption(group, place, name, partial),
            _ => null,
        };
    }

    /// <summary>How the checkpoint's models were cut into stages; all ranks the same.</summary>
    public SavedPartitions ReadPartitions()
    {
        var read = _group.Rank == 0 ? RankOutcome<SavedPartitions>.Of(ReadIndex, out _) : null;
        read = _group.BroadcastObject(read!, 0);
        return read.Error is { } problem ? throw new CheckpointException(_path, problem) : read.Value!;

        SavedPartitions ReadIndex()
        {
            using var reader = Open();
            return SavedPartitions.Of(_path, reader.Index.State);
        }
    }

    /// <summary>Loads it.</summary>
    /// <param name="state">Where to.</param>
    /// <param name="strict">Whether the models' tensors must be those of the checkpoint.</param>
    /// <param name="withOptimizers">Whether to load more than the weights.</param>
    /// <param name="rank">This rank.</param>
    /// <param name="threads">How many threads read.</param>
    /// <param name="translate">Makes the model's tensors of those of a full checkpoint, on each rank; null where they are the same.</param>
    /// <param name="restore">Sets the positions in the data.</param>
    public ResumedCheckpoint Run(
        TrainingState state, bool strict, bool withOptimizers, int rank, int threads,
        Func<IReadOnlyDictionary<string, Tensor>, IReadOnlyDictionary<string, Tensor>>? translate, Action<IReadOnlyList<DataPosition>> restore)
    {
        CheckpointReader? opened = null;
        using var scope = NewDisposeScope();
        try
        {
            WeightSource? source = null;
            RankOutcome.Require(_group, _path, "opening the checkpoint", () => source = SourceOf(opened = Open(), translate));
            var (reader, weights) = (opened!, source!);
            var (missing, unexpected) = Compare(weights, state);
            RankOutcome.Require(_group, _path, "resuming", () => RequireFit(reader, weights, state, strict, withOptimizers, missing, unexpected));
            var failure = default(Exception);
            state.Update(() => failure = Attempt(() => LoadWeights(weights, state, missing, threads)));
            RankOutcome.Require(_group, _path, "reading the checkpoint", () =>
            {
                if (failure is not null)
                    throw failure;
                if (!withOptimizers)
                    return;
                state.LoadOptimizers(reader, threads);
                RandomState.Restore(reader, rank);
                restore(reader.Index.State["data"]?.Deserialize<List<DataPosition>>() ?? []);
            });
            var content = _partial ? reader.Index.State["user_content"] : WholeCheckpoint.ReadContent(_path);
            return new ResumedCheckpoint(_path, _tag, missing, unexpected, content)
            {
                IsCutAlike = state.IsCutAs(SavedPartitions.Of(_path, reader.Index.State)),
            };
        }
        finally
        {
            opened?.Dispose();
        }
    }

    private CheckpointReader Open() => _partial ? CheckpointReader.Open(_path) : CheckpointReader.OpenWhole(_path, CheckpointSave.ModelPrefix);

    private WeightSource SourceOf(CheckpointReader reader, Func<IReadOnlyDictionary<string, Tensor>, IReadOnlyDictionary<string, Tensor>>? translate)
    {
        if (translate is null)
            return WeightSource.Of(reader);
        var translated = translate(WholeCheckpoint.Read(reader, CheckpointSave.ModelPrefix));
        return WeightSource.Of(_path, translated.ToDictionary(tensor => CheckpointSave.ModelPrefix + tensor.Key, tensor => tensor.Value, StringComparer.Ordinal));
    }

    /// <summary>What one side has and the other has not. No rank need have all of a model.</summary>
    private (string[] Missing, string[] Unexpected) Compare(WeightSource source, TrainingState state)
    {
        string[] wanted = [.. state.Wanted.Where(tensor => tensor.Part.Elements > 0).Select(tensor => tensor.Name)];
        var all = _group.AllGatherObject(wanted).SelectMany(names => names).ToHashSet(StringComparer.Ordinal);
        return (
            [.. wanted.Where(name => !source.Has(name))],
            [.. source.Names.Where(name => state.IsOfModels(name) && !all.Contains(name))]);
    }

    private static void RequireFit(
        CheckpointReader reader, WeightSource source, TrainingState state, bool strict, bool withOptimizers, string[] missing, string[] unexpected)
    {
        if (strict && missing.Length > 0)
            throw new InvalidOperationException($"the checkpoint has no {missing[0]}{AndMore(missing)}. strict: false leaves such tensors as they are");
        if (strict && unexpected.Length > 0)
            throw new InvalidOperationException($"the program's model has no {unexpected[0]}{AndMore(unexpected)}. strict: false ignores such tensors");
        if (withOptimizers && state.Mismatch(reader.Index.State) is { } problem)
            throw new InvalidOperationException(problem);
        foreach (var tensor in state.Wanted)
            source.RequireShape(tensor.Name, tensor.Part.Shape);
    }

    private static void LoadWeights(WeightSource source, TrainingState state, string[] missing, int threads)
    {
        var absent = missing.ToHashSet(StringComparer.Ordinal);
        source.Load(state.Wanted.Where(tensor => !absent.Contains(tensor.Name)), threads);
    }

    /// <summary>The ranks wait for one another in the middle of an update, so a failure is kept until its end.</summary>
    private static Exception? Attempt(Action action)
    {
        try
        {
            action();
            return null;
        }
        catch (Exception failure) when (failure is not CommunicationException)
        {
            return failure;
        }
    }

    private static string AndMore(string[] names) => names.Length == 1 ? "" : $" and {names.Length - 1} more";
}
