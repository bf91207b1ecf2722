using ShardSharp.Testing;
using ShardSharp.Tests.DataParallel;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Pipeline.Runtime;

/// <summary>A short training in plain TorchSharp that the stages of a pipeline must repeat: every loss, every gradient, every parameter.</summary>
/// <param name="Create">Builds the module; its parameters are then filled with the same numbers everywhere.</param>
/// <param name="Batch">Inputs and labels of a step, of all ranks together.</param>
/// <param name="Loss">The mean loss of some samples.</param>
internal sealed record PipelineTrial(
    Func<nn.Module<Tensor, Tensor>> Create, Func<int, (Tensor Inputs, Tensor Labels)> Batch, Func<Tensor, Tensor, Tensor> Loss)
{
    private const double Tolerance = 1e-5;

    public int Steps { get; init; } = 3;

    /// <summary>Backwards before each step of the optimizer.</summary>
    public int Passes { get; init; } = 1;

    public double LargestNorm { get; init; } = 0.5;

    /// <summary>A model of eight parts that can be cut into up to four stages.</summary>
    public static PipelineTrial Layers { get; } = new(
        () => nn.Sequential(
            nn.Linear(6, 24), nn.Tanh(), nn.Linear(24, 17), nn.GELU(), nn.Linear(17, 20), nn.LayerNorm(20), nn.Linear(20, 20), nn.Linear(20, 3)),
        step => (Randoms.Normal(step, 16, 6), Randoms.Normal(100 + step, 16, 3)),
        (output, labels) => nn.functional.mse_loss(output, labels));

    /// <summary>Trains in plain TorchSharp.</summary>
    public Moment[] TrainAlone()
    {
        using var outer = NewDisposeScope();
        using var module = Randoms.Filled(Create());
        using var optimizer = optim.AdamW(module.parameters(), 0.01);
        return
        [
            .. Enumerable.Range(0, Steps).Select(step =>
            {
                using var scope = NewDisposeScope();
                var loss = 0.0;
                foreach (var parameter in module.parameters())
                    parameter.grad = null;
                for (var pass = 0; pass < Passes; pass++)
                {
                    var (inputs, labels) = Batch((step * Passes) + pass);
                    var value = Loss(module.call(inputs), labels);
                    value.backward();
                    loss += value.item<float>();
                }

                var norm = nn.utils.clip_grad_norm_(module.parameters(), LargestNorm);
                var gradients = module.named_parameters().ToDictionary(named => named.name, named => Values(named.parameter.grad));
                optimizer.step();
                return new Moment(loss, norm, gradients, module.named_parameters().ToDictionary(named => named.name, named => Values(named.parameter)));
            }),
        ];
    }

    /// <summary>Trains on ranks and compares everything with plain training.</summary>
    public void MustEqualPlainTraining(int ranks, ParallelConfiguration configuration, RankHarnessOptions? options = null)
    {
        var expected = TrainAlone();
        var seen = new System.Collections.Concurrent.ConcurrentDictionary<string, bool>();
        RankHarness.RunSessions(
            ranks,
            session =>
            {
                foreach (var (name, _) in MustEqual(expected, Train(session)))
                    seen[name] = true;
            },
            configuration,
            (options ?? new RankHarnessOptions()) with { Delays = new DelayInjection(ranks) });
        Assert.Equal(expected[0].Parameters.Keys.Order(), seen.Keys.Order());
    }

    /// <summary>Trains on the ranks of a session.</summary>
    public Moment[] Train(Session session)
    {
        using var outer = NewDisposeScope();
        using var model = session.DistributedModel(() => Randoms.Filled(Create()));
        using var optimizer = session.DistributedOptimizer(model, parameters => optim.AdamW(parameters, 0.01));
        var moments = new Moment[Steps];
        for (var step = 0; step < Steps; step++)
        {
            using var scope = NewDisposeScope();
            optimizer.zero_grad();
            var loss = 0.0;
            for (var pass = 0; pass < Passes; pass++)
            {
                var (inputs, labels) = Batch((step * Passes) + pass);
                using (pass + 1 < Passes ? model.AccumulateGradients() : null)
                    loss += session.MeanOverDataRanks(model.Step(Share(inputs, session), Share(labels, session), Loss).ReduceMean());
            }

            var norm = optimizer.ClipGradients(LargestNorm);

            // Of sharded state a rank has pieces of the gradients, for which the norm speaks.
            var gradients = session.Configuration.ShardsState
                ? []
                : model.NamedParameters.ToDictionary(named => named.Name, named => Values(named.Parameter.grad));
            optimizer.step();
            using var whole = model.GatherParameters();
            var mine = model.NamedParameters.Select(named => named.Name).ToHashSet();
            moments[step] = new Moment(
                loss, norm, gradients,
                model.Module.named_parameters().Where(named => mine.Contains(named.name)).ToDictionary(named => named.name, named => Values(named.parameter)));
        }

        return moments;
    }

    private static Tensor Share(Tensor tensor, Session session)
    {
        var ranks = session.Groups.Data;
        return tensor.narrow(0, ranks.Rank * tensor.shape[0] / ranks.Size, tensor.shape[0] / ranks.Size);
    }

    private static Dictionary<string, float[]> MustEqual(Moment[] expected, Moment[] actual)
    {
        foreach (var (step, (reference, moment)) in expected.Zip(actual).Index())
        {
            Near(reference.Loss, moment.Loss, $"loss of step {step}");
            Near(reference.Norm, moment.Norm, $"norm of step {step}");
            foreach (var (name, values) in moment.Gradients)
                Equal(reference.Gradients[name], values, $"gradient of {name} in step {step}");
            foreach (var (name, values) in moment.Parameters)
                Equal(reference.Parameters[name], values, $"{name} after step {step}");
        }

        return actual[0].Parameters.ToDictionary();

        static void Near(double one, double other, string what) =>
            Assert.True(Math.Abs(one - other) <= Tolerance * Math.Max(1, Math.Abs(one)), $"{what}: {other} instead of {one}");

        static void Equal(float[] one, float[] other, string what)
        {
            Assert.Equal(one.Length, other.Length);
            foreach (var (a, b) in one.Zip(other))
                Near(a, b, what);
        }
    }

    private static float[] Values(Tensor? tensor)
    {
        if (tensor is null)
            return [];
        using var flat = tensor.detach().contiguous();
        return flat.data<float>().ToArray();
    }

    /// <summary>What a step computed on a rank.</summary>
    public sealed record Moment(double Loss, double Norm, IReadOnlyDictionary<string, float[]> Gradients, IReadOnlyDictionary<string, float[]> Parameters);
}
