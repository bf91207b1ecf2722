using FineTune;
using ShardSharp;
using ShardSharp.HuggingFace;
using ShardSharp.Topology;
using TrainGpt.Text;
using static TorchSharp.torch;

// A model of the Hugging Face format learns a text, on as many ranks as you like, all of it or with LoRA's adapters alone:
//
//     dotnet run -c Release --project samples/FineTune -- --ranks 2 --lora 8

if (FineTuneCommand.Read(args, out var exitCode) is not { } options)
    return exitCode; // --help, or an argument that does not work

return ModelParallel.Launch(args, session => Train(session, options), new ParallelConfiguration { Ranks = 2, Seed = options.Seed });

static void Train(Session session, FineTuneOptions options)
{
    var tokenizer = HuggingFaceTokenizer.Load(options.Model);
    var corpus = TextCorpus.Of(options.ReadText(), tokenizer);
    using var training = new TokenDataset(corpus.Training, options.Sequence);
    using var validation = new TokenDataset(corpus.Validation, options.Sequence);
    var batches = session.Shard(training, options.Batch);
    var validationBatches = session.Shard(validation, options.Batch, shuffle: false);

    // The model is loaded, and gets its adapters, before ShardSharp arranges it over the ranks. The optimizer gets what is trained: with
    // adapters that is a small part, and its state is small too.
    var (trained, all) = (0L, 0L);
    using var model = session.DistributedModel(() =>
    {
        var loaded = Load(options);
        trained = loaded.parameters().Where(parameter => parameter.requires_grad).Sum(parameter => parameter.numel());
        all = loaded.parameters().Sum(parameter => parameter.numel());
        return loaded;
    });
    using var optimizer = session.DistributedOptimizer(
        model, parameters => optim.AdamW(parameters.Where(parameter => parameter.requires_grad), options.LearningRate, weight_decay: 0.01));
    var schedule = optim.lr_scheduler.LambdaLR(optimizer, options.LearningRateFactor);

    Print($"{model.Module.GetName()} of {all} parameters, {trained} of them trained, on {session.Size} ranks");
    Show("before");

    for (var step = 0; step < options.Steps;)
    {
        foreach (var (inputs, labels) in batches.Take(options.Steps - step))
        {
            step++;
            using var output = model.Step(inputs, labels, LanguageModelLoss.Aligned);
            optimizer.step();
            schedule.step();
            optimizer.zero_grad();
            var loss = session.MeanOverDataRanks(output.ReduceMean());
            if (step % 10 == 0 || step == options.Steps)
                Print($"step {step,4}/{options.Steps}  loss {loss:F4}");
        }
    }

    Show("after");
    Save();

    // Every rank computes, whichever prints: where parameters are sharded, a forward gathers them from all ranks.
    void Show(string when)
    {
        model.Evaluate();
        var losses = new List<double>();
        foreach (var (inputs, labels) in validationBatches)
        {
            using var output = model.Forward(inputs, labels, LanguageModelLoss.Aligned);
            losses.Add(output.ReduceMean());
        }

        var loss = session.MeanOverDataRanks(losses.Average());
        Print($"\n{when}: validation loss {loss:F4}\n{Text()}\n");
        model.Train();
    }

    string Text()
    {
        if (session.Configuration.PipelineParallelDegree > 1)
            return "(no rank of a pipeline has the whole model, which writes text; the model that is saved does)";
        using var random = new Generator((ulong)options.Seed);
        return tokenizer.Decode(model.Module.Generate(
            tokenizer.Encode(options.Prompt),
            new GenerationOptions { NewTokens = options.Generate, Temperature = options.Temperature, TopK = 40, Generator = random }));
    }

    // What is saved is a plain model, with the adapters merged into it; the adapters are saved beside it.
    void Save()
    {
        var folder = Path.Combine(options.Output, "model");
        if (session.IsFirstRank)
            Directory.CreateDirectory(options.Output);
        model.SaveHuggingFace(folder);
        if (model.Module.Adapters is not null)
            model.SaveAdapters(Path.Combine(options.Output, "adapters"));
        if (!session.IsFirstRank)
            return;
        foreach (var file in Directory.EnumerateFiles(options.Model).Where(IsOfTokenizer))
            File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
        Print(Path.GetFullPath(options.Output));
    }

    void Print(string text)
    {
        if (session.IsFirstRank)
            Console.WriteLine(text);
    }
}

static LanguageModel Load(FineTuneOptions options)
{
    // In float32, in which small updates are not lost; with bf16 in the configuration, ShardSharp computes in bfloat16 all the same.
    var model = HuggingFaceModel.Load(options.Model, new LoadOptions { Type = ScalarType.Float32 });
    if (options.LoraRank > 0)
    {
        LoraAdapters.Attach(model, new LoraOptions
        {
            Rank = options.LoraRank, Alpha = 2 * options.LoraRank, Dropout = options.LoraDropout, Targets = options.LoraTargets,
        });
    }

    return model;
}

static bool IsOfTokenizer(string path) =>
    Path.GetFileName(path) is "vocab.json" or "merges.txt" or "tokenizer.json" or "tokenizer.model" or "tokenizer_config.json" or "special_tokens_map.json";
