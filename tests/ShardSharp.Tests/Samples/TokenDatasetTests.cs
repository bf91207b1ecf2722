using TrainGpt.Text;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Samples;

public sealed class TokenDatasetTests
{
    [Fact]
    public void Labels_are_the_inputs_one_token_later()
    {
        using var scope = NewDisposeScope();
        using var dataset = new TokenDataset([.. Enumerable.Range(10, 13)], sequence: 4);
        var (inputs, labels) = dataset.GetTensor(2);
        Assert.Equal([18, 19, 20, 21], inputs.data<long>());
        Assert.Equal([19, 20, 21, 22], labels.data<long>());
    }

    [Theory]
    [InlineData(12, 2)]
    [InlineData(13, 3)]
    [InlineData(4, 0)]
    public void Counts_windows_whose_last_label_exists(int tokens, int windows)
    {
        using var dataset = new TokenDataset([.. Enumerable.Range(0, tokens)], sequence: 4);
        Assert.Equal(windows, dataset.Count);
    }
}
