namespace ShardSharp.Communication.Local;

/// <summary>Where a buffer lies, in terms that other ranks understand.</summary>
/// <param name="Memory">Which memory: 0 for none that others reach.</param>
/// <param name="Offset">Bytes from its start.</param>
internal readonly record struct BufferPlace(long Memory, long Offset);

/// <summary>Where a rank's buffers of one call are.</summary>
/// <param name="Window">What the others use: its contribution, or its result where it contributes nothing.</param>
/// <param name="Output">Its result.</param>
internal readonly record struct BufferPlaces(BufferPlace Window, BufferPlace Output);
