using System.Text.Json;
using ShardSharp.Cli;
using ShardSharp.Cli.Doctor;

namespace ShardSharp.Tests.Cli;

public sealed class CommandLineTests : IDisposable
{
    private readonly Dictionary<string, string> _environment = [];
    private readonly StringWriter _output = new();
    private readonly StringWriter _error = new();

    public void Dispose()
    {
        _output.Dispose();
        _error.Dispose();
    }

    [Theory]
    [InlineData("")]
    [InlineData("doctor")]
    [InlineData("run")]
    [InlineData("config")]
    public void Every_command_has_help(string command)
    {
        Assert.Equal(0, Run([.. command.Split(' ', StringSplitOptions.RemoveEmptyEntries), "--help"]));
        Assert.Contains("Usage:", _output.ToString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("dance")]
    [InlineData("doctor --loud")]
    [InlineData("run -- true")]
    [InlineData("run --ranks 2")]
    [InlineData("run --ranks 0 -- true")]
    [InlineData("run --ranks two -- true")]
    [InlineData("run --ranks 1 --max-restarts -1 -- true")]
    [InlineData("config one.json two.json")]
    public void Bad_arguments_are_refused(string arguments)
    {
        Assert.Equal(2, Run(arguments.Split(' ')));
        Assert.EndsWith("--help.\n", _error.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Config_shows_values_and_their_sources()
    {
        _environment["SHARDSHARP_SEED"] = "7";
        Assert.Equal(0, Run("config", "--set", "ranks=4", "--set", "microbatches=2"));
        Assert.Matches("(?m)^ranks +4 +command line --set$", _output.ToString());
        Assert.Matches("(?m)^seed +7 +environment variable SHARDSHARP_SEED$", _output.ToString());
        Assert.Matches("(?m)^max_restarts +0 +default$", _output.ToString());
    }

    [Fact]
    public void Config_prints_a_file_that_can_be_read_again()
    {
        Assert.Equal(0, Run("config", "--set", "ranks=4", "--json"));
        Assert.Equal(4, ShardSharp.Topology.ParallelConfiguration.FromJson(_output.ToString()).Ranks);
    }

    [Fact]
    public void Config_lists_what_is_wrong()
    {
        Assert.Equal(2, Run("config", "no such file.json", "--set", "rank=4"));
        Assert.Contains("has 2 problems", _error.ToString(), StringComparison.Ordinal);
        Assert.Contains("rank = 4 (command line --set)", _error.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Run_gives_the_exit_code_of_the_program() => Assert.Equal(3, Run("run", "--ranks", "2", "--", "/bin/sh", "-c", "exit 3"));

    [Fact]
    public void Run_starts_ranks_again() => Assert.Equal(
        0, Run("run", "--ranks", "1", "--max-restarts", "1", "--", "/bin/sh", "-c", "test \"$SHARDSHARP_RESTART\" = 1"));

    [Fact]
    public void Run_starts_an_assembly_with_dotnet() => Assert.Equal(
        0, Run("run", "--ranks", "1", "--", Path.Combine(AppContext.BaseDirectory, "ShardSharp.Tests.RankProgram.dll"), "arguments"));

    [Fact]
    public void Run_says_when_there_is_no_such_program()
    {
        Assert.Equal(2, Run("run", "--ranks", "1", "--", "/no/such/program"));
        Assert.Contains("/no/such/program", _error.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Doctor_finds_the_libtorch_of_an_application()
    {
        Assert.Equal(0, Run("doctor", "--json", "--application", AppContext.BaseDirectory));
        var findings = JsonDocument.Parse(_output.ToString()).RootElement.GetProperty("findings").EnumerateArray().ToList();
        var torch = findings.Single(finding => finding.GetProperty("topic").GetString() == "libtorch");
        Assert.Equal("ok", torch.GetProperty("state").GetString());
        Assert.StartsWith("2.10.0 in ", torch.GetProperty("what").GetString(), StringComparison.Ordinal);
        Assert.Contains(findings, finding => finding.GetProperty("topic").GetString() == "TorchSharp");
        Assert.Contains(findings, finding => finding.GetProperty("topic").GetString() == "C++ library");
    }

    [Fact]
    public void Doctor_refuses_a_folder_that_is_not_there() => Assert.Equal(2, Run("doctor", "--application", "/no/such/folder"));

    [Fact]
    public void Doctor_describes_a_healthy_machine()
    {
        Assert.Equal(0, Examine(Healthy()));
        Assert.Equal("""
            ok       MPI            /usr/lib/libmpi.so.40 has the ABI of Open MPI 4 and 5
            warning  mpirun         not on PATH
                                    Install the launcher that belongs to the library (Debian: openmpi-bin or mpich), or add its folder to PATH.
            ok       CUDA driver    not installed; only GPUs need it
            ok       NCCL           not installed; only GPUs need it
            ok       cores          2 of 4 cores can be used; affinity allows 0-3; the container's limit is 1.5
            ok       shared memory  anonymous files (memfd) can be created, mapped and opened by another process of this user
            warning  /dev/shm       64 MiB, 64 MiB free; ShardSharp itself does not use it, MPI and NCCL do
                                    For MPI or NCCL give the container more: docker run --shm-size=8g, or --ipc=host.
            ok       memory         16 GiB, 8 GiB available; the container's limit is 4 GiB, memory shared by ranks included
            warning  open files     256 (ulimit -n)
                                    Raise it: ulimit -n 1024.
            ok       launcher       none has started this process: a program started here starts its ranks itself
            ok       configuration  SHARDSHARP_SEED
            No problems.

            """, AfterTorch(), ignoreLineEndingDifferences: true);
    }

    [Fact]
    public void Doctor_finds_what_is_wrong()
    {
        _environment["SHARDSHARP_SEED"] = "none";
        _environment["SHARDSHARP_RANK"] = "0";
        Assert.Equal(1, Examine(Healthy() with
        {
            FindLibrary = name => name == "libcuda.so.1" ? "/usr/lib/libcuda.so.1" : null,
            Read = path => path == "/proc/self/limits" ? "Max address space     1073741824    unlimited    bytes\n" : null,
        }));
        var text = AfterTorch();
        Assert.Contains("warning  NCCL", text, StringComparison.Ordinal);
        Assert.Contains("problem  address space  1 GiB (ulimit -v)", text, StringComparison.Ordinal);
        Assert.Contains("problem  launcher", text, StringComparison.Ordinal);
        Assert.Contains("problem  configuration  seed = none (environment variable SHARDSHARP_SEED) must be", text, StringComparison.Ordinal);
        Assert.EndsWith("3 problems.\n", text, StringComparison.Ordinal);
    }

    [Fact]
    public void Doctor_describes_the_NCCL_library()
    {
        Assert.Equal(0, Examine(Healthy() with { FindNccl = name => $"NCCL 2.26.2 ({name ?? "libnccl.so.2"})" }));
        Assert.Contains("ok       NCCL           NCCL 2.26.2 (libnccl.so.2)", AfterTorch(), StringComparison.Ordinal);
        Assert.Equal(1, Examine(Healthy() with { FindNccl = _ => throw new NotSupportedException("libnccl.so.2 is NCCL 21003") }));
        Assert.Contains("problem  NCCL           libnccl.so.2 is NCCL 21003", AfterTorch(), StringComparison.Ordinal);
    }

    private DoctorHost Healthy()
    {
        _environment.TryAdd("SHARDSHARP_SEED", "7");
        return new DoctorHost(_environment)
        {
            AvailableCores = 2,
            FindLibrary = name => name == "libmpi.so.40" ? "/usr/lib/libmpi.so.40" : null,
            FindNccl = _ => null,
            Room = _ => (64 << 20, 64 << 20),
            Read = path => path switch
            {
                "/proc/cpuinfo" => "processor\t: 0\nprocessor\t: 1\nprocessor\t: 2\nprocessor\t: 3\n",
                "/proc/self/status" => "Name:\tdotnet\nCpus_allowed_list:\t0-3\n",
                "/sys/fs/cgroup/cpu.max" => "150000 100000\n",
                "/proc/meminfo" => "MemTotal:       16777216 kB\nMemAvailable:    8388608 kB\n",
                "/sys/fs/cgroup/memory.max" => "4294967296\n",
                "/proc/self/limits" => "Max open files            256                  524288               files     \n"
                    + "Max address space         unlimited            unlimited            bytes     \n",
                _ => null,
            },
        };
    }

    private int Examine(DoctorHost host) =>
        DoctorCommand.Run(new CommandLine(_output, _error, _environment), host, AppContext.BaseDirectory, json: false);

    /// <summary>The lines about libtorch depend on this machine.</summary>
    private string AfterTorch()
    {
        var lines = _output.ToString().Split('\n').Select(line => line.TrimEnd())
            .SkipWhile(line => line.Contains("libtorch", StringComparison.Ordinal) || line.Contains("C++", StringComparison.Ordinal)
                || line.Contains("TorchSharp", StringComparison.Ordinal));
        return string.Join('\n', lines);
    }

    private int Run(params string[] arguments) => new CommandLine(_output, _error, _environment).Run(arguments);
}
