namespace ShardSharp.Communication.Local.Collectives;

/// <summary>What a rank sends to itself never leaves it.</summary>
internal static unsafe class OwnShare
{
    public static void Copy(in CollectiveCall call, long inputOffset, long outputOffset, long length)
    {
        foreach (var run in call.Input.Runs(inputOffset, length))
        {
            var target = outputOffset + (run.Offset - inputOffset);
            if (!call.Output.Slice(target, run.Length).IsSameMemoryAs(new FlatBuffer(run.Address, run.Length)))
                call.Output.Write(target, run.Address, run.Length);
        }
    }
}
