using ShardSharp.Pipeline;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Pipeline.Tracing;

/// <summary>Runs a chain as a pipeline does: each part on its own, gradients handed back from part to part.</summary>
internal static class Chains
{
    /// <summary>A chain computes what its model computes, and the same gradients, bit for bit.</summary>
    public static void AssertComputes(ModelChain chain, nn.Module model, IReadOnlyList<Tensor> batch, Func<IReadOnlyList<Tensor>, object?> forward)
    {
        manual_seed(3);
        var expected = Tensors(forward(batch));
        Loss(expected).backward();
        var gradients = Gradients(model);
        foreach (var parameter in model.parameters())
            parameter.grad = null;

        manual_seed(3);
        var actual = Tensors(chain.Output(Run(chain, batch)));

        Assert.Equal(expected.Count, actual.Count);
        Assert.All(expected.Zip(actual), pair => Assert.True(equal(pair.First, pair.Second).all().item<bool>()));
        Assert.Equal(gradients.Keys, Gradients(model).Keys);
        Assert.All(Gradients(model), named => Assert.True(equal(gradients[named.Key], named.Value).all().item<bool>(), named.Key));
        foreach (var parameter in model.parameters())
            parameter.grad = null;

        // Each parameter is in some part, and a part has all that it computes with.
        Assert.Equal(model.parameters().ToHashSet(ReferenceEqualityComparer.Instance), chain.Parts.SelectMany(part => part.Parameters).ToHashSet(ReferenceEqualityComparer.Instance));
    }

    public static string[] Names(ModelChain chain) => [.. chain.Parts.Select(part => part.Name)];

    private static IReadOnlyList<Tensor> Run(ModelChain chain, IReadOnlyList<Tensor> batch)
    {
        var stages = new List<(IReadOnlyList<Tensor> Inputs, IReadOnlyList<Tensor> Outputs)>();
        IReadOnlyList<Tensor> given = [];
        foreach (var part in chain.Parts)
        {
            var inputs = given.Select(tensor => tensor.detach().requires_grad_(tensor.requires_grad)).ToArray();
            var outputs = part.Run(inputs, batch);
            stages.Add((inputs, outputs));
            given = outputs;
        }

        var results = stages[^1].Outputs;
        Loss(results).backward();
        for (var i = stages.Count - 2; i >= 0; i--)
        {
            var needed = stages[i].Outputs.Zip(stages[i + 1].Inputs).Where(pair => pair.First.requires_grad && pair.Second.grad is not null).ToArray();
            autograd.backward([.. needed.Select(pair => pair.First)], [.. needed.Select(pair => pair.Second.grad!)]);
        }

        return results;
    }

    private static Tensor Loss(IReadOnlyList<Tensor> outputs) =>
        outputs.Select(output => (output * output).sum()).Aggregate((sum, one) => sum + one);

    private static List<Tensor> Tensors(object? value)
    {
        var tensors = new List<Tensor>();
        ShardSharp.Modules.TensorStructure.Of(value, tensors);
        return tensors;
    }

    private static SortedDictionary<string, Tensor> Gradients(nn.Module model) =>
        new(model.named_parameters().Where(named => named.parameter.grad is not null).ToDictionary(named => named.name, named => named.parameter.grad!.clone()), StringComparer.Ordinal);
}
