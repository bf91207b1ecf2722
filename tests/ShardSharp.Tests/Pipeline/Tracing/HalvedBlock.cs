using ShardSharp.Pipeline;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Pipeline.Tracing;

/// <summary>A block of two halves that are no modules of their own in the model; its parameters have the names that they have without.</summary>
internal sealed class HalvedBlock : nn.Module<Tensor, Tensor>, IPipelineModel
{
    private readonly Linear _first;
    private readonly Linear _second;
    private readonly PipelinePart[] _halves;

    public HalvedBlock(int size, bool forgets = false)
        : base(nameof(HalvedBlock))
    {
        _first = nn.Linear(size, size);
        _second = nn.Linear(size, size);
        RegisterComponents();
        _halves = [new(x => x + _first.call(x).tanh(), () => [_first]), new(x => x + _second.call(x).tanh(), () => forgets ? [_first] : [_second])];
    }

    IReadOnlyList<nn.Module> IPipelineModel.PipelineParts => _halves;

    public override Tensor forward(Tensor input) => _halves[1].call(_halves[0].call(input));

    protected override void Dispose(bool disposing)
    {
        foreach (var half in _halves)
            half.Dispose();
        base.Dispose(disposing);
    }
}
