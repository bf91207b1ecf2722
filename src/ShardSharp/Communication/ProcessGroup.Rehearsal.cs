namespace ShardSharp.Communication;

/// <content>Operations that only look as if ranks communicated, while one rank finds out what a model calls.</content>
public abstract partial class ProcessGroup
{
    private bool _isRehearsing;

    /// <summary>
    /// Until the result is disposed, operations of this rank communicate with nobody: their results have the right shapes, and what this rank has in the
    /// places of all. Ranks need not call the same operations meanwhile.
    /// </summary>
    internal IDisposable Rehearse()
    {
        WaitForCollectives();
        return new Rehearsal(this);
    }

    private unsafe void Pretend(in CollectiveCall call)
    {
        if (call.Device is not null)
            throw new NotSupportedException($"Group '{Name}' cannot rehearse {call}: the tensors are on a GPU.");
        if (call.Output.Length == 0 || call.Input.Length == 0 || call.Output.IsSameMemoryAs(call.Input))
            return;

        // Of a share as long as the whole there is one, of a smaller one as many as fit, and of a larger one this rank's part is taken.
        var length = Math.Min(call.Input.Length, call.Output.Length);
        var from = call.Input.Length > length ? Rank * length : 0;
        for (long offset = 0; offset < call.Output.Length; offset += length)
        {
            foreach (var run in call.Output.Runs(offset, length))
                call.Input.Read(from + (run.Offset - offset), run.Address, run.Length);
        }
    }

    private sealed class Rehearsal : IDisposable
    {
        private readonly ProcessGroup _group;

        public Rehearsal(ProcessGroup group)
        {
            _group = group;
            group._isRehearsing = true;
        }

        public void Dispose() => _group._isRehearsing = false;
    }
}
