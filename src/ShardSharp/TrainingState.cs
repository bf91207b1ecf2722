using System.Text.Json;
using System.Text.Json.Nodes;
using ShardSharp.Checkpoints;
using ShardSharp.DataParallel;
using ShardSharp.Precision;
using static TorchSharp.torch.optim.lr_scheduler;

namespace ShardSharp;

/// <summary>Everything of a rank that a checkpoint keeps.</summary>
/// <param name="models">Models, each with the number it has among those of the session.</param>
/// <param name="optimizers">Optimizers of those models, likewise.</param>
/// <param name="schedulers">Learning-rate schedulers.</param>
/// <param name="data">Data, in the order in which the program asked for it.</param>
internal sealed class TrainingState(
    IReadOnlyList<(int Number, DistributedModel Model)> models, IReadOnlyList<(int Number, DistributedOptimizer Optimizer)> optimizers,
    IReadOnlyList<LRScheduler> schedulers, IReadOnlyList<IPositionedData> data)
{
    private const string ScalersKey = "loss_scalers", ModelKey = "model";

    private readonly List<ModelState> _models = [.. models.Select(entry => entry.Model.StateOf(PrefixOf("model", entry.Number)))];

    /// <summary>Everything to be loaded of the models.</summary>
    public IEnumerable<HeldTensor> Wanted => _models.SelectMany(model => model.Wanted);

    /// <summary>Whether a tensor of a checkpoint is one of the models'.</summary>
    public bool IsOfModels(string name) => _models.Any(model => name.StartsWith(model.Prefix, StringComparison.Ordinal));

    /// <summary>Collects what this rank saves.</summary>
    /// <param name="rank">The rank; null to leave out everything but the models.</param>
    /// <param name="content">What the program saves of its own.</param>
    public SaveContents Collect(int? rank, JsonNode? content)
    {
        foreach (var (_, model) in models)
        {
            if (model.HasOwnGradients)
            {
                throw new InvalidOperationException(
                    "The last step of the model only accumulated gradients, which a checkpoint does not have. Save after a step that averages them.");
            }
        }

        var partitions = SavedPartitions.Of(models.Select(entry => (entry.Number, entry.Model.Pipeline?.Model.Partition)));
        var held = models.Zip(_models).SelectMany(pair => pair.Second.Held(pair.First.Model.BufferChoice)).ToList();
        var state = new JsonObject { ["user_content"] = content?.DeepClone() };
        if (rank is null)
            return new SaveContents(held, [], state);
        var tensors = Optimizers().ToList();
        held.AddRange(tensors.SelectMany(optimizer => optimizer.Held()));
        held.Add(RandomState.Of(rank.Value));
        state[SavedPartitions.Key] = partitions.ToJson();
        state[ScalersKey] = new JsonArray([.. models.Select(entry => SavedScaler(entry.Number, entry.Model))]);
        state["schedulers"] = new JsonArray([.. schedulers.Select(SchedulerState.Of)]);
        state["data"] = JsonSerializer.SerializeToNode(data.Select(positioned => positioned.Position));
        return new SaveContents(held, [.. tensors.Select(optimizer => optimizer.Snapshot())], state);
    }

    /// <summary>Says what keeps a checkpoint from being loaded; null if nothing does.</summary>
    /// <param name="state">What the checkpoint has besides tensors.</param>
    public string? Mismatch(JsonObject state)
    {
        var saved = SnapshotsOf(state);
        foreach (var (optimizer, (number, _)) in Optimizers().Zip(optimizers))
        {
            if (number >= saved.Count)
                return $"the checkpoint has the state of {saved.Count} optimizers, and the program has more; load it without the optimizer (loadOptimizer: false)";
            if (optimizer.Mismatch(saved[number]) is { } problem)
                return problem;
        }

        var savedSchedulers = state["schedulers"]?.AsArray().Count ?? 0;
        return savedSchedulers == schedulers.Count ? null
            : $"the checkpoint has the state of {savedSchedulers} learning-rate schedulers, and the program gave {schedulers.Count}";
    }

    /// <summary>Whether no model is cut into as many stages as a checkpoint's, but elsewhere.</summary>
    public bool IsCutAs(SavedPartitions saved) => models.All(entry => saved.AllowsFor(entry.Number, entry.Model.Pipeline?.Model.Partition));

    /// <summary>Changes parameters of the models.</summary>
    public void Update(Action update)
    {
        var whole = models.Skip(1).Aggregate(update, (inner, entry) => () => entry.Model.Update(inner));
        models[0].Model.Update(whole);
    }

    /// <summary>Takes over what optimizers, loss scalers and schedulers keep.</summary>
    public void LoadOptimizers(CheckpointReader reader, int threads)
    {
        var state = reader.Index.State;
        var saved = SnapshotsOf(state);
        foreach (var (optimizer, (number, _)) in Optimizers().Zip(optimizers))
            optimizer.Load(reader, saved[number], threads);
        foreach (var (position, scaler) in (state[ScalersKey]?.AsArray() ?? []).Index())
        {
            // Checkpoints of before have no numbers, and all models in their order.
            var number = (int?)scaler?[ModelKey] ?? position;
            if (scaler is not null && models.FirstOrDefault(entry => entry.Number == number).Model?.LossScaler is { } own)
                own.State = scaler.Deserialize<LossScalerState>()!;
        }

        foreach (var (scheduler, schedulerState) in schedulers.Zip(state["schedulers"]?.AsArray() ?? []))
            SchedulerState.Set(scheduler, schedulerState!.AsObject());
    }

    private static JsonNode? SavedScaler(int number, DistributedModel model)
    {
        var scaler = JsonSerializer.SerializeToNode(model.LossScaler?.State);
        scaler?[ModelKey] = number;
        return scaler;
    }

    private IEnumerable<OptimizerTensors> Optimizers()
    {
        foreach (var (number, optimizer) in optimizers)
        {
            var model = models.Index().First(entry => entry.Item.Model == optimizer.Model).Index;
            yield return new OptimizerTensors(optimizer.Inner, _models[model], PrefixOf("optimizer", number));
        }
    }

    private static List<OptimizerSnapshot> SnapshotsOf(JsonObject state) =>
        state["optimizers"]?.Deserialize<List<OptimizerSnapshot>>() ?? [];

    private static string PrefixOf(string kind, int number) => number == 0 ? $"{kind}/" : $"{kind}.{number}/";
}
