namespace ShardSharp.DataParallel;

/// <summary>How far a training has come in its data. The same on all ranks, and for any number of them.</summary>
/// <param name="Epoch">Which order of the samples is in use, or comes next.</param>
/// <param name="Batches">Global batches of that order that have been taken.</param>
internal readonly record struct DataPosition(int Epoch, long Batches);
