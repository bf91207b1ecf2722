using System.Runtime.ExceptionServices;
using ShardSharp.Activations;
using ShardSharp.Communication;
using ShardSharp.Native;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.DataParallel;

/// <summary>Averages gradients over the ranks that hold the same parameters, bucket by bucket, while backward still computes others.</summary>
/// <remarks>
/// After Li et al., "PyTorch Distributed: Experiences on Accelerating Data Parallel Training", VLDB 2020. Buckets start in one fixed order,
/// the same on every rank, whatever order gradients become known in, and whichever of them a rank does not have.
/// </remarks>
internal sealed class GradientReducer : IReplicaEngine
{
    private readonly nn.Module _module;
    private readonly long _capacity;
    private readonly BackwardWatch? _watch;
    private readonly Recomputation? _recomputation;
    private Parameter[] _frozen = [];
    private GradientBucket[] _buckets = [];
    private double[] _present = [];
    private ExceptionDispatchInfo? _failure;
    private bool _armed;

    /// <param name="module">The model.</param>
    /// <param name="group">Ranks that hold the same parameters.</param>
    /// <param name="capacity">Bytes that a bucket holds at most, unless a single parameter is larger.</param>
    /// <param name="overlap">Whether to start buckets during backward.</param>
    /// <param name="recomputation">Tells when gradients are not yet what they will be; null where the model never computes again.</param>
    public GradientReducer(nn.Module module, ProcessGroup group, long capacity, bool overlap, Recomputation? recomputation = null)
    {
        (_module, Group, _capacity, _recomputation) = (module, group, capacity, recomputation);
        Divide();
        if (!overlap || group.Size == 1)
            return;
        _watch = new BackwardWatch(OnPassed);
        _watch.Watch(module, capacity);
    }

    public ProcessGroup Group { get; }

    public ProcessGroup? Shards => null;

    public bool Overlaps => _watch is not null;

    public HeldState Held => new(
        _module.parameters().Sum(TensorBytes.Of), SharedParameters: 0, TensorBytes.OfGradients(_module.parameters()));

    /// <summary>Number of buckets.</summary>
    public int Buckets => _buckets.Length;

    /// <summary>How many buckets' reductions have begun, always the first ones.</summary>
    public int Started { get; private set; }

    public IEnumerable<(string Name, Parameter Parameter)> Parameters => _module.named_parameters();

    public IEnumerable<OwnedParameter> Owned =>
        Parameters.Select(named => new OwnedParameter(named.Name, named.Parameter, named.Parameter.shape, Start: 0));

    public void Arm(bool last, double lossScale)
    {
        if (!last || Group.Size == 1)
            return;
        if (_frozen.Any(parameter => parameter.requires_grad))
            Divide();
        Started = 0;
        _armed = Overlaps;
        if (_armed)
            Array.ForEach(_buckets, bucket => bucket.Arrivals.Remember());
    }

    /// <summary>Waits until all gradients are averages. Parameters that no rank has a gradient of stay without one.</summary>
    /// <param name="last">Whether the optimizer's step follows; before that the gradients stay this rank's.</param>
    public void Finish(bool last)
    {
        if (!last || Group.Size == 1)
            return;
        _armed = false;
        _failure?.Throw();
        while (Started < _buckets.Length)
            StartNext();
        foreach (var bucket in _buckets)
            bucket.Finish();

        Group.AllReduce(_present.AsSpan(), ReduceOperation.Max);
        var i = 0;
        foreach (var (_, parameter) in _buckets.SelectMany(bucket => bucket.Parameters))
        {
            if (_present[i++] == 0)
                parameter.grad = null;
        }
    }

    public void ZeroGradients()
    {
        foreach (var parameter in _module.parameters())
            parameter.grad = null;
    }

    /// <summary>Any optimizer will do: all ranks update all parameters alike.</summary>
    public void RequireSuitable(optim.Optimizer optimizer)
    {
    }

    public void Update(Action update) => update();

    public Exception? Explain(Exception failure) => Overlaps && BackwardMarker.IsWrittenTo(failure) ? BackwardMarker.Explain(failure) : null;

    /// <summary>They always are.</summary>
    public IDisposable GatherParameters() => new ReadableParameters(static () => { });

    public void Dispose() => _watch?.Dispose();

    private void Divide()
    {
        var trained = _module.named_parameters().Where(named => named.parameter.requires_grad).ToArray();
        _frozen = [.. _module.parameters().Where(parameter => !parameter.requires_grad)];
        _buckets = [.. Fill(trained, _capacity).Select(bucket => new GradientBucket(bucket))];
        _present = new double[trained.Length];
    }

    /// <summary>Backward ends where forward began, so the last parameters fill the first bucket.</summary>
    private static IEnumerable<List<(string, Parameter)>> Fill(IEnumerable<(string Name, Parameter Parameter)> trained, long capacity)
    {
        foreach (var ofType in trained.Reverse().GroupBy(named => named.Parameter.dtype))
        {
            var bucket = new List<(string, Parameter)>();
            var bytes = 0L;
            foreach (var named in ofType)
            {
                var size = TensorBytes.Of(named.Parameter);
                if (bucket.Count > 0 && bytes + size > capacity)
                {
                    yield return bucket;
                    (bucket, bytes) = ([], 0);
                }

                bucket.Add(named);
                bytes += size;
            }

            yield return bucket;
        }
    }

    private void OnPassed()
    {
        if (!_armed || _failure is not null || _recomputation is { IsUnderWay: true })
            return;
        try
        {
            while (Started < _buckets.Length && _buckets[Started].Arrivals.AreComplete)
                StartNext();
        }
        catch (Exception failure)
        {
            // Between here and the caller of backward lie libtorch's frames, through which no exception can pass.
            _failure = ExceptionDispatchInfo.Capture(failure);
        }
    }

    private void StartNext()
    {
        var offset = _buckets[..Started].Sum(bucket => bucket.Parameters.Count);
        var bucket = _buckets[Started++];
        bucket.Start(Group, _present.AsSpan(offset, bucket.Parameters.Count));
    }
}
