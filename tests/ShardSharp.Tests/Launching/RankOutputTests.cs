using ShardSharp.Launching;

namespace ShardSharp.Tests.Launching;

/// <summary>The console belongs to the whole process: these tests run with no other beside them.</summary>
[Collection(nameof(RankOutputTests))]
[CollectionDefinition(nameof(RankOutputTests), DisableParallelization = true)]
public sealed class RankOutputTests : IDisposable
{
    private readonly TextWriter _outputBefore = Console.Out;
    private readonly TextWriter _errorBefore = Console.Error;
    private readonly StringWriter _output = new();
    private readonly StringWriter _error = new();

    public RankOutputTests()
    {
        Console.SetOut(_output);
        Console.SetError(_error);
    }

    public void Dispose()
    {
        Console.SetOut(_outputBefore);
        Console.SetError(_errorBefore);
    }

    [Fact]
    public void Prefixes_lines_of_rank_threads_and_never_mixes_them()
    {
        using (var output = RankOutput.ForThreads(3))
        {
            using var together = new Barrier(3);
            new ThreadLauncher { Ranks = 3, Output = output }.Run(rank =>
            {
                for (var i = 0; i < 20; i++)
                {
                    Console.Write($"left {i} ");
                    together.SignalAndWait();
                    Console.WriteLine("right");
                }

                Console.Error.Write("unfinished");
            });
        }

        var expected =
            from rank in Enumerable.Range(0, 3) from i in Enumerable.Range(0, 20) select $"[rank {rank}] left {i} right";
        Assert.Equal(expected.Order(StringComparer.Ordinal), RecordingConsole.Sorted(_output.ToString()));
        Assert.Equal(["[rank 0] unfinished", "[rank 1] unfinished", "[rank 2] unfinished"], RecordingConsole.Sorted(_error.ToString()));
    }

    [Fact]
    public async Task Follows_what_a_rank_starts_and_leaves_other_code_alone()
    {
        using var output = RankOutput.ForThreads(1);
        Console.Write("no rank ");
        using (output.Enter(0))
            await Task.Run(() => Console.WriteLine("of rank 0"), TestContext.Current.CancellationToken);
        Console.WriteLine("again none");

        Assert.Equal("no rank [rank 0] of rank 0\nagain none\n", _output.ToString());
    }

    [Fact]
    public void Prefixes_of_a_rank_process_only_what_our_launcher_does_not()
    {
        using (RankOutput.ForProcess(1, worldSize: 2, outputIsRelayed: false, errorIsRelayed: true))
        {
            Console.WriteLine("line");
            Console.Error.WriteLine("line");
            Console.Write("end");
        }

        Assert.Equal(("[rank 1] line\n[rank 1] end\n", "line\n"), (_output.ToString(), _error.ToString()));
    }

    [Fact]
    public void Lets_live_displays_write_beneath_and_gives_the_console_back()
    {
        var before = Console.Out;
        using (var output = RankOutput.ForThreads(1))
        {
            using var rank = output.Enter(0);
            output.Output.Write("50%\r");
        }

        Assert.Same(before, Console.Out);
        Assert.Equal("50%\r", _output.ToString());
    }
}
