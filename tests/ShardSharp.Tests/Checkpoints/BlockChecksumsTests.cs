using System.Text;
using ShardSharp.Checkpoints;

namespace ShardSharp.Tests.Checkpoints;

public sealed class BlockChecksumsTests
{
    /// <summary>The check value of CRC-32C, and test vectors of RFC 3720, B.4.</summary>
    [Fact]
    public void Are_those_of_the_specification()
    {
        Assert.Equal(0xE3069283u, BlockChecksums.Of(Encoding.ASCII.GetBytes("123456789")));
        Assert.Equal(0x8A9136AAu, BlockChecksums.Of(new byte[32]));
        Assert.Equal(0x62A8AB43u, BlockChecksums.Of([.. Enumerable.Repeat((byte)0xFF, 32)]));
        Assert.Equal(0x46DD794Eu, BlockChecksums.Of([.. Enumerable.Range(0, 32).Select(i => (byte)i)]));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(BlockChecksums.BlockBytes)]
    [InlineData(BlockChecksums.BlockBytes + 1)]
    [InlineData((5 * BlockChecksums.BlockBytes) + 13)]
    public void There_is_one_for_each_block(int length)
    {
        var bytes = new byte[length];
        new Random(length).NextBytes(bytes);
        var checksums = new uint[BlockChecksums.CountOf(length)];
        BlockChecksums.Compute(bytes, checksums);

        Assert.Equal(bytes.Chunk(BlockChecksums.BlockBytes).Select(block => BlockChecksums.Of(block)), checksums);
        Assert.Equal(checksums, BlockChecksums.FromText(BlockChecksums.ToText(checksums)));
        Assert.Null(BlockChecksums.FromText("none"[..3]));
    }
}
