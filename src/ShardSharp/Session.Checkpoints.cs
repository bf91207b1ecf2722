using System.Text.Json;
using System.Text.Json.Nodes;
using ShardSharp.Checkpoints;
using ShardSharp.DataParallel;
using static TorchSharp.torch;
using static TorchSharp.torch.optim.lr_scheduler;

namespace ShardSharp;

public sealed partial class Session
{
    private readonly List<IPositionedData> _data = [];
    private readonly Queue<DataPosition> _positions = [];
    private BackgroundSave? _saving;
    private SavedPartitions? _savedPartitions;

    /// <summary>Saves a checkpoint; every rank calls it. It is complete and on disk when the call returns, or not there.</summary>
    /// <remarks>
    /// It fits any layout: any number of ranks with any parallelism resumes from it. Ranks write their parts at the same time, and share
    /// what they have in common. A checkpoint with the same tag is replaced at the end, in one step.
    /// </remarks>
    /// <param name="path">The folder of all checkpoints, which all ranks see; it is made if need be.</param>
    /// <param name="tag">The checkpoint's name, such as <c>step-1000</c>.</param>
    /// <param name="partial">
    /// Whether to save everything that training goes on with, in a file of each rank (<c>TAG_partial</c>). False saves the models' weights alone,
    /// put together as other programs read them (<c>TAG</c>).
    /// </param>
    /// <param name="model">The model; null for all of the session.</param>
    /// <param name="optimizer">Its optimizer; null for all of those models.</param>
    /// <param name="scheduler">The learning-rate scheduler, if there is one.</param>
    /// <param name="userContent">What the program wants back when it resumes: anything that System.Text.Json writes. That of the first rank
    /// is saved.</param>
    /// <param name="keptPartialCheckpoints">How many partial checkpoints stay in the folder, this one included; null for all.</param>
    /// <param name="inBackground">
    /// Whether to return as soon as the values are copied, and write while training goes on. The copy is this rank's share of the checkpoint.
    /// A failure is thrown by the next call that saves, by <see cref="FinishCheckpoint"/>, or at the end of the program.
    /// </param>
    /// <param name="translate">
    /// For a full checkpoint: makes the tensors that are saved of the undivided model's, by their names, such as
    /// <c>LanguageModel.ToHuggingFace</c> (SMP: <c>translate_if_full</c>). The first rank calls it, on CPU tensors, and has all of them in memory then.
    /// </param>
    /// <exception cref="CheckpointException">It could not be saved, on some rank; all ranks throw, and say why.</exception>
    /// <exception cref="ArgumentException">The tag cannot be the name of a folder, the model is not of this session, or a partial checkpoint is to
    /// be translated.</exception>
    public void SaveCheckpoint(
        string path, string tag = "latest", bool partial = true, DistributedModel? model = null, DistributedOptimizer? optimizer = null,
        LRScheduler? scheduler = null, object? userContent = null, int? keptPartialCheckpoints = null, bool inBackground = false,
        Func<IReadOnlyDictionary<string, Tensor>, IReadOnlyDictionary<string, Tensor>>? translate = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        RequireFull(partial, translate is not null);
        if (keptPartialCheckpoints < 1)
            throw new ArgumentOutOfRangeException(nameof(keptPartialCheckpoints), keptPartialCheckpoints, "At least one checkpoint stays: the one that is saved.");
        FinishCheckpoint();
        var state = StateOf(model, optimizer, partial, scheduler);
        using var scope = NewDisposeScope();
        var request = new SaveRequest(path, tag, partial, keptPartialCheckpoints, inBackground);
        var save = CheckpointSave.Prepare(
            Groups.World, request, () => state.Collect(partial ? Rank : null, userContent as JsonNode ?? JsonSerializer.SerializeToNode(userContent)), translate);
        if (inBackground)
            _saving = new BackgroundSave(save, Groups.Checkpoint);
        else
            save.Write(Groups.World);
    }

    /// <summary>Waits until a checkpoint that is written in the background is complete; every rank calls it.</summary>
    /// <exception cref="CheckpointException">It could not be saved, on some rank; all ranks throw, and say why.</exception>
    public void FinishCheckpoint()
    {
        var saving = _saving;
        _saving = null;
        saving?.Finish();
    }

