using System.Diagnostics;
using ShardSharp.Native;
using ShardSharp.Pipeline.Tracing;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Pipeline.Partitioning;

/// <summary>What the parts of a model cost.</summary>
internal static class PartCosts
{
    /// <summary>The machine may do something else for a while, and each part of a turn comes at another time than in the turns before.</summary>
    private const int Turns = 3;

    /// <summary>Costs by the size of the parameters alone, for models that are too large to run on one rank.</summary>
    public static IReadOnlyList<LayerCost> OfParameters(ModelChain chain, nn.Module model)
    {
        var names = SharedNames(chain, model);
        return [.. chain.Parts.Select(part => Cost(part, names, time: 0, activations: 0))];
    }

    /// <summary>
    /// Runs forward and backward of every part on one microbatch and measures them, after a forward that warms up; the fastest of three turns counts.
    /// Only the activations of one part are in memory at a time. Gradients, buffers and the random generator stay as they are.
    /// </summary>
    /// <exception cref="InvalidOperationException">A part computes with a parameter that it does not hold.</exception>
    public static IReadOnlyList<LayerCost> Measure(ModelChain chain, nn.Module model, IReadOnlyList<Tensor> microbatch)
    {
        using var untouched = new UntouchedState(model);
        using var scope = NewDisposeScope();
        using var _ = enable_grad();
        WarmUp();
        var everything = model.named_parameters().ToArray();
        var (times, kept) = (new double[chain.Parts.Count], new long[chain.Parts.Count]);
        Array.Fill(times, double.PositiveInfinity);
        for (var turn = 0; turn < Turns; turn++)
        {
            IReadOnlyList<Tensor> given = [];
            foreach (var (index, part) in chain.Parts.Index())
            {
                using var partScope = NewDisposeScope();
                if (turn == 0)
                    RequireOwn(part, given, Copies(microbatch), everything);
                var (time, bytes, outputs) = Once(part, given, Copies(microbatch), isLast: index == chain.Parts.Count - 1);
                (times[index], kept[index]) = (Math.Min(times[index], time.TotalSeconds), bytes);
                foreach (var input in given)
                    input.Dispose();
                given = [.. outputs.Select(output => output.MoveToOuterDisposeScope())];
            }
        }

        var names = SharedNames(chain, model);
        return [.. chain.Parts.Zip(times, kept).Select(measured => Cost(measured.First, names, measured.Second, measured.Third))];
    }

    /// <summary>Runs a part in both directions: how long it took, what it kept, and what it handed on, as the next part gets it.</summary>
    private static (TimeSpan Time, long Kept, Tensor[] Outputs) Once(
        ChainPart part, IReadOnlyList<Tensor> given, IReadOnlyList<Tensor> microbatch, bool isLast)
    {
        using var scope = NewDisposeScope();
        var inputs = given.Select(tensor => tensor.detach().requires_grad_(tensor.requires_grad)).ToArray();
        var held = TensorAllocator.BytesInUse;
        var start = Stopwatch.GetTimestamp();
        var outputs = Forward(part, inputs, microbatch);
        Finish(microbatch);
        var time = Stopwatch.GetElapsedTime(start);
        var kept = Kept(inputs, outputs, TensorAllocator.BytesInUse - held);
        time += Backward(part, inputs, outputs, microbatch) + (isLast ? Loss(outputs, microbatch) : TimeSpan.Zero);
        return (time, kept, [.. outputs.Select(output => output.detach().requires_grad_(output.requires_grad).MoveToOuterDisposeScope())]);
    }

    /// <summary>What the part returns; what it made on the way and nobody keeps for backward has gone, as after the forward of a stage.</summary>
    private static IReadOnlyList<Tensor> Forward(ChainPart part, Tensor[] inputs, IReadOnlyList<Tensor> microbatch)
    {
        using var scope = NewDisposeScope();
        var outputs = part.Run(inputs, microbatch);
        foreach (var output in outputs.Where(output => !inputs.Concat(microbatch).Contains(output, ReferenceEqualityComparer.Instance)))
            output.MoveToOuterDisposeScope();
        return outputs;
    }

    /// <summary>
    /// Both directions of what stands in for the loss, which nobody knows here: like a cross-entropy it reads all that the model returns and has
    /// gradients as large.
    /// </summary>
    private static TimeSpan Loss(IReadOnlyList<Tensor> outputs, IReadOnlyList<Tensor> microbatch)
    {
        using var scope = NewDisposeScope();
        var start = Stopwatch.GetTimestamp();
        foreach (var output in outputs.Where(output => output.is_floating_point() && output.dim() > 0))
        {
            var returned = output.detach().requires_grad_();
            autograd.grad([returned.logsumexp(-1).sum()], [returned]);
        }

        Finish(microbatch);
        return Stopwatch.GetElapsedTime(start);
    }

