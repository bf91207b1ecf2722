using System.Runtime.InteropServices;
using ShardSharp.Communication;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Stress;

/// <summary>The operations that take no tensors.</summary>
internal static class StressSmallOperations
{
    private const int MostNumbers = 5000;

    private sealed record Note(int From, string Text);

    /// <summary>Starts one operation; see <see cref="StressOperations.Start"/>.</summary>
    public static Work? Start(StressCall call, ProcessGroup group, out Func<string?> check)
    {
        check = () => null;
        var me = group.Rank;
        switch (call.Kind)
        {
            case StressKind.Barrier when call.InBackground:
                return group.BarrierAsync();
            case StressKind.Barrier:
                group.Barrier();
                break;
            case StressKind.Numbers:
                {
                    var numbers = call with { Type = ScalarType.Float64, Count = Math.Min(call.Count, MostNumbers) };
                    var values = MemoryMarshal.Cast<byte, double>(numbers.Contribution(me)).ToArray();
                    var reduction = call.Reduction;
                    group.AllReduce(values, reduction);
                    check = () => MemoryMarshal.AsBytes(values.AsSpan())
                        .SequenceEqual(StressValues.Reduce(numbers.Type, reduction, numbers.Contributions())) ? null : "the numbers differ";
                    break;
                }

            case StressKind.BroadcastObject:
                {
                    var received = group.BroadcastObject(NoteOf(call, me), call.Root);
                    check = () => received == NoteOf(call, call.Root) ? null : $"the object differs: {received}";
                    break;
                }

            case StressKind.AllGatherObject:
                {
                    var received = group.AllGatherObject(NoteOf(call, me));
                    check = () => received.SequenceEqual(Enumerable.Range(0, group.Size).Select(member => NoteOf(call, member)))
                        ? null : $"the objects differ: {string.Join(", ", received)}";
                    break;
                }

            case StressKind.ObjectMessage when me == call.Root:
                group.SendObject(NoteOf(call, me), call.Receiver);
                break;
            case StressKind.ObjectMessage when me == call.Receiver:
                {
                    var received = group.ReceiveObject<Note>(call.Root);
                    check = () => received == NoteOf(call, call.Root) ? null : $"the object differs: {received}";
                    break;
                }
        }

        return null;
    }

    private static Note NoteOf(StressCall call, int member) =>
        new(member, new string((char)('a' + (call.Number % 26)), call.Count * (member + 1) % 3000));
}
