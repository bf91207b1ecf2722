using static TorchSharp.torch;

namespace ShardSharp.Tests;

/// <summary>The program that README.md shows.</summary>
internal static class ReadmeExample
{
    public static int Run(string[] args, utils.data.Dataset<(Tensor Inputs, Tensor Labels)> dataset)
    {
        // begin
        return ModelParallel.Launch(args, session =>
        {
            // Ordinary TorchSharp: a module, an optimizer, a dataset. ShardSharp arranges them over the ranks.
            using var model = session.DistributedModel(() => nn.Sequential(
                ("hidden", nn.Linear(64, 256)), ("activation", nn.GELU()), ("output", nn.Linear(256, 10))));
            using var optimizer = session.DistributedOptimizer(model, parameters => optim.AdamW(parameters, 1e-3));

            // Each rank gets its own samples of every batch; the order follows from the seed and the epoch.
            foreach (var (inputs, labels) in session.Shard(dataset, globalBatchSize: 32))
            {
                // Forward, backward, and the average of the gradients over all ranks while backward still runs.
                using var loss = model.Step(inputs, labels, (output, target) => nn.functional.cross_entropy(output, target));
                optimizer.step();
                optimizer.zero_grad();
                session.Report(("loss", loss.ReduceMean()));
            }
        });
        // end
    }
}
