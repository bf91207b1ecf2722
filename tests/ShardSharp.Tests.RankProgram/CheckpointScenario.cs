using System.Diagnostics;
using System.Globalization;
using ShardSharp;
using static TorchSharp.torch;

/// <summary>A training that saves after each step, every other time in the background, and begins with the newest checkpoint there is.</summary>
internal static class CheckpointScenario
{
    private const int Width = 256;
    private const int DyingStep = 5;

    /// <param name="session">Its arguments: "session", "checkpoint", the folder, steps, and "die" if a rank is to die once on the way.</param>
    public static void Play(Session session)
    {
        var (folder, steps) = (session.Arguments[2], int.Parse(session.Arguments[3], CultureInfo.InvariantCulture));
        using var scope = NewDisposeScope();
        using var model = session.DistributedModel(() => nn.Sequential(nn.Linear(Width, Width), nn.Tanh(), nn.Linear(Width, Width)));
        using var optimizer = session.DistributedOptimizer(model, parameters => optim.AdamW(parameters, 0.01));
        var step = session.ResumeFromCheckpoint(folder)?.UserContent<int>() ?? 0;
        if (session.IsFirstRank)
            Console.WriteLine($"begins after step {step}, restart {session.RestartCount}");
        while (step < steps)
        {
            using var inner = NewDisposeScope();
            using var generator = new Generator((ulong)((step * session.Size) + session.Rank));
            model.Step([randn([4, Width], generator: generator)], (module, batch) => module.call(batch[0]).pow(2).mean());
            optimizer.step();
            optimizer.zero_grad();
            step++;
            session.SaveCheckpoint(folder, $"step-{step}", userContent: step, keptPartialCheckpoints: 2, inBackground: step % 2 == 0);
            if (session.IsFirstRank && step % 2 == 1)
                Console.WriteLine($"saved {step}");
            if (step == DyingStep && session.Rank == 1 && session.RestartCount == 0 && session.Arguments is [.., "die"])
            {
                using var self = Process.GetCurrentProcess();
                self.Kill();
            }
        }

        session.FinishCheckpoint();
        using var whole = model.GatherParameters();
        var bits = model.Module.parameters().SelectMany(parameter => parameter.detach().flatten().data<float>().ToArray()).Select(BitConverter.SingleToInt32Bits);
        if (session.IsFirstRank)
            Console.WriteLine($"bits: {bits.Aggregate(17, (hash, value) => unchecked((hash * 31) + value))}");
    }
}
