using System.Text.Json.Nodes;
using ShardSharp.Checkpoints;
using ShardSharp.HuggingFace;
using ShardSharp.Tests.Checkpoints;
using static TorchSharp.torch;

namespace ShardSharp.Tests.HuggingFace;

/// <summary>Models compute what transformers computes with the same files, and are saved to files that are like transformers' own.</summary>
public sealed class HuggingFaceModelTests
{
    /// <summary>Relative to the norm of what is compared. Both sides compute in float32, in which sums of some hundred terms agree to it.</summary>
    private const double Tolerance = 1e-5;

    /// <summary>
    /// Relative to the norm of all gradients: what rounding leaves of gradients that are zero, as that of a key's bias, which softmax does
    /// not see.
    /// </summary>
    private const double Rounding = 1e-7;

    [Theory]
    [MemberData(nameof(ReferenceModels.All), MemberType = typeof(ReferenceModels))]
    public void Logits_losses_and_gradients_are_those_of_transformers(string name)
    {
        using var scope = NewDisposeScope();
        using var reference = new ReferenceFile(ReferenceModels.PathOf(name));
        using var model = HuggingFaceModel.Load(ReferenceModels.PathOf(name));

        var logits = model.call(reference["input_ids"]);
        MustEqual("logits", reference["logits"], logits);
        if (reference.Has("next_token_loss"))
            MustEqual("next token loss", reference["next_token_loss"], LanguageModelLoss.NextToken(logits, reference["input_ids"]).reshape(1));
        var loss = LanguageModelLoss.Aligned(logits, reference["labels"]);
        MustEqual("loss", reference["loss"], loss.reshape(1));

        loss.backward();
        var rounding = Rounding * reference["grad_norm"].item<float>();
        var compared = new HashSet<string>();
        foreach (var (parameter, value) in model.named_parameters())
        {
            var (source, expected) = reference.GradientOf(model, parameter);
            compared.Add(source);
            MustEqual(parameter, expected, value.grad!, rounding);
        }

        Assert.Equal(reference.Gradients.Order(), compared.Order());
        MustEqual("gradient norm", reference["grad_norm"], tensor((float)nn.utils.clip_grad_norm_(model.parameters(), 1)).reshape(1));
    }

    [Theory]
    [MemberData(nameof(ReferenceModels.All), MemberType = typeof(ReferenceModels))]
    public void A_saved_model_is_the_one_that_was_loaded(string name)
    {
        using var folder = new TemporaryFolder();
        using (var model = HuggingFaceModel.Load(ReferenceModels.PathOf(name)))
            model.SaveHuggingFace(folder["saved"]);

        Assert.Equal(["saved"], folder.Files);
        using var before = SafetensorsFile.Open(Path.Combine(ReferenceModels.PathOf(name), "model.safetensors"));
        using var after = SafetensorsFile.Open(Path.Combine(folder["saved"], "model.safetensors"));
        Assert.Equal("pt", after.Metadata["format"]);
        Assert.Equal(before.Entries.Select(entry => entry.Name).Order(), after.Entries.Select(entry => entry.Name).Order());
        Assert.All(before.Entries, entry => MustBeSame(before, after, entry.Name));
        Assert.True(JsonNode.DeepEquals(Json(ReferenceModels.PathOf(name)), Json(folder["saved"])));
    }

    [Fact]
    public void A_large_model_is_saved_to_several_files()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        using var model = HuggingFaceModel.Load(ReferenceModels.PathOf("llama-tied"));
        model.SaveHuggingFace(folder["saved"], largestFile: 20_000);

        using var loaded = HuggingFaceModel.Load(folder["saved"]);

        Assert.True(Directory.GetFiles(folder["saved"], "*.safetensors").Length > 1);
        Assert.Equal(model.named_parameters().Select(named => named.name), loaded.named_parameters().Select(named => named.name));
        Assert.All(model.parameters().Zip(loaded.parameters()), pair => Assert.True(pair.First.eq(pair.Second).all().item<bool>()));
    }

    [Fact]
    public void A_folder_with_files_in_it_is_not_overwritten()
    {
        using var folder = new TemporaryFolder();
        using var model = HuggingFaceModel.Load(ReferenceModels.PathOf("bert"));
        File.WriteAllText(folder["notes"], "");

        Assert.Contains("exists", Assert.Throws<IOException>(() => model.SaveHuggingFace(folder.Path)).Message, StringComparison.Ordinal);

        Assert.Equal(["notes"], folder.Files);
    }

    [Theory]
    [InlineData(ScalarType.BFloat16)]
    [InlineData(ScalarType.Float64)]
    public void A_model_is_loaded_and_saved_in_the_type_asked_for(ScalarType type)
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        using var reference = new ReferenceFile(ReferenceModels.PathOf("llama-tied"));
        using var model = HuggingFaceModel.Load(ReferenceModels.PathOf("llama-tied"), new LoadOptions { Type = type });
        Assert.All(model.parameters(), parameter => Assert.Equal(type, parameter.dtype));
        var difference = (model.call(reference["input_ids"]).to_type(ScalarType.Float32) - reference["logits"]).norm() / reference["logits"].norm();
        Assert.True(difference.item<float>() <= (type == ScalarType.BFloat16 ? 2e-2 : 1e-5));

        model.SaveHuggingFace(folder["saved"]);

        using var again = HuggingFaceModel.Load(folder["saved"]);
        Assert.All(again.parameters(), parameter => Assert.Equal(type, parameter.dtype));
    }

    [Theory]
    [MemberData(nameof(ReferenceModels.WithCurve), MemberType = typeof(ReferenceModels))]
    public void Parts_one_after_another_are_the_model(string name)
    {
        using var scope = NewDisposeScope();
        using var reference = new ReferenceFile(ReferenceModels.PathOf(name));
        using var model = HuggingFaceModel.Load(ReferenceModels.PathOf(name));

        var hidden = model.Parts.Aggregate(reference["input_ids"], (value, part) => part.call(value));

        Assert.True(hidden.eq(model.call(reference["input_ids"])).all().item<bool>());
    }

    [Theory]
    [MemberData(nameof(ReferenceModels.All), MemberType = typeof(ReferenceModels))]
    public void Every_module_is_in_the_tree_once(string name)
    {
        using var model = HuggingFaceModel.Load(ReferenceModels.PathOf(name));

        var modules = model.named_modules().ToList();

        Assert.Equal(modules.Count, modules.Select(named => named.module).Distinct().Count());
    }

    private static void MustBeSame(SafetensorsFile before, SafetensorsFile after, string name)
    {
        using var scope = NewDisposeScope();
        Assert.Equal(before[name].TypeName, after[name].TypeName);
        Assert.Equal(before[name].Shape, after[name].Shape);
        Assert.True(before.Read(name).eq(after.Read(name)).all().item<bool>(), name);
    }

    private static void MustEqual(string what, Tensor expected, Tensor actual, double rounding = 0)
    {
        using var scope = NewDisposeScope();
        Assert.Equal(expected.shape, actual.shape);
        var (difference, norm) = ((actual - expected).norm().item<float>(), expected.norm().item<float>());
        Assert.True(difference <= Math.Max(Tolerance * norm, rounding), $"{what} differs by {difference}, and its norm is {norm}");
    }

    private static JsonNode? Json(string folder) => JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "config.json")));
}
