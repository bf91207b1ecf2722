using ShardSharp.Communication;
using ShardSharp.Modules;
using ShardSharp.TensorParallel.Layers;
using ShardSharp.Testing;
using ShardSharp.Tests.DataParallel;
using ShardSharp.Topology;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Tests.TensorParallel.Layers;

/// <summary>
/// Runs a distributed module beside a plain one, forward and backward, in one of the regimes, and requires the same parameters at first, outputs,
/// and gradients of inputs and parameters.
/// </summary>
internal static class Comparison
{
    /// <summary>Float32 sums of a few dozen products, in another order: bounds on values of about one.</summary>
    private const double Bound = 2e-5;

    /// <summary>Modules are built one at a time, each after the same seed of the generator that threads share.</summary>
    private static readonly Lock Construction = new();

    public static TheoryData<int, bool, OptimizationGoal> Regimes { get; } = Every();

    /// <param name="size">How many ranks.</param>
    /// <param name="prescaled">Whether ranks have the same batch.</param>
    /// <param name="goal">Memory or speed.</param>
    /// <param name="distributed">Builds the distributed module.</param>
    /// <param name="plain">Builds the plain one.</param>
    /// <param name="call">Calls one of them with tensors.</param>
    /// <param name="inputs">The inputs of all samples, batch first; those that are floating have gradients unless they are masks, of four dimensions.</param>
    public static void Run(
        int size, bool prescaled, OptimizationGoal goal, Func<TensorRanks, nn.Module> distributed, Func<nn.Module> plain,
        Func<nn.Module, Tensor?[], Tensor> call, params Tensor?[] inputs) => RankHarness.Run(size, group =>
    {
        using var scope = NewDisposeScope();
        var ranks = new TensorRanks(group) { PrescaledBatch = prescaled, Optimize = goal };
        using var module = Built(() => distributed(ranks));
        using var reference = Built(plain);
        var layouts = DistributedModules.LayoutsOf(module);
        RequireSlices(module, reference, layouts, parameter => parameter);
        Spread(module, reference, layouts);

        var whole = inputs.Select(Leaf).ToArray();
        var expected = call(reference, whole);
        var weights = Randoms.Normal(99, expected.shape);
        (expected * weights).sum().backward();

        Tensor? Own(Tensor? tensor) => tensor is null || prescaled || size == 1 ? tensor : tensor.chunk(size, 0)[group.Rank];
        var own = inputs.Select(input => Leaf(Own(input))).ToArray();
        var output = call(module, own);
        RequireClose(Own(expected)!, output, "output");

        // The loss of all samples is a sum; with own samples gradients are of the mean of the ranks' losses.
        var ownSamples = !prescaled && size > 1;
        (output * Own(weights)!).sum().mul(ownSamples ? size : 1).backward();
        group.ThrowDeferred();
        for (var i = 0; i < own.Length; i++)
        {
            if (own[i]?.requires_grad == true)
                RequireClose(Own(whole[i]!.grad!)!, own[i]!.grad! / (ownSamples ? size : 1), $"gradient of input {i}");
        }

        RequireSlices(module, reference, layouts, parameter => parameter.grad!, (parameter, gradient) =>
        {
            if (!ownSamples || !parameter.IsWhole)
                return gradient;
            var mean = gradient.clone();
            group.AllReduce(mean, ReduceOperation.Mean);
            return mean;
        });
    });

    private static Tensor? Leaf(Tensor? input) => input is null ? null
        : input.is_floating_point() && input.dim() < 4 ? input.detach().clone().requires_grad_()
        : input.detach().clone();

    public static TModule Built<TModule>(Func<TModule> create)
        where TModule : nn.Module
    {
        lock (Construction)
        {
            manual_seed(5);
            return create();
        }
    }

    /// <summary>Initial norms are ones and zeros, which hides mistakes: both modules get random parameters.</summary>
    private static void Spread(nn.Module module, nn.Module reference, ParameterLayouts layouts)
    {
        using var _ = no_grad();
        var own = module.named_parameters().ToDictionary(named => named.name, named => named.parameter);
        foreach (var (index, (name, parameter)) in reference.named_parameters().Index())
        {
            parameter.copy_(Randoms.Normal(1000 + index, parameter.shape) * 0.3);
            own[name].copy_(layouts.Of(name, own[name]).Slice(parameter));
        }
    }

    private static void RequireSlices(
        nn.Module module, nn.Module reference, ParameterLayouts layouts, Func<Parameter, Tensor> value,
        Func<ParameterLayout, Tensor, Tensor>? reduce = null)
    {
        var own = module.named_parameters().Where(named => !named.name.StartsWith("lm_head", StringComparison.Ordinal)).ToDictionary(named => named.name, named => named.parameter);
        Assert.Equal(reference.named_parameters().Select(named => named.name).Order(), own.Keys.Order());
        foreach (var (name, parameter) in reference.named_parameters().OrderBy(named => named.name, StringComparer.Ordinal))
        {
            var layout = layouts.Of(name, own[name]);
            var actual = value(own[name]);
            RequireClose(layout.Slice(value(parameter)), reduce is null ? actual : reduce(layout, actual), name);
        }
    }

    private static void RequireClose(Tensor expected, Tensor actual, string what)
    {
        Assert.Equal(expected.shape, actual.shape);
        var scale = Math.Max(1, expected.abs().max().ToSingle());
        var difference = (expected - actual).abs().max().ToSingle();
        Assert.True(difference <= Bound * scale, $"{what}: differs by {difference} where values are up to {scale}");
    }

    private static TheoryData<int, bool, OptimizationGoal> Every()
    {
        var data = new TheoryData<int, bool, OptimizationGoal> { { 1, true, OptimizationGoal.Memory } };
        foreach (var size in new[] { 2, 4 })
        {
            foreach (var prescaled in new[] { true, false })
            {
                data.Add(size, prescaled, OptimizationGoal.Memory);
                data.Add(size, prescaled, OptimizationGoal.Speed);
            }
        }

        return data;
    }
}
