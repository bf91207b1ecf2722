namespace ShardSharp.Tests.DataParallel;

/// <summary>Tests of what belongs to the whole process, its memory or its random generator: they run with no other beside them.</summary>
[CollectionDefinition(nameof(WholeProcess), DisableParallelization = true)]
public static class WholeProcess;
