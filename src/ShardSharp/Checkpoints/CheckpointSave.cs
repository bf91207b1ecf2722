using System.Text.Json;
using System.Text.Json.Nodes;
using ShardSharp.Communication;
using static TorchSharp.torch;

namespace ShardSharp.Checkpoints;

/// <summary>
/// A checkpoint on its way to disk. The first rank decides who writes what; each rank writes its file and has it on disk; when all have, the
/// first writes the index and gives the folder its name. Whatever fails on any rank before that, all ranks learn of, and nothing is to be seen.
/// </summary>
internal sealed class CheckpointSave
{
    /// <summary>What the names of a model's tensors begin with.</summary>
    public const string ModelPrefix = "model/";

    private readonly SaveRequest _request;
    private readonly CheckpointFolder _folder;
    private readonly string _unfinished;
    private readonly IReadOnlyList<PlannedPart> _plan;
    private readonly JsonObject _state;
    private readonly IReadOnlyList<KeyValuePair<string, Tensor>> _tensors;

    /// <summary>Makes the tensors of a full checkpoint of those of the model; null to save these.</summary>
    private Func<IReadOnlyDictionary<string, Tensor>, IReadOnlyDictionary<string, Tensor>>? _translate;

    private CheckpointSave(
        SaveRequest request, CheckpointFolder folder, string unfinished, IReadOnlyList<PlannedPart> plan, JsonObject state,
        IReadOnlyList<KeyValuePair<string, Tensor>> tensors) =>
        (_request, _folder, _unfinished, _plan, _state, _tensors) = (request, folder, unfinished, plan, state, tensors);

    /// <summary>Where the checkpoint will be.</summary>
    public string Path => _folder.PathOf(_request.Tag, _request.Partial);

    /// <summary>Agrees on who writes what, and takes hold of the values.</summary>
    /// <param name="group">All ranks.</param>
    /// <param name="request">What is to become of it.</param>
    /// <param name="collect">Collects what this rank saves.</param>
    /// <param name="translate">Makes the tensors of a full checkpoint of those of the model, on the first rank; null to save these.</param>
    /// <exception cref="CheckpointException">A rank cannot save what it has, or the folder cannot be made; nothing has been written.</exception>
    public static CheckpointSave Prepare(
        ProcessGroup group, SaveRequest request, Func<SaveContents> collect,
        Func<IReadOnlyDictionary<string, Tensor>, IReadOnlyDictionary<string, Tensor>>? translate = null)
    {
        var folder = new CheckpointFolder(request.Folder);
        var path = folder.PathOf(request.Tag, request.Partial);
        SaveContents? contents = null;
        var report = RankOutcome<RankReport>.Of(
            () =>
            {
                contents = collect();
                return new RankReport(request, [.. contents.Held.Select(tensor => HeldPart.Of(tensor.Name, tensor.TypeName, tensor.Part))], contents.Optimizers);
            },
            out var failure);
        var reports = RankExchange.ToFirst(group, report);
        IReadOnlyList<PlannedPart> plan = [];
        Exception? mine = null;
        var decided = group.Rank == 0 ? RankOutcome<string>.Of(Decide, out mine) : new RankOutcome<string>(null, null);
        var order = RankExchange.FromFirst(group, [.. Enumerable.Range(0, group.Size).Select(OrderOf)]);
        if (order.Error is { } problem)
            throw new CheckpointException(path, $"saving the checkpoint failed: {problem}", failure ?? mine);

        // Only the first rank knows of all parts.
        IReadOnlyList<PlannedPart> own = [.. order.Parts.Select(part => new PlannedPart(part.Name, part.Type, part.ToPart(), group.Rank))];
        var tensors = PartFile.Collect(own, contents!.Held, request.Copies);
        contents.State["optimizers"] = JsonSerializer.SerializeToNode(
            group.Rank == 0 ? Merge([.. reports.Select(rank => rank.Value!.Optimizers)]) : contents.Optimizers);
        return new CheckpointSave(request, folder, order.Folder, plan, contents.State, tensors) { _translate = translate };

        string Decide()
        {
            if (RankOutcome.FailureOf(reports) is { } problem)
                throw new InvalidOperationException(problem);
            foreach (var (rank, asked) in reports.Select(rank => rank.Value!.Request).Index())
            {
                if (asked.Tag != request.Tag || asked.Partial != request.Partial || asked.Copies != request.Copies)
                    throw new InvalidOperationException($"rank 0 saves {request.Text} and rank {rank} {asked.Text}; all ranks must ask for the same");
            }

            plan = SavePlan.Create([.. reports.Select(rank => rank.Value!.Held)]);
            folder.RemoveUnfinished();
            var unfinished = folder.Unfinished(request.Tag, partial: true);
            Directory.CreateDirectory(unfinished);
            return unfinished;
        }

        RankOrder OrderOf(int rank) => new(
            decided.Value ?? "", [.. plan.Where(part => part.Rank == rank).Select(part => HeldPart.Of(part.Name, part.Type, part.Part))], decided.Error);
    }

