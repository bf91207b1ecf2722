using ShardSharp.Communication;

namespace ShardSharp.Launching;

/// <summary>Where the report of a failure between ranks goes: standard error of the rank that noticed it first and, if asked, a file.</summary>
/// <param name="file">The file, which is overwritten; null for none.</param>
internal sealed class FailureOutput(string? file)
{
    /// <summary>Ranks say themselves what failed; the console gets what that left open, marked as belonging together.</summary>
    public void Write(FailureReport report)
    {
        var lines = report.Ranks().TrimEnd('\n').Split('\n');
        Console.Error.Write(string.Concat(lines.Select(line => $"| {line}\n")));
        if (file is null)
            return;
        try
        {
            File.WriteAllText(file, report.ToString());
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            Console.Error.WriteLine($"The report could not be written to flight_recorder_file = {file}: {failure.Message}");
        }
    }
}
