namespace ShardSharp.Communication;

/// <summary>A group of one rank: every collective is a copy from input to output.</summary>
internal sealed class SoloProcessGroup(string name, int globalRank) : ProcessGroup(name, 0, [globalRank])
{
    public override bool SharesMemory => true;

    internal override long? BufferBytes => 0;

    private protected override SharedMemory Share(long bytes, CallSite site) => SharedMemory.Private(bytes);

    private protected override unsafe void Execute(in CollectiveCall call)
    {
        if (call.Output.Length == 0 || call.Output.IsSameMemoryAs(call.Input) || call.Kind == CollectiveKind.Broadcast)
            return;
        foreach (var run in call.Output.Runs(0, call.Output.Length))
            call.Input.Read(run.Offset, run.Address, run.Length);
    }

    private protected override ProcessGroup CreateSubgroup(
        string name, IReadOnlyList<IReadOnlyList<int>> partition, IReadOnlyList<int> mine, CallSite site) => new SoloProcessGroup(name, GlobalRanks[0]);

    private protected override void Leave()
    {
    }
}
