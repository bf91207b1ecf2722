using System.Text.RegularExpressions;
using ShardSharp.Checkpoints;
using ShardSharp.HuggingFace;
using static TorchSharp.torch;

namespace ShardSharp.Tests.HuggingFace;

/// <summary>What transformers computes from a model's <c>input_ids</c> and <c>labels</c>.</summary>
internal sealed partial class ReferenceFile(string folder) : IDisposable
{
    private readonly SafetensorsFile _file = SafetensorsFile.Open(Path.Combine(folder, "reference.safetensors"));

    public Tensor this[string name] => _file.Read(name);

    public bool Has(string name) => _file.Contains(name);

    /// <summary>The names of the gradients.</summary>
    public IEnumerable<string> Gradients =>
        _file.Entries.Select(entry => entry.Name).Where(name => name.StartsWith("grad.", StringComparison.Ordinal));

    /// <summary>The gradient of a parameter, in the shape that it has in the model, and which tensor it is in.</summary>
    /// <remarks>transformers 5 keeps all experts of a layer in one parameter, but writes them to files one by one.</remarks>
    public (string Source, Tensor Value) GradientOf(LanguageModel model, string parameter)
    {
        var stored = model.Architecture.StoredNames(parameter)[0];
        if (ExpertMatrix().Match(stored) is { Success: true } expert)
        {
            var source = $"grad.{expert.Groups["layer"]}.mlp.experts.{(expert.Groups["matrix"].Value == "w2" ? "down_proj" : "gate_up_proj")}";
            var ofExpert = this[source][int.Parse(expert.Groups["expert"].ValueSpan)];
            return (source, expert.Groups["matrix"].Value switch
            {
                "w1" => ofExpert.chunk(2, 0)[0],
                "w3" => ofExpert.chunk(2, 0)[1],
                _ => ofExpert,
            });
        }

        var name = $"grad.{stored.Replace(".block_sparse_moe.gate.", ".mlp.gate.", StringComparison.Ordinal)}";
        return (name, model.Architecture.IsTransposed(parameter) ? this[name].t() : this[name]);
    }

    public void Dispose() => _file.Dispose();

    [GeneratedRegex(@"^(?<layer>.*)\.block_sparse_moe\.experts\.(?<expert>\d+)\.(?<matrix>w\d)\.weight$")]
    private static partial Regex ExpertMatrix();
}
