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
    /// <summary>Costs by the size of the parameters alone, for models that are too large to run on one rank.</summary>
    public static IReadOnlyList<LayerCost> OfParameters(ModelChain chain, nn.Module model)
    {
        var names = SharedNames(chain, model);
        return [.. chain.Parts.Select(part => Cost(part, names, time: 0, activations: 0))];
    }

    /// <summary>
    /// Runs forward and backward of every part once, on one microbatch, and measures them. Only the activations of one part are in memory at a
    /// time. Gradients, buffers and the random generator stay as they are.
    /// </summary>
    /// <exception cref="InvalidOperationException">A part computes with a parameter that it does not hold.</exception>
    public static IReadOnlyList<LayerCost> Measure(ModelChain chain, nn.Module model, IReadOnlyList<Tensor> microbatch)
    {
        using var untouched = new UntouchedState(model);
        using var scope = NewDisposeScope();
        using var _ = enable_grad();
        WarmUp();
        var names = SharedNames(chain, model);
        var everything = model.named_parameters().ToArray();
        var costs = new List<LayerCost>();
        IReadOnlyList<Tensor> given = [];
        foreach (var part in chain.Parts)
        {
            using var partScope = NewDisposeScope();
            var inputs = given.Select(tensor => tensor.detach().requires_grad_(tensor.requires_grad)).ToArray();
            var held = TensorAllocator.BytesInUse;
            var start = Stopwatch.GetTimestamp();
            var outputs = part.Run(inputs, microbatch);
            Finish(microbatch);
            var time = Stopwatch.GetElapsedTime(start);
            var kept = Kept(inputs, outputs, TensorAllocator.BytesInUse - held);
            time += Backward(part, inputs, outputs, everything, microbatch);
            costs.Add(Cost(part, names, time.TotalSeconds, kept));
            given = [.. outputs.Select(output => output.detach().requires_grad_(output.requires_grad).MoveToOuterDisposeScope())];
        }

        return costs;
    }

    /// <summary>The first backward of a process starts the threads that run it.</summary>
    private static void WarmUp()
    {
        using var scope = NewDisposeScope();
        ones(1, requires_grad: true).sum().backward();
    }

    private static TimeSpan Backward(
        ChainPart part, Tensor[] inputs, IReadOnlyList<Tensor> outputs, (string name, Parameter parameter)[] everything,
        IReadOnlyList<Tensor> microbatch)
    {
        var computed = outputs.Where(output => output.requires_grad && !inputs.Contains(output, ReferenceEqualityComparer.Instance)).ToArray();
        var trained = everything.Where(named => named.parameter.requires_grad).ToArray();
        Tensor[] sources = [.. inputs.Where(input => input.requires_grad), .. trained.Select(named => named.parameter)];
        if (computed.Length == 0 || sources.Length == 0)
            return TimeSpan.Zero;
        var gradients = computed.Select(output => ones_like(output)).ToArray();
        var start = Stopwatch.GetTimestamp();
        var found = autograd.grad(computed, sources, gradients, allow_unused: true);
        Finish(microbatch);
        var time = Stopwatch.GetElapsedTime(start);
        var held = part.Parameters.ToHashSet<Tensor>(ReferenceEqualityComparer.Instance);
        foreach (var (named, gradient) in trained.Zip(found.Skip(sources.Length - trained.Length)))
        {
            if (gradient is { IsInvalid: false } && !held.Contains(named.parameter))
            {
                throw new InvalidOperationException(
                    $"'{part.Name}' computes with the parameter '{named.name}', but the modules that it calls do not hold it, so a pipeline would not "
                    + "put it on the same stage. Hold the module with that parameter in a field of the module that uses it.");
            }
        }

        return time;
    }

    /// <summary>What backward will need, as far as the allocator sees it: at least what is handed on, which the next part keeps.</summary>
    private static long Kept(Tensor[] inputs, IReadOnlyList<Tensor> outputs, long growth) => Math.Max(
        TensorAllocator.Install() ? growth : 0,
        outputs.Where(output => !inputs.Contains(output, ReferenceEqualityComparer.Instance)).Sum(output => output.numel() * output.element_size()));

    private static void Finish(IReadOnlyList<Tensor> microbatch)
    {
        if (microbatch.Any(tensor => tensor.device_type == DeviceType.CUDA))
            cuda.synchronize();
    }

    private static LayerCost Cost(ChainPart part, Dictionary<Tensor, string> shared, double time, long activations) =>
        new(part.Name, time, part.Parameters.Sum(parameter => parameter.numel() * parameter.element_size()), activations)
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
