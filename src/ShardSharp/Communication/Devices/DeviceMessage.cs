namespace ShardSharp.Communication;

/// <summary>A message between GPUs that follows what its thread had queued there when it was made.</summary>
/// <param name="Work">The operation; waiting for it orders the waiting thread's work on the GPU behind it.</param>
/// <param name="Queue">Agrees with the other rank on it, which takes time, and queues it; on any thread, in the order of the pair's messages.</param>
internal sealed record DeviceMessage(Work Work, Action<GroupRecording> Queue);
