using ShardSharp.Testing;
using ShardSharp.Topology;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Tests.DataParallel.Sharding;

/// <summary>
/// A short training in plain TorchSharp that ranks which share out parameters, gradients and optimizer state must repeat: every loss, every
/// gradient and every weight of every step.
/// </summary>
/// <typeparam name="TModule">The module's type.</typeparam>
/// <param name="Create">Builds the module; its parameters are then filled with the same numbers everywhere.</param>
/// <param name="Batch">All samples of a step.</param>
/// <param name="Loss">The mean loss of some samples.</param>
internal sealed record ShardedTrial<TModule>(
    Func<TModule> Create, Func<int, Tensor[]> Batch, Func<TModule, IReadOnlyList<Tensor>, Tensor> Loss)
    where TModule : nn.Module
{
    private const double Tolerance = 1e-5;

    public Func<IEnumerable<Parameter>, optim.Optimizer> Optimizer { get; init; } = parameters => optim.AdamW(parameters, 0.01);

    public int Steps { get; init; } = 4;

    /// <summary>Backwards before each step of the optimizer.</summary>
    public int Passes { get; init; } = 1;

    /// <summary>Done before each step.</summary>
    public Action<int, TModule> BeforeStep { get; init; } = (_, _) => { };

    public Func<string, bool>? IsUnit { get; init; }

    /// <summary>Trains in plain TorchSharp.</summary>
    public Moment[] TrainAlone()
    {
        var module = Randoms.Filled(Create());
        using var optimizer = Optimizer(module.parameters());
        var moments = new Moment[Steps];
        for (var step = 0; step < Steps; step++)
        {
            using var scope = NewDisposeScope();
            BeforeStep(step, module);
            foreach (var parameter in module.parameters())
                parameter.grad = null;
            var loss = 0.0;
            for (var pass = 0; pass < Passes; pass++)
            {
                var value = Loss(module, Batch((step * Passes) + pass));
                value.backward();
                loss += value.item<float>();
            }

            var gradients = module.named_parameters().ToDictionary(named => named.name, named => named.parameter.grad?.flatten().data<float>().ToArray());
            optimizer.step();
            moments[step] = new Moment(loss, gradients, Values(module));
        }

        return moments;
    }

    /// <summary>Trains on ranks and compares everything with plain training.</summary>
    public void MustEqualPlainTraining(int ranks, ParallelConfiguration configuration, RankHarnessOptions? options = null)
    {
        var expected = TrainAlone();
        RankHarness.RunSessions(
            ranks, session => MustEqual(expected, Train(session)), configuration, (options ?? new RankHarnessOptions()) with { Delays = new DelayInjection(ranks) });
    }

    /// <summary>Trains on the ranks of a session.</summary>
    public Moment[] Train(Session session)
    {
        using var outer = NewDisposeScope();
        using var model = session.DistributedModel(() => Randoms.Filled(Create()), IsUnit);
        using var optimizer = session.DistributedOptimizer(model, Optimizer);
        var moments = new Moment[Steps];
        for (var step = 0; step < Steps; step++)
        {
            using var scope = NewDisposeScope();
            BeforeStep(step, model.Module);
            optimizer.zero_grad();
            var loss = 0.0;
            for (var pass = 0; pass < Passes; pass++)
            {
                using (pass + 1 < Passes ? model.AccumulateGradients() : null)
                    loss += session.MeanOverDataRanks(model.Step(Trial<TModule>.ShareOf(Batch((step * Passes) + pass), session), Loss).ReduceMean());
            }

            var gradients = Gradients(session, model);
            optimizer.step();
            using (model.GatherParameters())
                moments[step] = new Moment(loss, gradients, Values(model.Module));
            session.Groups.World.Barrier();
        }

        return moments;
    }

    public static void MustEqual(Moment[] expected, Moment[] actual)
    {
        foreach (var (step, (reference, moment)) in expected.Zip(actual).Index())
        {
            AssertClose($"loss of step {step}", [(float)reference.Loss], [(float)moment.Loss]);
            foreach (var (name, gradient) in reference.Gradients)
                AssertClose($"gradient of {name} in step {step}", gradient, moment.Gradients[name]);
            foreach (var (name, value) in reference.Parameters)
                AssertClose($"{name} after step {step}", value, moment.Parameters[name]);
        }
    }

    private static void AssertClose(string what, float[]? expected, float[]? actual)
    {
        Assert.True(expected is null == actual is null, $"{what}: {(expected is null ? "none" : "one")} expected");
        if (expected is null)
            return;
        Assert.Equal(expected.Length, actual!.Length);

        // Relative to the largest element: what adds up to nearly nothing has no relative precision of its own.
        var scale = expected.Max(Math.Abs);
        var difference = expected.Zip(actual, (x, y) => Math.Abs((double)x - y)).Max();
        Assert.True(difference <= Tolerance * Math.Max(scale, 1e-3), $"{what} differs by {difference} of {scale}");
    }

    private static Dictionary<string, float[]> Values(TModule module) =>
        module.named_parameters().ToDictionary(named => named.name, named => named.parameter.detach().flatten().data<float>().ToArray());

    /// <summary>The whole gradients: the pieces of the ranks, one after another.</summary>
    private static Dictionary<string, float[]?> Gradients(Session session, DistributedModel<TModule> model)
    {
        var mine = model.NamedParameters.ToDictionary(named => named.Name, named => named.Parameter.grad?.data<float>().ToArray());
        var all = session.Groups.Shard.AllGatherObject(mine);
        return mine.Keys.ToDictionary(
            name => name, name => all.Any(rank => rank[name] is not null) ? all.SelectMany(rank => rank[name]!).ToArray() : null);
    }

    /// <summary>What a step led to.</summary>
    internal sealed record Moment(double Loss, Dictionary<string, float[]?> Gradients, Dictionary<string, float[]> Parameters);
}