    /// <summary>
    /// Takes over what a checkpoint has: parameters, optimizer state, loss scale, learning-rate schedule, random numbers and the place in the
    /// data. Every rank calls it, after the models and optimizers have been created; data may be asked for later.
    /// </summary>
    /// <remarks>
    /// Each rank reads only its parts. With the layout that the checkpoint was saved in training goes on bit by bit as if it had not stopped;
    /// with another, up to rounding and the random numbers of ranks that are new.
    /// </remarks>
    /// <param name="path">The folder of all checkpoints.</param>
    /// <param name="tag">Which of them; null for the newest.</param>
    /// <param name="partial">As it was saved. A full checkpoint (false) has the weights alone; a folder that transformers wrote is one, too.</param>
    /// <param name="strict">Whether every tensor of the models must be there, and none besides.</param>
    /// <param name="loadOptimizer">Whether to take over more than the weights.</param>
    /// <param name="model">The model; null for all of the session.</param>
    /// <param name="optimizer">Its optimizer; null for all of those models.</param>
    /// <param name="scheduler">The learning-rate scheduler, if one was saved.</param>
    /// <param name="translate">
    /// For a full checkpoint: makes the undivided model's tensors, by their names, of those that are stored, such as
    /// <c>LanguageModel.FromHuggingFace</c> (SMP: <c>translate_function</c>). Each rank calls it, and has all of them in memory then.
    /// </param>
    /// <returns>What training goes on from; null if <paramref name="tag"/> is null and there is no checkpoint yet.</returns>
    /// <exception cref="CheckpointException">There is no such checkpoint, it is damaged, or does not fit, on some rank; all ranks throw, and
    /// say why.</exception>
    public ResumedCheckpoint? ResumeFromCheckpoint(
        string path, string? tag = null, bool partial = true, bool strict = true, bool loadOptimizer = true, DistributedModel? model = null,
        DistributedOptimizer? optimizer = null, LRScheduler? scheduler = null,
        Func<IReadOnlyDictionary<string, Tensor>, IReadOnlyDictionary<string, Tensor>>? translate = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        RequireFull(partial, translate is not null);
        FinishCheckpoint();
        loadOptimizer &= partial;
        var state = StateOf(model, optimizer, loadOptimizer, scheduler);
        var resumption = Resumption.Find(Groups.World, path, tag, partial);
        var threads = Math.Max(1, Environment.ProcessorCount / Position.LocalSize);
        var resumed = resumption?.Run(state, strict, loadOptimizer, Rank, threads, translate, Restore);
        if (IsFirstRank && resumed is { IsCutAlike: false })
        {
            Console.WriteLine(
                $"{resumed.Path}: its model was cut into the same number of stages elsewhere, so training goes on equal up to rounding. "
                + "session.UsePartitionOf(path), before the model is made, takes the checkpoint's partition over.");
        }

        return resumed;
    }

    /// <summary>
    /// Lets models that are made from now on be cut into the stages of the pipeline as those of a checkpoint were, which training goes on from
    /// bit by bit: what is decided by measured costs may be decided otherwise the next time. Every rank calls it, before its models are made.
    /// </summary>
    /// <remarks>
    /// It counts where the stages are as many and the model's parts the same; otherwise, and where the configuration says how to cut
    /// (<c>auto_partition</c> = false, a <c>pipeline_partition_file</c> that exists), models are cut as without it.
    /// </remarks>
    /// <param name="path">The folder of all checkpoints.</param>
    /// <param name="tag">Which of them; null for the newest.</param>
    /// <returns>Whether there is a checkpoint that has a partition.</returns>
    /// <exception cref="CheckpointException">There is no such checkpoint, or it is damaged; all ranks throw.</exception>
    public bool UsePartitionOf(string path, string? tag = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        FinishCheckpoint();
        _savedPartitions = Resumption.Find(Groups.World, path, tag, partial: true)?.ReadPartitions();
        return _savedPartitions is { Count: > 0 };
    }

    private static void RequireFull(bool partial, bool translates)
    {
        if (partial && translates)
            throw new ArgumentException("Full checkpoints alone are translated: pass partial: false as well.", nameof(partial));
    }

    /// <summary>Waits for a checkpoint that nobody has asked for; the program may be ending by a failure of its own.</summary>
    private void EndSaving()
    {
        if (_saving?.Wait() is { } failure)
            Console.Error.WriteLine(failure.Message);
        _saving = null;
    }

    /// <summary>Takes note of data whose position checkpoints keep.</summary>
    private void Register(IPositionedData data)
    {
        if (_positions.TryDequeue(out var position))
            data.Position = position;
        _data.Add(data);
    }

    private void Restore(IReadOnlyList<DataPosition> positions)
    {
        _positions.Clear();
        foreach (var (i, position) in positions.Index())
        {
            if (i < _data.Count)
                _data[i].Position = position;
            else
                _positions.Enqueue(position);
        }
    }

    private TrainingState StateOf(DistributedModel? model, DistributedOptimizer? optimizer, bool withOptimizers, LRScheduler? scheduler)
    {
        _models.RemoveAll(known => known.IsDisposed);
        _optimizers.RemoveAll(known => known.IsDisposed);
        if (_models.Count == 0)
            throw new InvalidOperationException("The session has no model yet; create it before it is saved or resumed (session.DistributedModel).");
        if (model is not null && !_models.Contains(model))
            throw new ArgumentException("The model is none of this session.", nameof(model));
        if (optimizer is not null && !_optimizers.Contains(optimizer))
            throw new ArgumentException("The optimizer is none of this session.", nameof(optimizer));
        var models = _models.Index().Where(entry => model is null || entry.Item == model).ToList();
        var optimizers = _optimizers.Index()
            .Where(entry => withOptimizers && models.Any(known => known.Item == entry.Item.Model) && (optimizer is null || entry.Item == optimizer)).ToList();
        return new TrainingState(models, optimizers, scheduler is null || !withOptimizers ? [] : [scheduler], _data);
    }
}
