using System.Diagnostics;
using System.Globalization;
using ShardSharp.Tests.Communication.Mpi;

namespace ShardSharp.Tests.Communication;

/// <summary>
/// Random operations on random groups with random delays: every result is what one rank computes, and nothing grows. STRESS_COLLECTIVES
/// says how many, STRESS_SEED repeats a run (docs/testing.md).
/// </summary>
public sealed class RandomCollectivesTests
{
    private const int Deadline = 1_200_000;

    [Theory(Timeout = Deadline)]
    [InlineData("threads")]
    [InlineData("shared-memory")]
    [InlineData("processes")]
    public async Task Give_what_one_rank_computes(string ranks)
    {
        var program = Path.Combine(AppContext.BaseDirectory, "ShardSharp.Tests.RankProgram.dll");
        var start = new ProcessStartInfo("dotnet", ["exec", program, "stress", ranks, $"{Collectives(400)}", $"{Seed}", "4"])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        await RequireSuccessAsync(Process.Start(start)!);
    }

    [Theory(Timeout = Deadline)]
    [InlineData("mpirun.openmpi", 0)]
    [InlineData("mpirun.openmpi", 2)]
    [InlineData("mpirun.mpich", 0)]
    [InlineData("mpirun.mpich", 2)]
    public async Task Give_what_one_rank_computes_under_MPI(string launcher, int ranksPerHost) => await RequireSuccessAsync(
        MpiJob.Start(launcher, 4, ["stress", "mpi", $"{Collectives(150)}", $"{Seed}", "4", $"{ranksPerHost}"]));

    private static int Seed { get; } = Setting("STRESS_SEED") ?? Random.Shared.Next();

    private static int Collectives(int unlessSet) => Setting("STRESS_COLLECTIVES") ?? unlessSet;

    private static int? Setting(string variable) =>
        Environment.GetEnvironmentVariable(variable) is { } text ? int.Parse(text, CultureInfo.InvariantCulture) : null;

    private static async Task RequireSuccessAsync(Process program)
    {
        using (program)
        {
            var stop = TestContext.Current.CancellationToken;
            var (output, error) = (program.StandardOutput.ReadToEndAsync(stop), program.StandardError.ReadToEndAsync(stop));
            await program.WaitForExitAsync(stop);
            TestContext.Current.TestOutputHelper!.WriteLine(await output);
            Assert.True(program.ExitCode == 0, $"Seed {Seed}\n{await error}");
        }
    }
}
