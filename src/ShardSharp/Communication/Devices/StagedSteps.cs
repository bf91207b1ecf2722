namespace ShardSharp.Communication;

/// <summary>How a call on a GPU's memory is cut into steps that fit staging memory, the same on all ranks that agree on the call.</summary>
/// <remarks>
/// A step of a gather, scatter or all-to-all holds a piece of every rank's share, at the same place in each, so that it is a smaller call
/// of the same kind.
/// </remarks>
internal readonly unsafe struct StagedSteps
{
    /// <summary>Steps begin at cache lines, which hold a whole number of elements of any type.</summary>
    private const int Alignment = 64;

    private readonly CollectiveCall _call;
    private readonly long _share;
    private readonly long _step;

    /// <param name="call">The call.</param>
    /// <param name="ranks">Ranks of the group.</param>
    /// <param name="room">Bytes of staging memory for the input of a step, and as many for its output.</param>
    public StagedSteps(in CollectiveCall call, int ranks, int room)
    {
        _call = call;
        var inShares = call.Kind is CollectiveKind.AllGather or CollectiveKind.Gather or CollectiveKind.ReduceScatter or CollectiveKind.Scatter
            or CollectiveKind.AllToAll;
        _share = call.Kind switch
        {
            CollectiveKind.AllGather or CollectiveKind.Gather => call.Input.Length,
            CollectiveKind.ReduceScatter or CollectiveKind.Scatter => call.Output.Length,
            CollectiveKind.AllToAll => call.Input.Length / ranks,
            _ => Math.Max(call.Input.Length, call.Output.Length),
        };
        _step = room / (inShares ? ranks : 1) / Alignment * Alignment;
        Count = Math.Max(1, (int)((_share + _step - 1) / _step));
    }

    /// <summary>How many; one also where there is nothing to move, since the ranks still agree on that.</summary>
    public int Count { get; }

    /// <summary>What a step takes of the input.</summary>
    public FlatBuffer Input(int step) => Part(_call.Input, step);

    /// <summary>Where the result of a step goes.</summary>
    public FlatBuffer Output(int step) => Part(_call.Output, step);

    /// <summary>A step as a call on staging memory.</summary>
    public CollectiveCall Call(int step, byte* input, byte* output) => _call with
    {
        Device = null,
        Mark = null,
        Input = new FlatBuffer(input, Input(step).Length),
        Output = new FlatBuffer(output, Output(step).Length),
        WholeBytes = Count > 1 ? _call.AgreedBytes : 0,
    };

    private FlatBuffer Part(FlatBuffer whole, int step)
    {
        if (whole.Length == 0)
            return default;
        var (share, offset) = (_share, step * _step);
        var length = Math.Min(_step, share - offset);
        return whole.Length == share
            ? whole.Slice(offset, length)
            : whole.Join(Enumerable.Range(0, (int)(whole.Length / share)).Select(place => ((place * share) + offset, length)));
    }
}
