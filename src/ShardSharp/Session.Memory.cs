using ShardSharp.Diagnostics;
using ShardSharp.Native;
using ShardSharp.Planning;
using static TorchSharp.torch;

namespace ShardSharp;

public sealed partial class Session
{
    private readonly List<DistributedModel> _models = [];
    private readonly List<DistributedOptimizer> _optimizers = [];

    /// <summary>
    /// Where this rank's memory goes, predicted and measured; takes milliseconds. Between a step and <c>zero_grad</c> it shows the gradients,
    /// too. <c>memory_report</c> prints a line of it after each step.
    /// </summary>
    public MemoryReport MemoryReport()
    {
        _models.RemoveAll(model => model.IsDisposed);
        _optimizers.RemoveAll(optimizer => optimizer.IsDisposed);
        var held = _models.Aggregate(default(DataParallel.HeldState), (sum, model) => sum + model.Held);
        var (proportionalSet, sharedMemory) = OperatingSystem.IsLinux() ? ProcessMemory.ProportionalSet : default;
        return new MemoryReport
        {
            Rank = Rank,
            Parameters = new(_models.Sum(model => model.Prediction.Parameters), held.Parameters),
            Gradients = new(_models.Sum(model => model.Prediction.Gradients), held.Gradients),
            OptimizerState = new(SumOver(OptimizerStatePrediction.Of), SumOver(OptimizerStateSize.Of)),
            Activations = new(null, TensorAllocator.Install() ? _models.Max(model => model.StepMemory.Activations) : null),
            CommunicationBuffers = new(
                BufferBytes(),
                OperatingSystem.IsLinux() && !Groups.World.IsWithinProcess ? Math.Max(0, sharedMemory - held.SharedParameters) : null),
            ProportionalSet = OperatingSystem.IsLinux() ? proportionalSet : null,
            FreeHeap = OperatingSystem.IsLinux() ? GlibcHeap.Bytes.Free : null,
        };
    }

    /// <summary>The sum over all optimizers; null if one of them is not known.</summary>
    private long? SumOver(Func<optim.Optimizer, long?> bytes) =>
        _optimizers.Aggregate((long?)0, (sum, optimizer) => sum + bytes(optimizer.Inner));

    /// <summary>What the groups need through which training exchanges data; null if one of them does not say.</summary>
    private long? BufferBytes() => new[] { Groups.ReducedData, Groups.Shard, Groups.Replicate }
        .Concat(Configuration.TensorParallelDegree > 1 ? [Groups.Tensor] : []).Distinct()
        .Aggregate((long?)0, (sum, group) => sum + group.BufferBytes);

    private void PrintMemory()
    {
        if (IsFirstRank)
            Console.WriteLine(MemoryReport().ToLine());
    }
}