    /// <summary>Writes the checkpoint; every rank calls it.</summary>
    /// <param name="group">All ranks; not used by anything else meanwhile.</param>
    /// <exception cref="CheckpointException">It failed on a rank; what was there before still is.</exception>
    public void Write(ProcessGroup group)
    {
        var saved = RankOutcome<RankSaved>.Of(() => new RankSaved(WritePart(group.Rank)), out var failure);
        Exception? mine = null;
        RankOutcome<string>? done = null;
        var all = RankExchange.ToFirst(group, saved);
        if (group.Rank == 0)
            done = RankOutcome<string>.Of(() => Complete(all), out mine);
        done = group.BroadcastObject(done!, 0);
        if (done.Error is { } problem)
            throw new CheckpointException(Path, $"saving the checkpoint failed: {problem}", failure ?? mine);
    }

    private IReadOnlyList<SavedPart> WritePart(int rank)
    {
        try
        {
            return _tensors.Count == 0 ? [] : PartFile.Write(System.IO.Path.Combine(_unfinished, PartFile.NameOf(rank)), _tensors);
        }
        finally
        {
            foreach (var (_, tensor) in _tensors)
                tensor.Dispose();
        }
    }

    /// <summary>What the first rank does when all have written.</summary>
    private string Complete(IReadOnlyList<RankOutcome<RankSaved>> all)
    {
        try
        {
            if (RankOutcome.FailureOf(all) is { } problem)
                throw new IOException(problem);
            var index = IndexOf([.. all.Select(rank => rank.Value!.Parts.ToDictionary(part => part.Key, StringComparer.Ordinal))]);
            AtomicFile.Write(System.IO.Path.Combine(_unfinished, CheckpointIndex.FileName), CheckpointIndexWriter.ToBytes(index));
            if (_request.Partial)
                _folder.Publish(_unfinished, _request.Tag, partial: true);
            else
                PublishWhole();
        }
        catch
        {
            if (Directory.Exists(_unfinished))
                Directory.Delete(_unfinished, recursive: true);
            throw;
        }

        RemoveOld();
        return Path;
    }

    private void RemoveOld()
    {
        try
        {
            if (_request is { Partial: true, KeptPartial: { } kept })
                _folder.KeepPartial(kept, _request.Tag);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new IOException($"it is there, but an older one could not be removed: {failure.Message}", failure);
        }
    }

    private void PublishWhole()
    {
        var whole = _folder.Unfinished(_request.Tag, partial: false);
        Directory.CreateDirectory(whole);
        using (var reader = CheckpointReader.Open(_unfinished))
        {
            if (_translate is null)
                WholeCheckpoint.Write(reader, whole, ModelPrefix);
            else
                WholeCheckpoint.WriteTranslated(reader, whole, ModelPrefix, _translate);
        }

        WholeCheckpoint.WriteContent(whole, _state["user_content"]);
        _folder.Publish(whole, _request.Tag, partial: false);
        Directory.Delete(_unfinished, recursive: true);
    }

    private CheckpointIndex IndexOf(IReadOnlyList<Dictionary<string, SavedPart>> saved)
    {
        var tensors = _plan.GroupBy(part => part.Name, StringComparer.Ordinal).Select(parts => new StoredTensor(
            parts.Key, parts.First().Type, parts.First().Part.Shape,
            [.. parts.Select(part => new StoredPart(
                PartFile.NameOf(part.Rank), PartFile.KeyOf(part), part.Part,
                BlockChecksums.FromText(saved[part.Rank][PartFile.KeyOf(part)].Checksums)!))]));
        return new CheckpointIndex(TimeProvider.System.GetUtcNow().UtcDateTime, saved.Count, [.. tensors], _state);
    }

    private static IReadOnlyList<OptimizerSnapshot> Merge(IReadOnlyList<IReadOnlyList<OptimizerSnapshot>> ranks) =>
        [.. Enumerable.Range(0, ranks[0].Count).Select(i => OptimizerSnapshot.Merge([.. ranks.Select(rank => rank[i])]))];

    /// <summary>What a rank has.</summary>
    private sealed record RankReport(SaveRequest Request, HeldPart[] Held, IReadOnlyList<OptimizerSnapshot> Optimizers);

    /// <summary>What a rank is to do.</summary>
    private sealed record RankOrder(string Folder, HeldPart[] Parts, string? Error);

    /// <summary>What a rank has written.</summary>
    private sealed record RankSaved(IReadOnlyList<SavedPart> Parts);
}
