using System.Diagnostics;
using ShardSharp.Communication;

namespace ShardSharp.Launching;

/// <summary>Runs the user's program as the one rank of this process, from session to exit code.</summary>
/// <param name="rank">The rank.</param>
/// <param name="program">What the rank does.</param>
/// <param name="failures">Where the other ranks learn of a failure; null if there are none.</param>
/// <param name="binding">The tie to a launcher of ours, which tells failures from those that only followed; null under other launchers.</param>
internal sealed class RankProgram(int rank, Action<Session> program, IFailureBoard? failures, LauncherBinding? binding)
{
    private bool _isCause;

    public int Run(Func<Session> createSession)
    {
        try
        {
            using var session = createSession();
            program(session);
            session.FinishCheckpoint();
            return ExitCodes.Success;
        }

        // A filter runs while the stack still stands: the cause is shown before the others hear of it, they hear of it before this rank
        // leaves its groups, and a debugger stops where the program threw.
        catch (Exception failure) when (Announce(failure))
        {
            return _isCause || binding is null ? ExitCodes.WorkFailed : ExitCodes.AnotherRankFailed;
        }
    }

    private bool Announce(Exception failure)
    {
        if (FailureText.CommunicationFailure(failure) is { } communication && IsConsequence(communication))
        {
            // Where the launcher ends all ranks, each sees others end: no news.
            if (!_isCause && binding is not { IsEnding: true })
                Console.Error.WriteLine(FailureText.Consequence(communication));
        }
        else
        {
            _isCause = true;
            Console.Error.WriteLine(failures is null ? FailureText.Full(failure) : $"Rank {rank} failed: {FailureText.Full(failure)}");
            failures?.Fail(FailureText.Announcement(rank, failure));
        }

        return !Debugger.IsAttached;
    }

    /// <summary>Ranks find out together that their calls do not match, or that time is up; the first to say so is the one to show it.</summary>
    private bool IsConsequence(CommunicationException failure) =>
        failure is RankFailedException || failures is { OtherFailedFirst: true };
}
