namespace ShardSharp.Communication.Local.Collectives;

/// <summary>What a rank sends to itself never leaves it.</summary>
internal static unsafe class OwnShare
{
    public static void Copy(in CollectiveCall call, long inputOffset, long outputOffset, long length)
    {
        foreach (var run in call.Output.Runs(outputOffset, length))
            call.Input.Read(inputOffset + (run.Offset - outputOffset), run.Address, run.Length);
    }
}
