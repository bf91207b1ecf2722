using System.Diagnostics;
using ShardSharp.Activations;
using ShardSharp.Communication;
using ShardSharp.Pipeline.Schedules;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Pipeline.Runtime;

/// <summary>A model whose stages are spread over the ranks of a pipeline, as one of those ranks sees it.</summary>
internal sealed class PipelinedModel : IDisposable
{
    private readonly ParallelConfiguration _configuration;
    private readonly ProcessGroup _group;
    private readonly Device _device;
    private readonly List<ProcessGroup> _tieGroups = [];
    private readonly PipelineExecutor _executor;
    private readonly Dictionary<(int Microbatches, bool IsTraining), PipelineSchedule> _schedules = [];
    private TimeSpan _shared;

    /// <param name="model">The model, cut.</param>
    /// <param name="configuration">How to run it.</param>
    /// <param name="pipeline">The ranks that have its stages.</param>
    /// <param name="device">Where this rank computes.</param>
    public PipelinedModel(CutModel model, ParallelConfiguration configuration, ProcessGroup pipeline, Device device)
    {
        (Model, _configuration, _device) = (model, configuration, device);
        _group = pipeline.Split("pipeline stages", [[.. Enumerable.Range(0, pipeline.Size)]]);
        _executor = new PipelineExecutor(model, _group, device);
        Ties = FindTies();
    }

    /// <summary>The model, cut.</summary>
    public CutModel Model { get; }

    /// <summary>What the model's checkpointed regions share.</summary>
    public Recomputation Recomputation { set => _executor.Recomputation = value; }

    /// <summary>The ranks that have the model's stages.</summary>
    public ProcessGroup Group => _group;

    /// <summary>Parameters of this rank that other ranks have as well.</summary>
    public IReadOnlyList<TiedCopy> Ties { get; }

    /// <summary>The most forwards whose activations were kept at once in the latest step.</summary>
    public int PeakSaved => _executor.PeakSaved;

    /// <summary>How long this rank computed in the latest step.</summary>
    public TimeSpan Worked { get; private set; }

    /// <summary>How long it waited in the latest step: for tensors, and at the end for the other ranks.</summary>
    public TimeSpan Waited => _executor.Waited + _shared;

    /// <inheritdoc cref="PipelineExecutor.Buffers"/>
    public int Buffers => _executor.Buffers;

    /// <inheritdoc cref="PipelineExecutor.Timeline"/>
    public IReadOnlyList<TimedAction> Timeline => _executor.Timeline;

    /// <inheritdoc cref="StepRun.MeasuresActivations"/>
    public bool MeasuresActivations { get => _executor.MeasuresActivations; set => _executor.MeasuresActivations = value; }

    /// <inheritdoc cref="StepRun.Activations"/>
    public IReadOnlyList<long> Activations => _executor.Activations;

    /// <summary>Whether this rank has the last stage, which computes losses and outputs.</summary>
    public bool IsLast => Model.Placement.RankOf(Model.Last) == _group.Rank;

    /// <summary>Runs a step or, for a step without a backward, an evaluation.</summary>
    /// <param name="microbatches">Number of microbatches.</param>
    /// <param name="isTraining">Whether there is a backward.</param>
    /// <param name="step">What else is computed.</param>
    public void Run(int microbatches, bool isTraining, IPipelineStep step)
    {
        var since = Stopwatch.GetTimestamp();
        _executor.Run(Schedule(microbatches, isTraining), step);
        (Worked, _shared) = (Stopwatch.GetElapsedTime(since) - _executor.Waited, TimeSpan.Zero);
    }

    /// <summary>Gives all ranks the tensors that the rank with the last stage has: a few numbers, not activations.</summary>
    /// <param name="results">The tensors of each microbatch, on the rank with the last stage; ignored elsewhere.</param>
    /// <param name="microbatches">Number of microbatches, each of which has as many tensors.</param>
    public IReadOnlyList<Tensor[]> Share(IReadOnlyList<IReadOnlyList<Tensor>> results, int microbatches)
    {
        var since = Stopwatch.GetTimestamp();
        var root = Model.Placement.RankOf(Model.Last);
        if (results.Any(tensors => tensors.Count != results[0].Count))
            throw new InvalidOperationException("The step returned more tensors for one microbatch than for another; return as many for each.");
        Tensor[] all = [.. results.SelectMany(tensors => tensors)];
        var header = _group.BroadcastObject(TensorListHeader.Of(all), root);
        if (!IsLast)
            all = [.. TensorListHeader.Read(header).Select(tensor => empty(tensor!.Value.Shape, tensor.Value.Type, _device))];
        foreach (var ofType in all.GroupBy(result => result.dtype))
            _group.Broadcast(ofType.ToArray(), root);
        _shared = Stopwatch.GetElapsedTime(since);
        return all.Length == 0 ? [.. Enumerable.Repeat(all, microbatches)] : [.. all.Chunk(all.Length / microbatches)];
    }

    /// <summary>Gives all ranks an object of the rank with the last stage.</summary>
    /// <param name="value">The object there; ignored elsewhere.</param>
    public T Share<T>(T value) => _group.BroadcastObject(value, Model.Placement.RankOf(Model.Last));

    /// <summary>On how many ranks of the pipeline a parameter is.</summary>
    public int HoldersOf(string name) => Ties.FirstOrDefault(tie => tie.Name == name)?.Holders ?? 1;

    /// <summary>The schedule of a step.</summary>
    /// <exception cref="InvalidOperationException">It is to train, and has no backward.</exception>
    public PipelineSchedule Schedule(int microbatches, bool isTraining)
    {
        if (_schedules.TryGetValue((microbatches, isTraining), out var schedule))
            return schedule;
        schedule = StepSchedules.Training(_configuration, microbatches);
        if (isTraining && !schedule.HasBackward)
        {
            throw new InvalidOperationException(
                $"The schedule {schedule.Name} has no backward, so it is for Forward of a model alone. Choose another for training: pipeline = interleaved.");
        }

        return _schedules[(microbatches, isTraining)] = isTraining ? schedule : StepSchedules.ForwardsOf(schedule);
    }

    public void Dispose()
    {
        _executor.Dispose();
        foreach (var group in _tieGroups)
            group.Dispose();
        _group.Dispose();
    }

    private List<TiedCopy> FindTies()
    {
        var ties = new List<TiedCopy>();
        var groups = new Dictionary<string, ProcessGroup>();
        foreach (var (name, parameter) in Model.Root.named_parameters())
        {
            var ranks = Model.RanksOf(parameter);
            if (ranks.Length < 2)
                continue;

            // All ranks take part in making a group, also those without the parameter.
            var key = string.Join(',', ranks);
            if (!groups.TryGetValue(key, out var group))
            {
                var others = Enumerable.Range(0, _group.Size).Except(ranks).Select(rank => new[] { rank });
                groups[key] = group = _group.Split("tied parameters", [ranks, .. others]);
                _tieGroups.Add(group);
            }

            if (ranks.Contains(_group.Rank))
                ties.Add(new TiedCopy(name, parameter, group, _configuration.IsMixedPrecision));
        }

        return ties;
    }
}
