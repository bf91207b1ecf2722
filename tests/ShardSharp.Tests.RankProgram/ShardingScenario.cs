using ShardSharp;
using ShardSharp.Tests.HuggingFace;
using static TorchSharp.torch;

/// <summary>
/// Trains a model on all ranks, sharded as the configuration says, and alone on each; says how far the two came apart. Then repeats the
/// trainings of PyTorch in the folders that the program is given.
/// </summary>
internal static class ShardingScenario
{
    private const int Steps = 5;
    private const int Batch = 8;

    public static void Play(Session session)
    {
        TrainBoth(session);
        foreach (var folder in session.Arguments.Where(Directory.Exists))
        {
            var losses = new ReferenceCurve(folder).Run(session);
            if (session.IsFirstRank)
                Console.WriteLine($"bits: {BitConverter.DoubleToInt64Bits(losses[^1])} as transformers with {Path.GetFileName(folder)}");
        }
    }

    private static void TrainBoth(Session session)
    {
        using var scope = NewDisposeScope();
        using var alone = Create();
        using var plain = optim.AdamW(alone.parameters(), 0.01);
        using var model = session.DistributedModel(Create);
        using var optimizer = session.DistributedOptimizer(model, parameters => optim.AdamW(parameters, 0.01), fused: false);
        var share = Batch / session.Size;
        for (var step = 0; step < Steps; step++)
        {
            using var generator = new Generator((ulong)step + 1);
            var inputs = randn([Batch, 6], generator: generator);
            plain.zero_grad();
            Loss(alone.call(inputs)).backward();
            plain.step();
            optimizer.zero_grad();
            model.Step([inputs.narrow(0, session.Rank * share, share)], (module, batch) => Loss(module.call(batch[0])));
            optimizer.step();
        }

        using var whole = model.GatherParameters();
        var differences = model.Module.parameters().Zip(alone.parameters(), (mine, theirs) => ((mine - theirs).abs().max() / theirs.abs().max()).item<float>());
        Console.WriteLine(differences.Max() < 1e-5f ? $"rank {session.Rank} agrees" : $"rank {session.Rank} differs: {string.Join(' ', differences)}");
        if (session.IsFirstRank)
        {
            var bits = model.Module.parameters().SelectMany(parameter => parameter.detach().flatten().data<float>().ToArray()).Select(BitConverter.SingleToInt32Bits);
            Console.WriteLine($"bits: {bits.Aggregate(17, (hash, value) => unchecked((hash * 31) + value))}");
        }
    }

    private static Tensor Loss(Tensor output) => output.pow(2).mean();

    /// <summary>The same model on every rank: ranks that are threads share the random generator, so parameters come from one of their own.</summary>
    private static TorchSharp.Modules.Sequential Create()
    {
        var module = nn.Sequential(
            nn.Linear(6, 24), nn.Tanh(), nn.Linear(24, 17), nn.GELU(), nn.Linear(17, 30), nn.LayerNorm(30), nn.Linear(30, 3));
        using var generator = new Generator(1000);
        using var _ = no_grad();
        foreach (var parameter in module.parameters())
            parameter.copy_(randn(parameter.shape, generator: generator));
        return module;
    }
}
