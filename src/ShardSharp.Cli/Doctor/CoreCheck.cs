using System.Globalization;

namespace ShardSharp.Cli.Doctor;

/// <summary>Cores: those of the machine, and those that this process may use.</summary>
internal static class CoreCheck
{
    public static IEnumerable<Finding> Run(DoctorHost host)
    {
        var machine = host.Read("/proc/cpuinfo")?.Split('\n').Count(line => line.StartsWith("processor", StringComparison.Ordinal));
        var allowed = ProcText.Value(host.Read("/proc/self/status"), "Cpus_allowed_list");
        var quota = Quota(host.Read("/sys/fs/cgroup/cpu.max"));
        var limits = string.Concat(
            allowed is null ? "" : $"; affinity allows {allowed}",
            quota is { } cores ? string.Create(CultureInfo.InvariantCulture, $"; the container's limit is {cores:0.##}") : "");
        var what = $"{host.AvailableCores} of {machine?.ToString(CultureInfo.InvariantCulture) ?? "unknown"} cores can be used{limits}";
        yield return quota < 1
            ? Finding.Warning("cores", what, "Less than a core makes ranks wait for each other: raise the container's limit (docker run --cpus).")
            : Finding.Ok("cores", what);
    }

    /// <summary>Cores that a cgroup grants: quota over period (kernel documentation, cgroup-v2, cpu.max); null for no limit.</summary>
    private static double? Quota(string? text) =>
        text?.Split(' ') is [var quota, var period]
        && double.TryParse(quota, CultureInfo.InvariantCulture, out var time)
        && double.TryParse(period, CultureInfo.InvariantCulture, out var of) ? time / of : null;
}
