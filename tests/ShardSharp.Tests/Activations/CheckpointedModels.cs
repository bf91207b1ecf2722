using ShardSharp.Tests.DataParallel;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Activations;

/// <summary>Small models to checkpoint.</summary>
internal static class CheckpointedModels
{
    public const int Width = 8;

    public static CheckpointedTraining<Stack> Training { get; } = new(
        () => new Stack(dropout: 0), step => [Randoms.Normal(step, 12, Width)], (module, batch) => module.call(batch[0]).pow(2).mean());

    /// <summary>An embedding of a kind, some blocks and a head.</summary>
    internal sealed class Stack : nn.Module<Tensor, Tensor>
    {
        private readonly nn.Module<Tensor, Tensor> _first = nn.Linear(Width, Width);
        private readonly TorchSharp.Modules.Sequential _blocks;
        private readonly nn.Module<Tensor, Tensor> _head = nn.Linear(Width, 3);

        public Stack(double dropout, int count = 5)
            : base(nameof(Stack))
        {
            _blocks = nn.Sequential([.. Enumerable.Range(0, count).Select(_ => new Block(dropout))]);
            RegisterComponents();
        }

        public override Tensor forward(Tensor input) => _head.call(_blocks.call(_first.call(input)));
    }

    /// <summary>A residual block.</summary>
    internal sealed class Block : nn.Module<Tensor, Tensor>
    {
        private readonly nn.Module<Tensor, Tensor> _norm = nn.LayerNorm(Width);
        private readonly nn.Module<Tensor, Tensor> _up = nn.Linear(Width, 3 * Width);
        private readonly nn.Module<Tensor, Tensor> _dropout;
        private readonly nn.Module<Tensor, Tensor> _down = nn.Linear(3 * Width, Width);

        public Block(double dropout)
            : base(nameof(Block))
        {
            _dropout = nn.Dropout(dropout);
            RegisterComponents();
        }

        public override Tensor forward(Tensor input) =>
            input + _down.call(_dropout.call(nn.functional.gelu(_up.call(_norm.call(input)))));
    }
}
