using System.Diagnostics;
using System.Runtime.InteropServices;
using ShardSharp.Communication;

namespace ShardSharp.Launching;

/// <summary>
/// What people read of failures. One rank shows the cause in full; ranks that only followed say in few lines where they were, so that the
/// cause does not drown in the traces of what it caused.
/// </summary>
internal static class FailureText
{
    private const string OutOfMemoryAdvice =
        "This rank is out of memory: session.MemoryReport() tells where it goes. sharded_data_parallel_degree shares parameters, gradients and "
        + "optimizer state out over ranks, delayed_parameter_initialization builds a model that is larger than memory, and more microbatches "
        + "need less for activations.";

    /// <summary>One line for the other ranks.</summary>
    public static string Announcement(int rank, Exception failure) =>
        $"Rank {rank} failed: {failure.GetType().Name}: {failure.Message.Split('\n')[0].TrimEnd()}";

    /// <summary>A failure in full. Errors of communication explain themselves: of their trace the program's own frames are enough.</summary>
    public static string Full(Exception failure)
    {
        if (failure is not CommunicationException)
            return IsOutOfMemory(failure) ? string.Join(Environment.NewLine, failure, OutOfMemoryAdvice) : failure.ToString();
        var frames = new StackTrace(failure, fNeedFileInfo: true).GetFrames()
            .Where(frame => frame.GetMethod()?.DeclaringType?.Assembly != typeof(FailureText).Assembly)
            .Select(frame => new StackTrace(frame).ToString().TrimEnd());
        return string.Join(Environment.NewLine, [failure.Message, .. frames]);
    }

    /// <summary>What is left to say where another rank shows the cause: a line about it and, if this rank waited, one about the wait.</summary>
    public static string Consequence(CommunicationException failure)
    {
        var lines = failure.Message.Split(Environment.NewLine);
        return failure switch
        {
            RankFailedException => string.Join(Environment.NewLine, lines.Length > 1 ? [lines[0], lines[^1]] : lines),
            CollectiveMismatchException => $"{lines[0].TrimEnd(':')}; another rank shows which.",
            _ => failure.Message,
        };
    }

    /// <summary>Where a rank waited when another one failed; null if it did not.</summary>
    public static string? Wait(Exception failure) =>
        CommunicationFailure(failure) is RankFailedException followed && followed.Message.Split(Environment.NewLine) is [_, .., var wait]
            ? wait
            : null;

    /// <summary>The failed communication behind a failure, which tasks and programs may have wrapped; null if it is of another kind.</summary>
    public static CommunicationException? CommunicationFailure(Exception? failure)
    {
        while (failure is not (null or CommunicationException))
            failure = failure.InnerException;
        return (CommunicationException?)failure;
    }

    /// <summary>Whether libtorch (c10/core/impl/alloc_cpu.cpp), .NET or ShardSharp got no memory.</summary>
    private static bool IsOutOfMemory(Exception? failure)
    {
        while (failure is not (null or OutOfMemoryException)
            && !(failure is ExternalException && failure.Message.Contains("can't allocate memory", StringComparison.Ordinal)))
            failure = failure.InnerException;
        return failure is not null;
    }
}
