using ShardSharp.Pipeline.Partitioning;
using ShardSharp.Tests.DataParallel;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace ShardSharp.Tests.Pipeline.Partitioning;

/// <summary>What tensors take is measured for the whole process.</summary>
[Collection(nameof(WholeProcess))]
public sealed class PartCostsTests
{
    [Fact]
    public void A_part_is_measured_with_its_activations_and_both_directions()
    {
        using var scope = NewDisposeScope();
        using var model = Sequential(("wide", Linear(256, 256)), ("rest", Linear(256, 8)));
        Tensor[] batch = [rand(512, 256)];

        var costs = PartCosts.Measure(ModelChains.Trace(model, batch).Chain, model, batch);

        Assert.Equal(["wide", "rest"], costs.Select(layer => layer.Name));
        Assert.Equal([256 * 257 * 4, 257 * 8 * 4], costs.Select(layer => layer.ParameterBytes));
        Assert.All(costs, layer => Assert.True(layer.Time > 0));
        Assert.InRange(costs[0].ActivationBytes, 512 * 256 * 4, 512 * 256 * 4 * 1.1);
    }
}
