using ShardSharp.Testing;
using ShardSharp.Tests.DataParallel;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Pipeline.Runtime;

/// <summary>Layers may be frozen when training begins and thawed later, though a divided backward finds out about parameters in the first step.</summary>
public sealed class FrozenStageTests
{
    /// <summary>A whole first stage, most of it, a whole last stage, and all but the first layer and the last.</summary>
    private static readonly int[][] Frozen = [[0, 2], [0], [4, 5, 6, 7], [2, 4, 5, 6]];

    [Theory]
    [InlineData(PipelineScheduleKind.Interleaved)]
    [InlineData(PipelineScheduleKind.InterleavedDividedDrain)]
    [InlineData(PipelineScheduleKind.ZeroBubbleH1)]
    [InlineData(PipelineScheduleKind.ZeroBubbleV)]
    public void Gradients_are_those_of_one_rank(PipelineScheduleKind kind)
    {
        using var outer = NewDisposeScope();
        var (inputs, labels) = PipelineTrial.Layers.Batch(0);
        foreach (var frozen in Frozen)
        {
            var expected = Enumerable.Range(0, 3).Select(step => Alone(frozen, IsFrozen(step))).ToArray();
            RankHarness.RunSessions(
                2,
                session =>
                {
                    using var scope = NewDisposeScope();
                    using var model = session.DistributedModel(() => Randoms.Filled(PipelineTrial.Layers.Create()));
                    foreach (var (step, gradients) in expected.Index())
                    {
                        Set(model.Module, frozen, IsFrozen(step));
                        model.ZeroGradients();
                        model.Step(inputs, labels, PipelineTrial.Layers.Loss);
                        Assert.All(model.NamedParameters, named => Assert.True(
                            gradients[named.Name] is { } one ? named.Parameter.grad is { } other && one.allclose(other, atol: 1e-5) : named.Parameter.grad is null,
                            $"{named.Name} in step {step}"));
                    }
                },
                new ParallelConfiguration { PipelineParallelDegree = 2, Microbatches = 4, Pipeline = kind });
        }

        static bool IsFrozen(int step) => step < 2;

        Dictionary<string, Tensor?> Alone(int[] frozen, bool isFrozen)
        {
            var module = Randoms.Filled(PipelineTrial.Layers.Create());
            Set(module, frozen, isFrozen);
            PipelineTrial.Layers.Loss(module.call(inputs), labels).backward();
            return module.named_parameters().ToDictionary(named => named.name, named => named.parameter.grad);
        }
    }

    private static void Set(nn.Module module, int[] layers, bool isFrozen)
    {
        foreach (var parameter in layers.SelectMany(layer => module.children().ElementAt(layer).parameters()))
            parameter.requires_grad = !isFrozen;
    }
}
