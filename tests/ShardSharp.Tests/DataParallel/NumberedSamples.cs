using static TorchSharp.torch;

namespace ShardSharp.Tests.DataParallel;

/// <summary>A dataset of pairs whose sample i has i as its input and -i as its label.</summary>
internal sealed class NumberedPairs(int count) : utils.data.Dataset<(Tensor Inputs, Tensor Labels)>
{
    public override long Count => count;

    public override (Tensor Inputs, Tensor Labels) GetTensor(long index) => (tensor([(float)index]), tensor(-index));
}

/// <summary>A dataset of named tensors whose sample i is i and its square.</summary>
internal sealed class NumberedNames(int count) : utils.data.Dataset
{
    public override long Count => count;

    public override Dictionary<string, Tensor> GetTensor(long index) => new() { ["number"] = tensor(index), ["square"] = tensor(index * index) };
}

/// <summary>A dataset without tensors.</summary>
internal sealed class NumberedTexts(int count) : utils.data.Dataset<string>
{
    public override long Count => count;

    public override string GetTensor(long index) => $"sample {index}";
}
