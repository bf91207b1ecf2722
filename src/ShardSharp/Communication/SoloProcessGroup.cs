namespace ShardSharp.Communication;

/// <summary>A group of one rank: every collective is a copy from input to output.</summary>
internal sealed class SoloProcessGroup(string name, int globalRank) : ProcessGroup(name, 0, [globalRank])
{
    public override bool SharesMemory => true;

    internal override long? BufferBytes => 0;

    private protected override SharedMemory Share(long bytes, CallSite site) => SharedMemory.Private(bytes);

    private protected override unsafe void Execute(in CollectiveCall call)
    {
        if (!Moves(call))
            return;
        foreach (var run in call.Output.Runs(0, call.Output.Length))
            call.Input.Read(run.Offset, run.Address, run.Length);
    }

    private protected override unsafe void ExecuteOnDevice(in CollectiveCall call)
    {
        if (!Moves(call))
            return;
        var device = call.Mark!.Device;
        var stream = device.CurrentStream;
        device.Wait(stream, call.Mark.Event);
        foreach (var output in call.Output.Runs(0, call.Output.Length))
        {
            foreach (var input in call.Input.Runs(output.Offset, output.Length))
                device.Copy(output.Address + (input.Offset - output.Offset), input.Address, input.Length, stream);
        }

        device.Record(call.Mark.Event, stream);
        device.Synchronize(call.Mark.Event);
    }

    private static bool Moves(in CollectiveCall call) =>
        call.Output.Length > 0 && call.Kind != CollectiveKind.Broadcast && !call.Output.IsSameMemoryAs(call.Input);

    private protected override ProcessGroup CreateSubgroup(
        string name, IReadOnlyList<IReadOnlyList<int>> partition, IReadOnlyList<int> mine, CallSite site) => new SoloProcessGroup(name, GlobalRanks[0]);

    private protected override void Leave()
    {
    }
}
