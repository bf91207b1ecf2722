using ShardSharp.Testing;
using ShardSharp.Topology;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Tests.DataParallel;

/// <summary>A short training in plain TorchSharp that any number of ranks must repeat, each with its part of the samples.</summary>
/// <typeparam name="TModule">The module's type.</typeparam>
/// <param name="Create">Builds the module; its parameters are then filled with the same numbers everywhere.</param>
/// <param name="Batch">All samples of a step.</param>
/// <param name="Loss">The mean loss of some samples.</param>
internal sealed record Trial<TModule>(
    Func<TModule> Create, Func<int, Tensor[]> Batch, Func<TModule, IReadOnlyList<Tensor>, Tensor> Loss)
    where TModule : nn.Module
{
    public Func<IEnumerable<Parameter>, optim.Optimizer> Optimizer { get; init; } = parameters => optim.SGD(parameters, 0.1);

    public int Steps { get; init; } = 4;

    public double Tolerance { get; init; } = 1e-5;

    /// <summary>Done with the gradients of each step before the optimizer's step.</summary>
    public Action<int, TModule> BeforeUpdate { get; init; } = (_, _) => { };

    /// <summary>Done before each step.</summary>
    public Action<int, TModule> BeforeStep { get; init; } = (_, _) => { };

    /// <summary>What the module's parameters are after plain training.</summary>
    public (string Name, Tensor Value, bool HasGradient)[] TrainAlone()
    {
        var module = Randoms.Filled(Create());
        using var optimizer = Optimizer(module.parameters());
        for (var step = 0; step < Steps; step++)
        {
            using var scope = NewDisposeScope();
            BeforeStep(step, module);
            foreach (var parameter in module.parameters())
                parameter.grad = null;
            Loss(module, Batch(step)).backward();
            BeforeUpdate(step, module);
            optimizer.step();
        }

        return Snapshot(module.named_parameters());
    }

    /// <summary>Trains on ranks and compares every rank's parameters with those of plain training.</summary>
    public void MustEqualPlainTraining(int ranks, ParallelConfiguration? configuration = null, RankBackend backend = RankBackend.Threads)
    {
        var expected = TrainAlone();
        RankHarness.RunSessions(
            ranks,
            session =>
            {
                using var outer = NewDisposeScope();
                using var model = session.DistributedModel(() => Randoms.Filled(Create()));
                using var optimizer = session.DistributedOptimizer(model, Optimizer);
                for (var step = 0; step < Steps; step++)
                {
                    using var scope = NewDisposeScope();
                    BeforeStep(step, model.Module);
                    optimizer.zero_grad();
                    model.Step(ShareOf(Batch(step), session), Loss);
                    BeforeUpdate(step, model.Module);
                    optimizer.step();
                }

                MustEqual(expected, Snapshot(model.NamedParameters));
            },
            configuration ?? SmallBuckets,
            new RankHarnessOptions { Backend = backend, Delays = new DelayInjection(ranks) });
    }

    /// <summary>Buckets so small that every layer has one of its own.</summary>
    public static ParallelConfiguration SmallBuckets { get; } = new() { BucketCapacityMegabytes = 0.001 };

    public static Tensor[] ShareOf(IEnumerable<Tensor> batch, Session session) =>
        [.. batch.Select(tensor => tensor.narrow(0, session.Rank * tensor.shape[0] / session.Size, tensor.shape[0] / session.Size))];

    private void MustEqual((string Name, Tensor Value, bool HasGradient)[] expected, (string Name, Tensor Value, bool HasGradient)[] actual)
    {
        Assert.Equal(expected.Select(parameter => (parameter.Name, parameter.HasGradient)), actual.Select(p => (p.Name, p.HasGradient)));
        foreach (var ((name, reference, _), (_, value, _)) in expected.Zip(actual))
        {
            var difference = (value - reference).abs().max().to_type(ScalarType.Float64).item<double>();
            Assert.True(difference <= Tolerance, $"{name} differs by {difference}");
        }
    }

    private static (string Name, Tensor Value, bool HasGradient)[] Snapshot(IEnumerable<(string Name, Parameter Parameter)> parameters) =>
        [.. parameters.Select(named => (named.Name, named.Parameter.detach().clone(), named.Parameter.grad is not null))];
}
