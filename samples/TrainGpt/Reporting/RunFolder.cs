using System.Text.Encodings.Web;
using System.Text.Json;

namespace TrainGpt.Reporting;

/// <summary>
/// Where a run leaves its results: configuration.json, metrics.jsonl (a line a step, written as it happens), and at the end
/// summary.json, loss.svg and generated.txt.
/// </summary>
public sealed class RunFolder : IDisposable
{
    private static readonly JsonSerializerOptions OneLine = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    private static readonly JsonSerializerOptions Indented = new(OneLine) { WriteIndented = true };

    private readonly StreamWriter _metrics;

    public RunFolder(string path)
    {
        Path = Directory.CreateDirectory(path).FullName;
        _metrics = new StreamWriter(File("metrics.jsonl")) { AutoFlush = true };
    }

    /// <summary>The folder, from the root.</summary>
    public string Path { get; }

    public void AddMetrics<T>(T metrics) => _metrics.WriteLine(JsonSerializer.Serialize(metrics, OneLine));

    public void WriteJson<T>(string name, T value) => WriteText(name, JsonSerializer.Serialize(value, Indented) + "\n");

    public void WriteText(string name, string text) => System.IO.File.WriteAllText(File(name), text);

    public void Dispose() => _metrics.Dispose();

    private string File(string name) => System.IO.Path.Combine(Path, name);
}