    /// <summary>What a model may write to.</summary>
    private static Tensor[] Copies(IReadOnlyList<Tensor> microbatch) => [.. microbatch.Select(tensor => tensor.detach().clone())];

    /// <summary>The first backward of a process starts the threads that run it.</summary>
    private static void WarmUp()
    {
        using var scope = NewDisposeScope();
        ones(1, requires_grad: true).sum().backward();
    }

    private static TimeSpan Backward(ChainPart part, Tensor[] inputs, IReadOnlyList<Tensor> outputs, IReadOnlyList<Tensor> microbatch)
    {
        var computed = outputs.Where(output => output.requires_grad && !inputs.Contains(output, ReferenceEqualityComparer.Instance)).ToArray();
        Tensor[] sources = [.. inputs.Where(input => input.requires_grad), .. part.Parameters.Where(parameter => parameter.requires_grad)];
        if (computed.Length == 0 || sources.Length == 0)
            return TimeSpan.Zero;
        var gradients = computed.Select(output => ones_like(output)).ToArray();
        var start = Stopwatch.GetTimestamp();
        autograd.grad(computed, sources, gradients, allow_unused: true);
        Finish(microbatch);
        return Stopwatch.GetElapsedTime(start);
    }

    /// <summary>Checks that a part's outputs depend on its own parameters alone: with these constant, nothing is left to differentiate by.</summary>
    private static void RequireOwn(
        ChainPart part, IReadOnlyList<Tensor> given, IReadOnlyList<Tensor> microbatch, (string name, Parameter parameter)[] everything)
    {
        using var scope = NewDisposeScope();
        var own = part.Parameters.Where(parameter => parameter.requires_grad).ToArray();
        try
        {
            foreach (var parameter in own)
                parameter.requires_grad = false;
            var dependent = part.Run([.. given.Select(tensor => tensor.detach())], microbatch).FirstOrDefault(output => output.requires_grad);
            if (dependent is null)
                return;
            var others = everything.Where(named => named.parameter.requires_grad).ToArray();
            using var sum = dependent.sum();
            var found = autograd.grad([sum], [.. others.Select(named => named.parameter)], allow_unused: true);
            var names = others.Zip(found).Where(pair => pair.Second is { IsInvalid: false }).Select(pair => $"'{pair.First.name}'");
            throw new InvalidOperationException(
                $"'{part.Name}' computes with the parameter {string.Join(", ", names.DefaultIfEmpty("of no module"))}, but the modules that it calls do not "
                + "hold it, so a pipeline would not put it on the same stage. Hold the module with that parameter in a field of the module that uses it.");
        }
        finally
        {
            foreach (var parameter in own)
                parameter.requires_grad = true;
        }
    }

    /// <summary>What backward will need, as far as the allocator sees it: at least what is handed on, which the next part keeps.</summary>
    private static long Kept(Tensor[] inputs, IReadOnlyList<Tensor> outputs, long growth) => Math.Max(
        TensorAllocator.Install() ? growth : 0,
        outputs.Where(output => !inputs.Contains(output, ReferenceEqualityComparer.Instance)).Sum(TensorBytes.Of));

    private static void Finish(IReadOnlyList<Tensor> microbatch)
    {
        if (microbatch.Any(tensor => tensor.device_type == DeviceType.CUDA))
            cuda.synchronize();
    }

    private static LayerCost Cost(ChainPart part, Dictionary<Tensor, string> shared, double time, long activations) =>
        new(part.Name, time, part.Parameters.Sum(TensorBytes.Of), activations)
        {
            SharedParameters = [.. part.Parameters.Where(shared.ContainsKey).Select(parameter => shared[parameter])],
        };

    /// <summary>The parameters that several parts use, with their names.</summary>
    private static Dictionary<Tensor, string> SharedNames(ModelChain chain, nn.Module model)
    {
        var names = new Dictionary<Tensor, string>(ReferenceEqualityComparer.Instance);
        foreach (var (name, parameter) in model.named_parameters())
            names.TryAdd(parameter, name);
        return new(
            chain.Parts.SelectMany(part => part.Parameters).GroupBy<Tensor, Tensor>(parameter => parameter, ReferenceEqualityComparer.Instance)
                .Where(users => users.Skip(1).Any())
                .Select(users => KeyValuePair.Create(users.Key, names.GetValueOrDefault(users.Key, "a parameter that is not registered"))),
            ReferenceEqualityComparer.Instance);
    }
}
