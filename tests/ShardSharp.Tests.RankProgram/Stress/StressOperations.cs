using ShardSharp.Communication;
using Tensor = TorchSharp.torch.Tensor;

namespace ShardSharp.Tests.Stress;

/// <summary>Operations under way on one rank, each with the check of its result.</summary>
internal static class StressOperations
{
    /// <summary>Starts one operation.</summary>
    /// <param name="call">The operation.</param>
    /// <param name="group">This rank's part in its group.</param>
    /// <param name="arena">Where its tensors lie if it is not in memory of their own.</param>
    /// <param name="check">To be called when it is complete; says what is wrong, or null.</param>
    /// <returns>The operation in the background, or null if it is complete already or this rank has no part in it.</returns>
    public static Work? Start(StressCall call, ProcessGroup group, StressArena? arena, out Func<string?> check)
    {
        var (me, size) = (group.Rank, group.Size);
        var layouts = new Random(call.LayoutSeed + me);
        switch (call.Kind)
        {
            case StressKind.AllReduce:
                {
                    var tensors = new StressTensors(call, call.Contribution(me), call.Cuts, layouts, arena);
                    check = () => tensors.Check(StressValues.Reduce(call.Type, call.Reduction, call.Contributions()));
                    return tensors.Run(call, all => group.AllReduce(all, call.Reduction), all => group.AllReduceAsync(all, call.Reduction));
                }

            case StressKind.Broadcast when call.Cuts.Length > 0:
                {
                    var tensors = new StressTensors(call, call.Contribution(me), call.Cuts, layouts, arena);
                    check = () => tensors.Check(call.Contribution(call.Root));
                    return tensors.Run(call, all => group.Broadcast(all, call.Root), start: null);
                }

            case StressKind.Broadcast:
                {
                    var tensors = new StressTensors(call, call.Contribution(me), [], layouts, arena);
                    check = () => tensors.Check(call.Contribution(call.Root));
                    return tensors.Run(call, one => group.Broadcast(one[0], call.Root), one => group.BroadcastAsync(one[0], call.Root));
                }

            case StressKind.Reduce:
                {
                    var tensors = new StressTensors(call, call.Contribution(me), [], layouts, arena);
                    check = () => tensors.Check(
                        me == call.Root ? StressValues.Reduce(call.Type, call.Reduction, call.Contributions()) : call.Contribution(me));
                    return tensors.Run(
                        call, one => group.Reduce(one[0], call.Root, call.Reduction), one => group.ReduceAsync(one[0], call.Root, call.Reduction));
                }

            case StressKind.ReduceScatter:
                return Exchange(
                    call, group, layouts, arena, inputShares: size, outputShares: 1,
                    (output, input) => group.ReduceScatter(output!, input!, call.Reduction),
                    (output, input) => group.ReduceScatterAsync(output!, input!, call.Reduction),
                    () => Share(StressValues.Reduce(call.Type, call.Reduction, call.Contributions(size)), me, size), out check);

            case StressKind.AllGather:
                return Exchange(
                    call, group, layouts, arena, inputShares: 1, outputShares: size,
                    (output, input) => group.AllGather(output!, input!), (output, input) => group.AllGatherAsync(output!, input!),
                    () => Join(call.Contributions()), out check);

            case StressKind.AllToAll:
                return Exchange(
                    call, group, layouts, arena, inputShares: size, outputShares: size,
                    (output, input) => group.AllToAll(output!, input!), (output, input) => group.AllToAllAsync(output!, input!),
                    () => Join(call.Contributions(size).Select(one => Share(one, me, size))), out check);

            case StressKind.Gather:
                return Exchange(
                    call, group, layouts, arena, inputShares: 1, outputShares: me == call.Root ? size : 0,
                    (output, input) => group.Gather(output, input!, call.Root), (output, input) => group.GatherAsync(output, input!, call.Root),
                    () => me == call.Root ? Join(call.Contributions()) : [], out check);

            case StressKind.Scatter:
                return Exchange(
                    call, group, layouts, arena, inputShares: me == call.Root ? size : 0, outputShares: 1,
                    (output, input) => group.Scatter(output!, input, call.Root), (output, input) => group.ScatterAsync(output!, input, call.Root),
                    () => Share(call.Contribution(call.Root, size), me, size), out check);

            case StressKind.Message:
                {
                    check = () => null;
                    if (me != call.Root && me != call.Receiver)
                        return null;
                    var tensors = new StressTensors(call, call.Contribution(me), [], layouts, arena);
                    check = () => tensors.Check(call.Contribution(call.Root));
                    return me == call.Root
                        ? tensors.Run(call, one => group.Send(one[0], call.Receiver), one => group.SendAsync(one[0], call.Receiver))
                        : tensors.Run(call, one => group.Receive(one[0], call.Root), one => group.ReceiveAsync(one[0], call.Root));
                }

            default:
                return StressSmallOperations.Start(call, group, out check);
        }
    }

    private static Work? Exchange(
        StressCall call, ProcessGroup group, Random layouts, StressArena? arena, int inputShares, int outputShares, Action<Tensor?, Tensor?> run,
        Func<Tensor?, Tensor?, Work> start, Func<byte[]> expected, out Func<string?> check)
    {
        var given = call.Contribution(group.Rank, inputShares);
        var input = new StressTensors(call, given, [], layouts, arena);
        var output = new StressTensors(call, call.Contribution(group.Rank, outputShares), [], layouts, arena);
        check = () => output.Check(expected()) ?? input.Check(given);
        var (target, source) = (outputShares == 0 ? null : output.First, inputShares == 0 ? null : input.First);
        if (call.InBackground)
            return start(target, source);
        run(target, source);
        return null;
    }

    private static byte[] Share(byte[] all, int index, int size) => all.AsSpan(index * (all.Length / size), all.Length / size).ToArray();

    private static byte[] Join(IEnumerable<byte[]> shares)
    {
        var all = new MemoryStream();
        foreach (var share in shares)
            all.Write(share);
        return all.ToArray();
    }
}
