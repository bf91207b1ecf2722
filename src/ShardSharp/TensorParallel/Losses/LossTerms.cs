using ShardSharp.Communication;
using ShardSharp.Modules;

namespace ShardSharp.TensorParallel.Losses;

/// <summary>What a loss is computed by.</summary>
/// <param name="Group">Ranks among which the vocabulary is divided; null where it is not.</param>
/// <param name="Own">The tokens of this rank.</param>
/// <param name="Vocabulary">How many tokens there are.</param>
/// <param name="Options">The rest.</param>
/// <param name="IsLastBackward">Asked in backward whether there will be no other through the same graph; null for never.</param>
internal sealed record LossTerms(ProcessGroup? Group, IndexRange Own, long Vocabulary, CrossEntropyOptions Options, Func<bool>? IsLastBackward = null);
