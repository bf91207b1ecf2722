using System.Diagnostics;
using ShardSharp.Communication;
using ShardSharp.Communication.Local;

namespace ShardSharp.Launching;

/// <summary>Runs the user's program as the one rank of this process, from session to exit code.</summary>
/// <param name="program">What the rank does.</param>
/// <param name="roster">Where the other ranks learn of a failure; null if there are none.</param>
/// <param name="isSupervised">Whether a launcher of ours tells failures from those that only followed.</param>
internal sealed class RankProgram(Action<Session> program, RankRoster? roster, bool isSupervised)
{
    public int Run(int rank, Func<Session> createSession)
    {
        try
        {
            using var session = createSession();
            program(session);
            return ExitCodes.Success;
        }
        catch (RankFailedException consequence)
        {
            Console.Error.WriteLine(consequence.Message);
            return isSupervised ? ExitCodes.AnotherRankFailed : ExitCodes.WorkFailed;
        }

        // A filter runs while the stack still stands: the others hear of the failure before this rank leaves its groups, and a debugger
        // stops where the program threw.
        catch (Exception failure) when (Announce(rank, failure))
        {
            Console.Error.WriteLine(failure);
            return ExitCodes.WorkFailed;
        }
    }

    private bool Announce(int rank, Exception failure)
    {
        roster?.Fail(FailureText(rank, failure));
        return !Debugger.IsAttached;
    }

    /// <summary>What the other ranks show of a failure.</summary>
    public static string FailureText(int rank, Exception failure) => $"Rank {rank} failed: {failure.GetType().Name}: {failure.Message}";
}
