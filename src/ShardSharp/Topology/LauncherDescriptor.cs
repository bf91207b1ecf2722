using System.Security.Cryptography;
using System.Text;

namespace ShardSharp.Topology;

/// <summary>How one launcher tells a process which rank it is.</summary>
internal sealed record LauncherDescriptor(RankLauncher Launcher, string Name)
{
    private const int LongestJobName = 64;

    public bool IsMpi { get; init; }

    /// <summary>Whether the launcher started this process as a rank: some of its variables, though maybe not all, are there.</summary>
    public required Func<LauncherVariables, bool> Started { get; init; }

    /// <summary>The variables a rank must have; of several names in one entry, any will do.</summary>
    public required IReadOnlyList<string[]> Needs { get; init; }

    public required Func<LauncherVariables, int> Rank { get; init; }

    public required Func<LauncherVariables, int> WorldSize { get; init; }

    public required Func<LauncherVariables, int> LocalRank { get; init; }

    public required Func<LauncherVariables, int> LocalSize { get; init; }

    public Func<LauncherVariables, int?> HostIndex { get; init; } = _ => null;

    public Func<LauncherVariables, int?> HostCount { get; init; } = _ => null;

    /// <summary>What tells the job from others on the host, or null when no variable does.</summary>
    public required Func<LauncherVariables, string?> Job { get; init; }

    public ClusterEnvironment Read(IReadOnlyDictionary<string, string> environment, int? parentProcessId)
    {
        var variables = new LauncherVariables(environment, Name);
        CheckComplete(variables, environment);
        var worldSize = WorldSize(variables);
        var localSize = LocalSize(variables);
        var oneHost = localSize == worldSize;
        var found = new ClusterEnvironment
        {
            Launcher = Launcher,
            Rank = Rank(variables),
            WorldSize = worldSize,
            LocalRank = LocalRank(variables),
            LocalSize = localSize,
            HostIndex = HostIndex(variables) ?? (oneHost ? 0 : null),
            HostCount = HostCount(variables) ?? (oneHost ? 1 : null),
            Job = JobName(variables, parentProcessId),
        };
        CheckConsistent(found, environment);
        return found;
    }

    /// <summary>The needed variables that are set, with their values, for messages.</summary>
    public string Values(IReadOnlyDictionary<string, string> environment) => string.Join(
        ", ", Needs.SelectMany(names => names).Where(environment.ContainsKey).Select(name => $"{name}={environment[name]}"));

    private void CheckComplete(LauncherVariables variables, IReadOnlyDictionary<string, string> environment)
    {
        string[] missing = [.. Needs.Where(names => !names.Any(variables.Has)).Select(names => string.Join(" or ", names))];
        if (missing.Length == 0)
            return;
        var present = Values(environment);
        throw new ClusterEnvironmentException(
            $"This process looks like a rank started by {Name}{(present.Length == 0 ? "" : $" ({present})")}, but "
            + $"{string.Join(", ", missing)} {(missing.Length == 1 ? "is" : "are")} not set. Start it with {Name}, set what is missing, "
            + "or unset the others.");
    }

    private void CheckConsistent(ClusterEnvironment found, IReadOnlyDictionary<string, string> environment)
    {
        var problem = found switch
        {
            { WorldSize: < 1 } or { LocalSize: < 1 } => "there must be at least one rank",
            _ when found.Rank >= found.WorldSize => $"rank {found.Rank} is not below the world size {found.WorldSize}",
            _ when found.LocalRank >= found.LocalSize => $"local rank {found.LocalRank} is not below the local size {found.LocalSize}",
            _ when found.LocalSize > found.WorldSize => $"a host has {found.LocalSize} ranks of {found.WorldSize}",
            _ when found.HostIndex >= found.HostCount => $"host {found.HostIndex} is not below the number of hosts {found.HostCount}",
            _ when found.HostCount == 1 && found.LocalSize < found.WorldSize =>
                $"the only host has {found.LocalSize} ranks of {found.WorldSize}",
            _ => null,
        };
        if (problem is not null)
            throw new ClusterEnvironmentException($"The variables set by {Name} contradict each other: {problem} ({Values(environment)}).");
    }

    private string JobName(LauncherVariables variables, int? parentProcessId)
    {
        var identifier = Job(variables) ?? parentProcessId?.ToString()
            ?? throw new ClusterEnvironmentException(
                $"{Name} does not name its job in the environment, and the parent process, which would tell jobs apart, is not known.");
        var name = $"{Launcher.ToString().ToLowerInvariant()}-{identifier}";
        var safe = string.Concat(name.Select(letter => char.IsAsciiLetterOrDigit(letter) || letter is '.' or '_' or '-' ? letter : '-'));
        if (safe.Length <= LongestJobName)
            return safe;

        // A socket's path holds some 100 bytes: shorten the name, and let a hash of all of it keep jobs apart.
        var hash = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(name)))[..16];
        return $"{safe[..(LongestJobName - hash.Length - 1)]}-{hash}";
    }
}
