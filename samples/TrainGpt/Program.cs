using ShardSharp;
using ShardSharp.HuggingFace;
using ShardSharp.Topology;
using TrainGpt;
using TrainGpt.Model;
using TrainGpt.Reporting;
using TrainGpt.Text;
using static TorchSharp.torch;

// A small GPT learns the English of the King James Bible, on as many ranks as you like:
//
//     dotnet run -c Release --project samples/TrainGpt -- --ranks 2

if (TrainingCommand.Read(args, out var exitCode) is not { } options)
    return exitCode; // --help, or an argument that does not work

// Launch starts the ranks, and each of them runs Train. The defaults given here hold unless a configuration file (--config), the
// environment or the command line (--ranks, --set) say otherwise.
return ModelParallel.Launch(args, session => Train(session, options), new ParallelConfiguration { Ranks = 2, Seed = options.Seed });

static void Train(Session session, TrainingOptions options)
{
    // The text as tokens, and windows of it as an ordinary TorchSharp dataset. Every rank has it all; Shard hands each rank its own
    // part of every batch. The batch size is global: the number of ranks does not change what is learned, only how fast.
    var tokenizer = HuggingFaceTokenizer.Load(TrainingOptions.DataFolder);
    var corpus = TextCorpus.Read(Path.Combine(TrainingOptions.DataFolder, "genesis-to-samuel.txt"), tokenizer);
    using var training = new TokenDataset(corpus.Training, options.Sequence);
    using var validation = new TokenDataset(corpus.Validation, options.Sequence);
    var batches = session.Shard(training, options.Batch);
    var validationBatches = session.Shard(validation, options.Batch, shuffle: false);

    // An ordinary TorchSharp module and optimizer, made by ShardSharp so that it can arrange them over the ranks.
    var settings = new GptSettings(tokenizer.VocabularySize, options.Sequence, options.Hidden, options.Layers, options.Heads);
    using var model = session.DistributedModel(() => new Gpt(settings));
    using var optimizer = session.DistributedOptimizer(
        model, parameters => optim.AdamW(parameters, options.LearningRate, beta2: 0.95, weight_decay: 0.1));
    var schedule = optim.lr_scheduler.LambdaLR(optimizer, options.LearningRateFactor);

    // One rank keeps the log; on the others it is null. Whatever ranks do together stays outside of `log?.`, or they would wait for ever.
    var parameterCount = model.Parameters.Sum(parameter => parameter.numel());
    var title = $"GPT of {parameterCount / 1e6:F1} million parameters on {session.Size} {(session.Size == 1 ? "rank" : "ranks")}";
    using var log = session.IsFirstRank ? new TrainingLog(title, options, session.Configuration, corpus.UnigramEntropy) : null;

    // The newest checkpoint, if there is one: saved on any number of ranks, resumed on any other.
    var step = options.Checkpoints is { } checkpoints ? session.ResumeFromCheckpoint(checkpoints, scheduler: schedule)?.UserContent<int>() ?? 0 : 0;
    while (step < options.Steps)
    {
        // An enumeration is an epoch, and each has an order of its own.
        foreach (var (inputs, labels) in batches.Take(options.Steps - step))
        {
            step++;
            var learningRate = optimizer.ParamGroups.First().LearningRate;

            // Forward and backward; when Step returns, the gradients are the averages over all ranks.
            using var output = model.Step(inputs, labels, Gpt.Loss);
            optimizer.step();
            schedule.step();
            optimizer.zero_grad();

            var loss = session.MeanOverDataRanks(output.ReduceMean());
            log?.Step(loss, learningRate);
            if (step % options.EvaluateEvery == 0 || step == options.Steps)
            {
                var validationLoss = Evaluate();
                log?.Validation(validationLoss);

                // Written while training goes on; complete, or not to be seen.
                if (options.Checkpoints is not null)
                {
                    session.SaveCheckpoint(
                        options.Checkpoints, $"step-{step}", scheduler: schedule, userContent: step, keptPartialCheckpoints: 2, inBackground: true);
                }
            }
        }
    }

    model.Evaluate();
    var generator = new TextGenerator(model.Module, tokenizer, options.Sequence);
    var text = generator.Continue(options.Prompt, options.Generate, session.Configuration.Seed);
    log?.Finish(text);

    double Evaluate()
    {
        model.Evaluate();
        var losses = new List<double>();
        foreach (var (inputs, labels) in validationBatches)
        {
            using var output = model.Forward(inputs, labels, Gpt.Loss);
            losses.Add(output.ReduceMean());
        }

        model.Train();
        return session.MeanOverDataRanks(losses.Average());
    }
}
