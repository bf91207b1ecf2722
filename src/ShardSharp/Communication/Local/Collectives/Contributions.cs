using ShardSharp.Communication.Reductions;

namespace ShardSharp.Communication.Local.Collectives;

/// <summary>All ranks' contributions to a chunk: this rank's own from its tensor, the others' from shared memory.</summary>
internal readonly unsafe ref struct Contributions(LocalProcessGroup group, CollectiveCall call, int chunk)
{
    /// <summary>Reduced at a time, so that the copy to the mirror finds it in the first-level cache.</summary>
    private const int BlockBytes = 16 * 1024;

    /// <summary>Reduces a range into this rank's output.</summary>
    /// <param name="published">Where the range begins in what each rank published.</param>
    /// <param name="offset">Where it begins in this rank's input, and in its output if that is the same memory.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="mirror">Shared memory that gets a copy of the result; null for none.</param>
    /// <param name="outputOffset">Where the range begins in the output, if it differs from <paramref name="offset"/>.</param>
    public void Reduce(long published, long offset, long length, byte* mirror, long? outputOffset = null)
    {
        Span<nint> sources = stackalloc nint[group.Size];
        var shift = (outputOffset ?? offset) - offset;
        foreach (var input in call.Input.Runs(offset, length))
        {
            foreach (var output in call.Output.Runs(input.Offset + shift, input.Length))
            {
                for (var done = 0L; done < output.Length; done += BlockBytes)
                {
                    var block = Math.Min(BlockBytes, output.Length - done);
                    var within = output.Offset - shift - offset + done;
                    for (var member = 0; member < sources.Length; member++)
                        sources[member] = (nint)(group.Contribution(member, chunk) + published + within);
                    sources[group.Rank] = (nint)(input.Address + (output.Offset - shift - input.Offset) + done);
                    Reducer.Reduce(call.ElementType, call.Reduction, sources, output.Address + done, block);
                    if (mirror != null)
                        Buffer.MemoryCopy(output.Address + done, mirror + within, block, block);
                }
            }
        }
    }
}
