using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Layers;

/// <summary>Token and learned position embeddings, added. The modules in it are registered by their owner, under the owner's names.</summary>
/// <param name="tokens">The vectors of the vocabulary.</param>
/// <param name="positions">The vectors of the places in a sequence.</param>
/// <param name="longest">How many places there are.</param>
/// <param name="dropout">Applied to the sums.</param>
internal sealed class PositionedEmbedding(Embedding tokens, Embedding positions, long longest, Dropout dropout)
    : nn.Module<Tensor, Tensor>(nameof(PositionedEmbedding))
{
    public override Tensor forward(Tensor input)
    {
        var length = input.shape[1];
        if (length > longest)
            throw new ArgumentException($"A sequence of {length} tokens is longer than the {longest} positions of the model.", nameof(input));
        using var scope = NewDisposeScope();
        var places = arange(length, dtype: ScalarType.Int64, device: input.device);
        return dropout.call(tokens.call(input) + positions.call(places)).MoveToOuterDisposeScope();
    }
}
