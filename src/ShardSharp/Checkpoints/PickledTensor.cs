namespace ShardSharp.Checkpoints;

/// <summary>A tensor as a pickle describes it.</summary>
/// <param name="Storage">Where its elements are.</param>
/// <param name="Offset">Its first element in the storage.</param>
/// <param name="Shape">Its sizes.</param>
/// <param name="Strides">Elements from one index to the next, along each dimension.</param>
internal sealed record PickledTensor(PickledStorage Storage, long Offset, long[] Shape, long[] Strides);

/// <summary>A storage as a pickle describes it.</summary>
/// <param name="Type">Its class.</param>
/// <param name="Key">Name of its file.</param>
internal sealed record PickledStorage(string Type, string Key);
