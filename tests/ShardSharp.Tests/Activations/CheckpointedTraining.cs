using ShardSharp.Testing;
using ShardSharp.Tests.DataParallel;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Activations;

/// <summary>A short training on ranks, and every bit of the gradients and losses it led to.</summary>
internal sealed record CheckpointedTraining<TModule>(
    Func<TModule> Create, Func<int, Tensor[]> Batch, Func<TModule, IReadOnlyList<Tensor>, Tensor> Loss)
    where TModule : nn.Module
{
    public int Steps { get; init; } = 3;

    public int Ranks { get; init; } = 1;

    public bool SeparateHosts { get; init; }

    public Action<int, Session> BeforeStep { get; init; } = (_, _) => { };

    public static ParallelConfiguration SmallBuckets { get; } =
        new() { BucketCapacityMegabytes = 0.001, ShardedPersistenceThreshold = 10 };

    /// <summary>Trains without checkpoints and with them, and compares bits.</summary>
    public void MustNotChange(Action<DistributedModel<TModule>> checkpoint, ParallelConfiguration? configuration = null)
    {
        var plain = Run(_ => { }, configuration);
        var checkpointed = Run(checkpoint, configuration);
        Assert.Equal(plain.Keys.Order(), checkpointed.Keys.Order());
        Assert.All(plain, entry => Assert.Equal(entry.Value, checkpointed[entry.Key]));
    }

    public Dictionary<string, float[]> Run(Action<DistributedModel<TModule>> checkpoint, ParallelConfiguration? configuration = null)
    {
        var results = new Dictionary<string, float[]>();
        RankHarness.RunSessions(
            Ranks,
            session =>
            {
                using var outer = NewDisposeScope();
                using var model = session.DistributedModel(() => Randoms.Filled(Create()));
                checkpoint(model);
                using var optimizer = session.DistributedOptimizer(model, parameters => optim.SGD(parameters, 0.1));
                for (var step = 0; step < Steps; step++)
                {
                    using var scope = NewDisposeScope();
                    BeforeStep(step, session);
                    var passes = session.Configuration.BackwardPassesPerStep;
                    if (step % passes == 0)
                        optimizer.zero_grad();
                    using var loss = model.Step(Trial<TModule>.ShareOf(Batch(step), session), Loss);
                    Note($"{session.Rank} {step} loss", [(float)loss.ReduceMean()]);
                    foreach (var (name, parameter) in model.NamedParameters.Where(named => named.Parameter.grad is not null))
                        Note($"{session.Rank} {step} {name}", Values(parameter.grad!));
                    if ((step + 1) % passes == 0)
                        optimizer.step();
                }

                foreach (var (name, buffer) in model.Module.named_buffers())
                    Note($"{session.Rank} {name}", Values(buffer));
            },
            configuration ?? SmallBuckets,
            new RankHarnessOptions { SeparateHosts = SeparateHosts });
        return results;

        void Note(string what, float[] values)
        {
            lock (results)
                results.Add(what, values);
        }

        static float[] Values(Tensor tensor) => [.. tensor.detach().to_type(ScalarType.Float32).flatten().data<float>()];
    }
}
