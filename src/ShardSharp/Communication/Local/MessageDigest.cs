using static TorchSharp.torch;

namespace ShardSharp.Communication.Local;

/// <summary>What sender and receiver of a message must agree on.</summary>
/// <param name="Count">Elements.</param>
/// <param name="ElementType">Element type.</param>
internal readonly record struct MessageDigest(long Count, ScalarType ElementType);
