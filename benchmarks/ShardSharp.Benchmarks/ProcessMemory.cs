using System.Globalization;

namespace ShardSharp.Benchmarks;

/// <summary>
/// The most memory this process has had, sampled while an instance lives. Reading it makes the kernel walk the page tables, which takes
/// milliseconds and holds up page faults: do not sample while timing.
/// </summary>
internal sealed class ProcessMemory : IDisposable
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(10);

    private readonly ManualResetEvent _ended = new(initialState: false);
    private readonly Thread _sampler;

    public ProcessMemory()
    {
        _sampler = new Thread(Sample) { Name = "memory sampler", IsBackground = true };
        _sampler.Start();
    }

    /// <summary>The largest proportional set size seen, in MiB: a page shared by n processes counts 1/n.</summary>
    public double PeakProportionalSet { get; private set; }

    /// <summary>The largest resident set since the process began, in MiB, kept by the kernel: shared pages count in full.</summary>
    public static double PeakResidentSet => Read("/proc/self/status", "VmHWM:");

    public void Dispose()
    {
        _ended.Set();
        _sampler.Join();
        _ended.Dispose();
    }

    private void Sample()
    {
        do
            PeakProportionalSet = Math.Max(PeakProportionalSet, Read("/proc/self/smaps_rollup", "Pss:"));
        while (!_ended.WaitOne(Interval));
    }

    private static double Read(string file, string key)
    {
        string line = File.ReadLines(file).First(line => line.StartsWith(key, StringComparison.Ordinal));
        var kibibytes = line[key.Length..].Trim().Split(' ')[0];
        return double.Parse(kibibytes, CultureInfo.InvariantCulture) / 1024;
    }
}
