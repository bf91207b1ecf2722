using ShardSharp.Checkpoints;
using ShardSharp.HuggingFace;
using static TorchSharp.torch;

namespace ShardSharp.Tests.HuggingFace;

/// <summary>Models compute what transformers computes with the same files.</summary>
public sealed class HuggingFaceModelTests
{
    /// <summary>Relative to the norm of what is compared. Both sides compute in float32, in which sums of some hundred terms agree to it.</summary>
    private const double Tolerance = 1e-5;

    [Theory]
    [MemberData(nameof(ReferenceModels.All), MemberType = typeof(ReferenceModels))]
    public void Logits_loss_and_gradients_are_those_of_transformers(string name)
    {
        using var scope = NewDisposeScope();
        using var reference = SafetensorsFile.Open(Path.Combine(ReferenceModels.PathOf(name), "reference.safetensors"));
        using var model = HuggingFaceModel.Load(ReferenceModels.PathOf(name));

        var logits = model.call(reference.Read("input_ids"));
        MustEqual("logits", reference.Read("logits"), logits);
        var loss = LanguageModelLoss.Aligned(logits, reference.Read("labels"));
        MustEqual("loss", reference.Read("loss"), loss.reshape(1));

        loss.backward();
        foreach (var (parameter, value) in model.named_parameters())
            MustEqual(parameter, reference.Read($"grad.{parameter}"), AsStored(model, parameter, value.grad!));
        MustEqual("gradient norm", reference.Read("grad_norm"), tensor((float)nn.utils.clip_grad_norm_(model.parameters(), 1)).reshape(1));
        Assert.Equal(
            reference.Entries.Select(entry => entry.Name).Where(entry => entry.StartsWith("grad.", StringComparison.Ordinal)).Order(),
            model.named_parameters().Select(parameter => $"grad.{parameter.name}").Order());
    }

    private static Tensor AsStored(LanguageModel model, string name, Tensor value) =>
        model.Architecture.IsTransposed(name) ? value.t() : value;

    private static void MustEqual(string what, Tensor expected, Tensor actual)
    {
        Assert.Equal(expected.shape, actual.shape);
        var difference = ((actual - expected).norm() / expected.norm()).item<float>();
        Assert.True(difference <= Tolerance, $"{what} differs by {difference}");
    }
}
