using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Pipeline.Tracing;

/// <summary>Two tensors that modules pass as one value.</summary>
internal sealed record Streams(Tensor Hidden, Tensor Skipped);

/// <summary>A layer that takes a mask and adds to the residual stream: it stays whole.</summary>
internal sealed class MaskedLayer : nn.Module<Tensor, Tensor, Tensor>
{
    private readonly Linear _inner;

    public MaskedLayer(int size)
        : base(nameof(MaskedLayer))
    {
        _inner = nn.Linear(size, size);
        RegisterComponents();
    }

    public override Tensor forward(Tensor input, Tensor mask)
    {
        using var scope = NewDisposeScope();
        return (input + (_inner.call(input) * mask.unsqueeze(2))).MoveToOuterDisposeScope();
    }
}

/// <summary>A user's model: embeddings added, layers in a list with a mask, a norm and a head.</summary>
internal sealed class MaskedModel : nn.Module<Tensor, Tensor, Tensor>
{
    private readonly Embedding _tokens;
    private readonly Parameter _positions;
    private readonly ModuleList<MaskedLayer> _layers;
    private readonly LayerNorm _norm;
    private readonly Linear _head;
    private readonly bool _derived;

    /// <param name="layers">How many layers.</param>
    /// <param name="derived">Whether the layers get something computed from the mask, rather than the mask of the batch.</param>
    public MaskedModel(int layers = 3, bool derived = false)
        : base(nameof(MaskedModel))
    {
        _derived = derived;
        _tokens = nn.Embedding(11, 8);
        _positions = new Parameter(randn(1, 5, 8));
        _layers = new ModuleList<MaskedLayer>([.. Enumerable.Range(0, layers).Select(_ => new MaskedLayer(8))]);
        _norm = nn.LayerNorm(8);
        _head = nn.Linear(8, 11);
        RegisterComponents();
    }

    public override Tensor forward(Tensor tokens, Tensor mask)
    {
        using var scope = NewDisposeScope();
        var used = _derived ? mask * 2 : mask;
        var hidden = _tokens.call(tokens) + _positions;
        foreach (var layer in _layers)
            hidden = layer.call(hidden, used);
        return _head.call(_norm.call(hidden)).MoveToOuterDisposeScope();
    }
}

/// <summary>Passes two streams on.</summary>
internal sealed class StreamsLayer : nn.Module<Streams, Streams>
{
    private readonly Linear _inner;

    public StreamsLayer()
        : base(nameof(StreamsLayer))
    {
        _inner = nn.Linear(6, 6);
        RegisterComponents();
    }

    public override Streams forward(Streams input) => new(_inner.call(input.Hidden).tanh(), input.Skipped + input.Hidden);
}

/// <summary>Begins with a tensor, passes records, ends with a tuple.</summary>
internal sealed class StreamsModel : nn.Module<Tensor, (Tensor, Tensor)>
{
    private readonly First _first = new();
    private readonly StreamsLayer _second = new();
    private readonly StreamsLayer _third = new();
    private readonly Last _last = new();

    public StreamsModel()
        : base(nameof(StreamsModel)) => RegisterComponents();

    public override (Tensor, Tensor) forward(Tensor input) => _last.call(_third.call(_second.call(_first.call(input))));

    private sealed class First() : nn.Module<Tensor, Streams>(nameof(First))
    {
        public override Streams forward(Tensor input) => new(input * 2, input + 1);
    }

    private sealed class Last() : nn.Module<Streams, (Tensor, Tensor)>(nameof(Last))
    {
        public override (Tensor, Tensor) forward(Streams input) => (input.Hidden + input.Skipped, input.Hidden);
    }
}

/// <summary>What the way down made goes over the way up, past the modules between.</summary>
internal sealed class SkippingModel : nn.Module<Tensor, Tensor>
{
    private readonly Linear _down = nn.Linear(6, 4);
    private readonly Linear _bottom = nn.Linear(4, 4);
    private readonly Joined _up = new();
    private readonly Linear _head = nn.Linear(6, 2);

    public SkippingModel()
        : base(nameof(SkippingModel)) => RegisterComponents();

    public override Tensor forward(Tensor input)
    {
        var down = _down.call(input);
        return _head.call(_up.call(_bottom.call(down), down));
    }

    private sealed class Joined : nn.Module<Tensor, Tensor, Tensor>
    {
        private readonly Linear _inner = nn.Linear(8, 6);

        public Joined()
            : base(nameof(Joined)) => RegisterComponents();

        public override Tensor forward(Tensor first, Tensor second) => _inner.call(cat([first, second], 1));
    }
}
