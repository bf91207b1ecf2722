using System.CommandLine;
using ShardSharp.Launching;

namespace ShardSharp.Benchmarks;

/// <summary>
/// <c>limit</c>: trains a model whose parameters, gradients and Adam state need twice the memory that a rank may use, on one rank and on
/// several that share it.
/// </summary>
/// <remarks>
/// The limit is enforced by the kernel: prlimit(1) sets RLIMIT_DATA, which bounds private memory. What ranks share is not private, so the
/// limit of each rank is lowered by its share of the parameters.
/// </remarks>
internal static class LimitCommand
{
    public static Command Create()
    {
        var limit = PositiveOption.Create("--limit-mib", 2048, "What a rank may use, in MiB. The model's parameters are half of it.");
        var ranks = PositiveOption.Create("--ranks", 4, "Ranks that share the model.");
        var command = new Command("limit", "Trains a model that needs twice a memory limit, on one rank and on several.") { limit, ranks };
        command.SetAction(async (arguments, cancellation) =>
        {
            int megabytes = arguments.GetValue(limit), shared = arguments.GetValue(ranks);
            var alone = await Run(megabytes, 1, megabytes, cancellation);
            var together = await Run(megabytes, shared, megabytes - (megabytes / 2 / shared), cancellation);
            Console.WriteLine(JsonLine.Of(alone));
            Console.WriteLine(JsonLine.Of(together));
            return !alone.Trained && together.Trained ? ExitCodes.Success : ExitCodes.WorkFailed;
        });
        return command;
    }

    private static async Task<LimitResult> Run(int limit, int ranks, int privateLimit, CancellationToken cancellation)
    {
        var (exitCode, output, error) = await LimitedProcess.RunAsync(
            privateLimit, "limit", [LimitedRun.Name, "--ranks", $"{ranks}", "--mib", $"{limit / 2}"], cancellation);
        return exitCode == 0
            ? new LimitResult(ranks, limit, privateLimit, 2 * limit, Trained: true, JsonLine.Parse<LimitedResult>(output), Error: null)
            : new LimitResult(ranks, limit, privateLimit, 2 * limit, Trained: false, Result: null, error.Split('\n')[0]);
    }

    /// <param name="Ranks">Ranks that shared the model.</param>
    /// <param name="LimitMib">What a rank might use.</param>
    /// <param name="PrivateLimitMib">What the kernel let it have of private memory.</param>
    /// <param name="StateMib">Parameters, gradients and Adam's state.</param>
    /// <param name="Trained">Whether it worked.</param>
    /// <param name="Result">What came of it.</param>
    /// <param name="Error">The first line of what it said if it did not work.</param>
    private sealed record LimitResult(
        int Ranks, int LimitMib, int PrivateLimitMib, int StateMib, bool Trained, LimitedResult? Result, string? Error);
}
