using System.Text.Json.Nodes;
using ShardSharp.Checkpoints;
using ShardSharp.HuggingFace;
using ShardSharp.Tests.Checkpoints;
using static TorchSharp.torch;

namespace ShardSharp.Tests.HuggingFace;

/// <summary>A copy of a reference model with another configuration or other tensors in its file.</summary>
internal sealed class ChangedModel : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly string _original;

    public ChangedModel(string model)
    {
        _original = ReferenceModels.PathOf(model);
        foreach (var file in (string[])["config.json", "model.safetensors"])
            File.Copy(Path.Combine(_original, file), _folder[file]);
    }

    /// <summary>Changes the configuration.</summary>
    public ChangedModel With(Action<JsonObject> change)
    {
        var configuration = JsonNode.Parse(File.ReadAllText(_folder["config.json"]))!.AsObject();
        change(configuration);
        File.WriteAllText(_folder["config.json"], configuration.ToJsonString());
        return this;
    }

    /// <summary>Changes the tensors.</summary>
    public ChangedModel WithTensors(Action<Dictionary<string, Tensor>> change)
    {
        using var scope = NewDisposeScope();
        Dictionary<string, Tensor> tensors;
        using (var file = SafetensorsFile.Open(_folder["model.safetensors"]))
            tensors = file.Entries.ToDictionary(entry => entry.Name, entry => file.Read(entry.Name));
        change(tensors);
        SafetensorsFile.Write(_folder["model.safetensors"], tensors);
        return this;
    }

    public LanguageModel Load(LoadOptions? options = null) => HuggingFaceModel.Load(_folder.Path, options);

    /// <summary>Loads the model and compares its logits with those of the original.</summary>
    public void MustComputeTheSame()
    {
        using var scope = NewDisposeScope();
        using var reference = new ReferenceFile(_original);
        using var model = Load();
        var difference = ((model.call(reference["input_ids"]) - reference["logits"]).norm() / reference["logits"].norm()).item<float>();
        Assert.True(difference <= 1e-5, $"logits differ by {difference}");
    }

    public void Dispose() => _folder.Dispose();
}
