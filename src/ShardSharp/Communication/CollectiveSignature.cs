using static TorchSharp.torch;

namespace ShardSharp.Communication;

/// <summary>What ranks must agree on before they exchange data, in a form that lies in shared memory.</summary>
internal struct CollectiveSignature
{
    /// <summary>Position of the call in the sequence of collectives of its group, from 1.</summary>
    public long Sequence;

    /// <summary>Elements.</summary>
    public long Count;

    /// <summary>Elements that this step moves, where a longer call is done in steps; else 0.</summary>
    public long Step;

    public CollectiveKind Kind;
    public ReduceOperation Reduction;
    public ScalarType ElementType;
    public int Root;

    public static CollectiveSignature Of(in CollectiveCall call, long sequence) => new()
    {
        Sequence = sequence,
        Count = ElementTypes.CountOf(call.WholeBytes > 0 ? call.WholeBytes : call.AgreedBytes, call.ElementType),
        Step = call.WholeBytes > 0 ? ElementTypes.CountOf(call.AgreedBytes, call.ElementType) : 0,
        Kind = call.Kind,
        Reduction = call.Reduction,
        ElementType = call.ElementType,
        Root = call.Peer,
    };

    public readonly bool Matches(in CollectiveSignature other) =>
        Sequence == other.Sequence && Count == other.Count && Step == other.Step && Kind == other.Kind && Reduction == other.Reduction
        && ElementType == other.ElementType && Root == other.Root;

    public override readonly string ToString() =>
        $"#{Sequence} {Describe(Kind, Reduction, ElementType, Count, Root)}{(Step > 0 ? $" in steps of {Step}" : "")}";

    /// <summary>A call in words: <c>all_reduce (sum) of 1024 Float32</c>, <c>broadcast from 2 of 3 Int64</c>, <c>barrier</c>.</summary>
    public static string Describe(CollectiveKind kind, ReduceOperation reduction, ScalarType type, long count, int peer)
    {
        var amount = $" of {count} {type}";
        return kind switch
        {
            CollectiveKind.AllReduce => $"all_reduce ({Name(reduction)}){amount}",
            CollectiveKind.ReduceScatter => $"reduce_scatter ({Name(reduction)}){amount}",
            CollectiveKind.Reduce => $"reduce ({Name(reduction)}) to {peer}{amount}",
            CollectiveKind.AllGather => $"all_gather{amount}",
            CollectiveKind.AllToAll => $"all_to_all{amount}",
            CollectiveKind.Broadcast => $"broadcast from {peer}{amount}",
            CollectiveKind.Gather => $"gather to {peer}{amount}",
            CollectiveKind.Scatter => $"scatter from {peer}{amount}",
            CollectiveKind.Send => $"send to {peer}{amount}",
            CollectiveKind.Receive => $"receive from {peer}{amount}",
            _ => "barrier",
        };
    }

    private static string Name(ReduceOperation reduction) => reduction switch
    {
        ReduceOperation.Sum => "sum",
        ReduceOperation.Mean => "mean",
        ReduceOperation.Max => "max",
        ReduceOperation.Min => "min",
        _ => "product",
    };
}
