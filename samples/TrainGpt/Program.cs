using TrainGpt;
using TrainGpt.Model;
using TrainGpt.Reporting;
using TrainGpt.Text;
using static TorchSharp.torch;

var command = new TrainingCommand();
command.SetAction(parsed => Train(command.Read(parsed)));
return command.Parse(args).Invoke();

void Train(TrainingOptions options)
{
    set_num_threads(2);
    var tokenizer = new BytePairTokenizer(TrainingOptions.DataFolder);
    var corpus = TextCorpus.Read(Path.Combine(TrainingOptions.DataFolder, "genesis-to-samuel.txt"), tokenizer);
    using var training = new TokenDataset(corpus.Training, options.Sequence);
    using var validation = new TokenDataset(corpus.Validation, options.Sequence);
    random.manual_seed(options.Seed);
    var model = new Gpt(new GptSettings(tokenizer.VocabularySize, options.Sequence, options.Hidden, options.Layers, options.Heads));
    var optimizer = optim.AdamW(model.parameters(), options.LearningRate, beta2: 0.95, weight_decay: 0.1);
    var scheduler = optim.lr_scheduler.LambdaLR(optimizer, options.LearningRateFactor);
    using var log = new TrainingLog(options, corpus.UnigramEntropy);
    log.Configuration(new { training = options });
    var random_ = new Random(3);
    for (var step = 1; step <= options.Steps; step++)
    {
        using var scope = NewDisposeScope();
        var items = Enumerable.Range(0, options.Batch).Select(_ => training.GetTensor(random_.NextInt64(training.Count))).ToArray();
        var loss = Loss(model.call(stack(items.Select(x => x.Inputs))), stack(items.Select(x => x.Labels)));
        loss.backward();
        var rate = optimizer.ParamGroups.First().LearningRate;
        optimizer.step(); scheduler.step(); optimizer.zero_grad();
        log.Step(loss.item<float>(), rate);
        if (step % options.EvaluateEvery == 0 || step == options.Steps) log.Validation(5);
    }
    log.Finish(new TextGenerator(model, tokenizer, options.Sequence).Continue(options.Prompt, options.Generate, options.Seed));
}

static Tensor Loss(Tensor logits, Tensor labels) => nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten());
