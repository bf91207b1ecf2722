using ShardSharp.Cli;

namespace ShardSharp.Tests.Cli;

public sealed class ScheduleCommandTests
{
    [Fact]
    public void A_schedule_is_shown_with_what_it_costs()
    {
        var (code, output, _) = Run("schedule", "--stages", "2", "--microbatches", "2", "--kind", "interleaved");

        Assert.Equal(0, code);
        Assert.Equal(
            """
            interleaved: 2 ranks, 2 stages, 2 microbatches; makespan 9, bubble 33.3 %, peak activations 2 1
            rank 0  0F0 0F1 .   .   0B0 --- .   0B1 ---
            rank 1  .   1F0 1B0 --- 1F1 1B1 ---

            """.ReplaceLineEndings("\n"), output.ReplaceLineEndings("\n"));
    }

    [Fact]
    public void Own_schedules_come_from_a_file_and_drawings_go_into_one()
    {
        var folder = Directory.CreateTempSubdirectory();
        try
        {
            var (csv, svg) = (Path.Combine(folder.FullName, "own.csv"), Path.Combine(folder.FullName, "own.svg"));
            File.WriteAllText(csv, "0F0,0B0\n");

            var (code, output, _) = Run("schedule", "--file", csv, "--csv", "--svg", svg);

            Assert.Equal((0, "0F0,0B0\n"), (code, output));
            Assert.Contains("own.csv: 1 ranks", File.ReadAllText(svg), StringComparison.Ordinal);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Theory]
    [InlineData("schedule --kind zigzag")]
    [InlineData("schedule --stages 0")]
    [InlineData("schedule --kind simple --chunks 2")]
    [InlineData("schedule --kind zero_bubble_v --active-microbatches 1")]
    [InlineData("schedule --file no-such-file.csv")]
    public void Bad_arguments_are_refused(string arguments)
    {
        var (code, output, error) = Run(arguments.Split(' '));

        Assert.Equal((2, ""), (code, output));
        Assert.NotEmpty(error);
    }

    private static (int Code, string Output, string Error) Run(params string[] arguments)
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        return (new CommandLine(output, error, new Dictionary<string, string>()).Run(arguments), output.ToString(), error.ToString());
    }
}
