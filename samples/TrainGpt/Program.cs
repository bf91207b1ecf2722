using System.Diagnostics;
using TrainGpt.Model;
using TrainGpt.Text;
using static TorchSharp.torch;

int A(string n, int d) { var i = Array.IndexOf(args, n); return i < 0 ? d : int.Parse(args[i + 1]); }
double F(string n, double d) { var i = Array.IndexOf(args, n); return i < 0 ? d : double.Parse(args[i + 1]); }
var seq = A("--sequence", 128); var batch = A("--batch", 16); var steps = A("--steps", 300); var parts = A("--parts", 1);
set_num_threads(A("--threads", 1));
random.manual_seed(A("--seed", 1));
var t = new BytePairTokenizer(Path.Combine(AppContext.BaseDirectory, "data"));
var c = TextCorpus.Read(Path.Combine(AppContext.BaseDirectory, "data/genesis-to-samuel.txt"), t);
var train = new TokenDataset(c.Training, seq); var val = new TokenDataset(c.Validation, seq);
var m = new Gpt(new GptSettings(t.VocabularySize, seq, A("--hidden", 128), A("--layers", 4), A("--heads", 4)));
Console.WriteLine($"{m.parameters().Sum(p => p.numel())} parameters, {train.Count} windows, {val.Count}, entropy {c.UnigramEntropy:F3}");
var lr = F("--lr", 2e-3);
var opt = optim.AdamW(m.parameters(), lr, beta2: F("--beta2", 0.95), weight_decay: F("--wd", 0.1), eps: F("--eps", 1e-8));
var warm = A("--warmup", 30);
var sch = optim.lr_scheduler.LambdaLR(opt, s => s < warm ? (s + 1.0) / warm : 0.1 + 0.45 * (1 + Math.Cos(Math.PI * (s - warm) / Math.Max(1, steps - warm))));
var r = new Random(7);
var order = new Queue<long>();
var w = Stopwatch.StartNew();
using var outFile = new StreamWriter("/tmp/s/curve" + A("--tag", 0));
for (var step = 1; step <= steps; step++)
{
    double total = 0;
    var ids = new List<long>();
    for (var i = 0; i < batch; i++)
    {
        if (order.Count == 0) { var all = Enumerable.Range(0, (int)train.Count).Select(x => (long)x).ToArray(); r.Shuffle(all); foreach (var x in all) order.Enqueue(x); }
        ids.Add(order.Dequeue());
    }
    opt.zero_grad();
    for (var p = 0; p < parts; p++)
    {
        using var sc = NewDisposeScope();
        var items = ids.Skip(p * batch / parts).Take(batch / parts).Select(train.GetTensor).ToArray();
        var logits = m.call(stack(items.Select(x => x.Inputs)));
        var loss = nn.functional.cross_entropy(logits.flatten(0, 1), stack(items.Select(x => x.Labels)).flatten()) / parts;
        loss.backward();
        total += loss.item<float>();
    }
    opt.step(); sch.step();
    outFile.WriteLine(total);
    if (step % 50 == 0 || step == 1)
    {
        double v = 0;
        if (step % 100 == 0)
        {
            using var g = no_grad();
            var nv = (int)val.Count / 16;
            for (var b = 0; b < nv; b++)
            {
                using var sc = NewDisposeScope();
                var items = Enumerable.Range(b * 16, 16).Select(i => val.GetTensor(i)).ToArray();
                v += nn.functional.cross_entropy(m.call(stack(items.Select(x => x.Inputs))).flatten(0, 1), stack(items.Select(x => x.Labels)).flatten()).item<float>() / nv;
            }
        }
        Console.WriteLine($"{step} {total:F4} val {v:F4} {step * batch * seq / w.Elapsed.TotalSeconds:F0} tok/s {Environment.WorkingSet >> 20} MiB {w.Elapsed.TotalSeconds:F0}s");
    }
}
Console.WriteLine(new TextGenerator(m, t, seq).Continue("And the LORD said", 100, 1)); Console.WriteLine(w.Elapsed);
