using System.Diagnostics;

namespace ShardSharp.Tests.Communication.Mpi;

/// <summary>Two hosts on this machine: each has a network and a name of its own (network_namespaces(7), uts_namespaces(7)), and a cable joins them.</summary>
/// <remarks>
/// MPI launchers reach the second host through an agent in place of ssh. Making namespaces takes the rights of the superuser and iproute2; where
/// they are missing the tests that need them say so and skip.
/// </remarks>
internal sealed class NetworkedHosts : IDisposable
{
    private readonly string[] _names = [.. "ab".Select(letter => $"shardsharp-{Environment.ProcessId}-{letter}")];
    private readonly string[] _cable = ["ssveth-a", "ssveth-b"];
    private readonly string _folder = Directory.CreateTempSubdirectory("shardsharp-hosts-").FullName;

    public NetworkedHosts()
    {
        foreach (var name in _names)
            Assert.SkipUnless(TryRun("netns", "add", name), "Network namespaces need iproute2 and the rights of the superuser.");
        Run("link", "add", _cable[0], "netns", _names[0], "type", "veth", "peer", "name", _cable[1], "netns", _names[1]);
        for (var host = 0; host < _names.Length; host++)
        {
            Run("-n", _names[host], "addr", "add", $"{Addresses[host]}/24", "dev", _cable[host]);
            Run("-n", _names[host], "link", "set", "lo", "up");
            Run("-n", _names[host], "link", "set", _cable[host], "up");
        }

        // A launcher calls its agent with options, the host, and the command to run there.
        var agent = $"""
            #!/bin/sh
            while [ "$1" != "{Addresses[1]}" ]; do shift; done
            shift
            exec ip netns exec {_names[1]} unshare --uts sh -c "hostname {HostNames[1]}; $*"
            """;
        File.WriteAllText(Agent, agent);
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(Agent, UnixFileMode.UserRead | UnixFileMode.UserExecute);
    }

    public static IReadOnlyList<string> HostNames { get; } = ["host-a", "host-b"];

    private static IReadOnlyList<string> Addresses { get; } = ["10.213.7.1", "10.213.7.2"];

    private string Agent => Path.Combine(_folder, "agent");

    /// <summary>The words that start a launcher on the first host, with two ranks of its job on each; to be followed by the program.</summary>
    public string[] Launch(string launcher)
    {
        string[] options = launcher == MpiLaunchers.OpenMpi
            ? ["--allow-run-as-root", "--oversubscribe", "--mca", "plm", "rsh", "--mca", "plm_rsh_agent", Agent, "--mca", "btl", "tcp,self",
                "--mca", "btl_tcp_if_include", Network, "--mca", "oob_tcp_if_include", Network, "-x", "OMP_NUM_THREADS",
                "--host", string.Join(',', Addresses.Select(address => $"{address}:2"))]
            : ["-launcher", "ssh", "-launcher-exec", Agent, "-iface", _cable[0], "-hosts", string.Join(',', Addresses), "-ppn", "2"];
        return ["ip", "netns", "exec", _names[0], "unshare", "--uts", "sh", "-c", $"hostname {HostNames[0]}; exec \"$@\"", "sh",
            launcher, .. options, "-np", "4"];
    }

    /// <summary>Bytes that have gone through the cable.</summary>
    public long BytesSent() => long.Parse(
        Read("netns", "exec", _names[0], "cat", $"/sys/class/net/{_cable[0]}/statistics/tx_bytes"), System.Globalization.CultureInfo.InvariantCulture);

    public void Dispose()
    {
        foreach (var name in _names)
            TryRun("netns", "delete", name);
        Directory.Delete(_folder, recursive: true);
    }

    private const string Network = "10.213.7.0/24";

    private static void Run(params string[] arguments) => Assert.True(TryRun(arguments), $"ip {string.Join(' ', arguments)}");

    private static bool TryRun(params string[] arguments)
    {
        try
        {
            using var process = Process.Start(new ProcessStartInfo("ip", arguments) { RedirectStandardError = true })!;
            process.WaitForExit();
            return process.ExitCode == 0;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return false;
        }
    }

    private static string Read(params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo("ip", arguments) { RedirectStandardOutput = true })!;
        return process.StandardOutput.ReadToEnd();
    }
}
