using ShardSharp.Precision;
using ShardSharp.Testing;
using ShardSharp.Tests.DataParallel;
using ShardSharp.Topology;
using TorchSharp.Modules;
using TrainGpt.Model;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Precision;

/// <summary>A small GPT trained on fixed tokens, in any precision and layout.</summary>
internal static class MixedTraining
{
    public const int Steps = 20;

    public static ParallelConfiguration Layout(string layout, int ranks) => (layout switch
    {
        "state" => new ParallelConfiguration { ShardOptimizerState = true },
        "gradients" => new ParallelConfiguration { ShardedDataParallelDegree = ranks, ShardingLevel = ShardingLevel.Gradients },
        "parameters" => new ParallelConfiguration { ShardedDataParallelDegree = ranks },
        "hybrid" => new ParallelConfiguration { ShardedDataParallelDegree = ranks / 2 },
        _ => new ParallelConfiguration(),
    }) with
    {
        // On several hosts even small parameters are to be gathered.
        ShardedPersistenceThreshold = 100,
    };

    /// <summary>How ranks communicate, with random delays; as ranks of several hosts they share no memory.</summary>
    public static RankHarnessOptions Between(string ranks, int seed) => new()
    {
        Backend = ranks == "shared memory" ? RankBackend.SharedMemory : RankBackend.Threads,
        SeparateHosts = ranks == "hosts",
        Delays = new DelayInjection(seed),
    };

    /// <summary>Trains on the ranks of a session.</summary>
    /// <returns>The loss of each step, and this rank's pieces in the end.</returns>
    public static (double[] Losses, Dictionary<string, float[]> Pieces) Train(Session session, LossScaling? scaling = null)
    {
        using var outer = NewDisposeScope();
        using var model = session.DistributedModel(() => Randoms.Filled(new Gpt(new GptSettings(32, 16, 32, 2, 2))));
        using var optimizer = session.DistributedOptimizer(
            model, parameters => optim.AdamW(parameters, 0.01, beta2: 0.99, weight_decay: 0.1), lossScaling: scaling);
        var losses = new List<double>();
        while (losses.Count < Steps)
        {
            using var scope = NewDisposeScope();
            using var tokens = new Generator(5);
            var batch = randint(32, [8, 17], ScalarType.Int64, generator: tokens);
            var mine = Trial<Gpt>.ShareOf([batch.narrow(1, 0, 16), batch.narrow(1, 1, 16)], session);
            optimizer.zero_grad();
            var loss = session.MeanOverDataRanks(model.Step(mine[0], mine[1], Gpt.Loss).ReduceMean());
            optimizer.step();
            if (optimizer.LossScaler?.Overflow is not true)
                losses.Add(loss);
        }

        return ([.. losses], model.NamedParameters.ToDictionary(named => named.Name, named => Values(named.Parameter)));
    }

    private static float[] Values(Parameter parameter) => parameter.detach().flatten().data<float>().ToArray();
}
