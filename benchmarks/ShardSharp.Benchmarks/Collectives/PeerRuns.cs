using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using ShardSharp.Launching;

namespace ShardSharp.Benchmarks;

/// <summary>Runs what ShardSharp is compared with, where it is installed: MPI libraries under their launchers, and PyTorch's Gloo.</summary>
internal sealed class PeerRuns(int ranks, CollectivesPlan plan)
{
    /// <summary>How to start a Python that has PyTorch; several words are a command and its first arguments.</summary>
    public const string PythonVariable = "BENCHMARK_PYTHON";

    private const string GlooScript = "pytorch_collectives.py";

    /// <summary>Debian's names, where several MPIs can be installed side by side; the plain one where there is but one.</summary>
    private static readonly string[] MpiLaunchers = ["mpirun.openmpi", "mpirun.mpich"];

    public IReadOnlyList<CollectiveResult> Run()
    {
        string[] launchers = [.. MpiLaunchers.Where(IsInstalled)];
        if (launchers.Length == 0 && IsInstalled("mpirun"))
            launchers = ["mpirun"];
        return [.. launchers.SelectMany(RunMpi), .. RunGloo()];
    }

    private static bool IsInstalled(string program) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(folder => File.Exists(Path.Combine(folder, program)));

    private IEnumerable<CollectiveResult> RunMpi(string launcher)
    {
        var self = ProgramCommand.OfThisProcess();
        var host = self.Arguments.TakeWhile(argument => argument != CollectivesCommand.Name);
        var start = new ProcessStartInfo(launcher, ["-np", $"{ranks}", self.FileName, .. host, MpiPeerCommand.Name, .. plan.ToArguments()]);

        // Open MPI refuses to run as root, or more ranks than cores, unless it is told to.
        start.Environment["OMPI_ALLOW_RUN_AS_ROOT"] = start.Environment["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] = "1";
        start.Environment["OMPI_MCA_rmaps_base_oversubscribe"] = "1";
        return Results(launcher, [start], input: null);
    }

    private IEnumerable<CollectiveResult> RunGloo()
    {
        var words = (Environment.GetEnvironmentVariable(PythonVariable) ?? "python3").Split(' ', StringSplitOptions.RemoveEmptyEntries);
        if (!HasPyTorch(words))
            return [];
        using var script = new StreamReader(typeof(PeerRuns).Assembly.GetManifestResourceStream(GlooScript)!);
        var port = FreePort();
        return Results(
            "Gloo",
            [.. Enumerable.Range(0, ranks).Select(rank =>
            {
                var start = new ProcessStartInfo(words[0], [.. words[1..], "-", .. plan.ToArguments()]);
                foreach (var (name, value) in (ReadOnlySpan<(string, string)>)[
                    ("RANK", $"{rank}"), ("WORLD_SIZE", $"{ranks}"), ("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", $"{port}"),
                    ("GLOO_SOCKET_IFNAME", "lo"), ("USE_LIBUV", "0"), ("OMP_NUM_THREADS", "1")])
                {
                    start.Environment[name] = value;
                }

                return start;
            })],
            script.ReadToEnd());
    }

    private static bool HasPyTorch(string[] words)
    {
        try
        {
            using var process = Process.Start(
                new ProcessStartInfo(words[0], [.. words[1..], "-c", "import torch.distributed"]) { RedirectStandardError = true })!;
            process.StandardError.ReadToEnd();
            process.WaitForExit();
            return process.ExitCode == 0;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return false;
        }
    }

    /// <summary>Runs processes side by side and reads the results that one of them prints.</summary>
    private static IReadOnlyList<CollectiveResult> Results(string peer, IReadOnlyList<ProcessStartInfo> starts, string? input)
    {
        var processes = new List<Process>();
        try
        {
            foreach (var start in starts)
            {
                (start.RedirectStandardOutput, start.RedirectStandardInput) = (true, true);
                var process = Process.Start(start)!;
                processes.Add(process);
                process.StandardInput.Write(input);
                process.StandardInput.Close();
            }

            string[] outputs = [.. Task.WhenAll(processes.Select(process => process.StandardOutput.ReadToEndAsync())).GetAwaiter().GetResult()];
            processes.ForEach(process => process.WaitForExit());
            if (processes.Any(process => process.ExitCode != 0))
                throw new InvalidOperationException($"The peer {peer} failed; what it wrote to its error stream has been passed on.");

            // What .NET tells a terminal when it starts may come before a line.
            return [.. outputs.SelectMany(output => output.Split('\n')).Where(line => line.Contains('{', StringComparison.Ordinal))
                .Select(line => JsonLine.Parse<CollectiveResult>(line[line.IndexOf('{', StringComparison.Ordinal)..]))];
        }
        finally
        {
            foreach (var process in processes)
            {
                if (!process.HasExited)
                    process.Kill(entireProcessTree: true);
                process.Dispose();
            }
        }
    }

    private static int FreePort()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return ((IPEndPoint)socket.LocalEndPoint!).Port;
    }
}
