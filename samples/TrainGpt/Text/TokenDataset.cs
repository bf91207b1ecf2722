using static TorchSharp.torch;

namespace TrainGpt.Text;

/// <summary>
/// A text cut into windows of <c>sequence</c> tokens. Each sample is the pair (inputs, labels), both [sequence] of int64;
/// the labels are the inputs one token later: at every position the model is to say what comes next.
/// </summary>
public sealed class TokenDataset(IReadOnlyList<int> tokens, int sequence) : utils.data.Dataset<(Tensor Inputs, Tensor Labels)>
{
    private readonly Tensor _tokens = tensor(tokens.Select(id => (long)id).ToArray());

    public override long Count => (_tokens.shape[0] - 1) / sequence;

    public override (Tensor Inputs, Tensor Labels) GetTensor(long index)
    {
        var start = index * sequence;
        return (_tokens.narrow(0, start, sequence), _tokens.narrow(0, start + 1, sequence));
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
            _tokens.Dispose();
        base.Dispose(disposing);
    }
}
