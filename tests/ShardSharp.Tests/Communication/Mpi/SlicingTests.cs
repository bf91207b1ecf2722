using CsCheck;
using ShardSharp.Communication.Mpi;

namespace ShardSharp.Tests.Communication.Mpi;

public sealed class SlicingTests
{
    [Fact]
    public void Slices_cover_every_byte_once_and_begin_at_cache_lines() =>
        Gen.Select(Gen.Long[0, 5_000_000], Gen.Int[1, 64], Gen.Int[1, 9]).Sample((length, lines, owners) =>
        {
            var slicing = new Slicing(length, lines * 64, owners);
            var next = 0L;
            for (var chunk = 0; chunk < slicing.Count; chunk++)
            {
                for (var owner = 0; owner < owners; owner++)
                {
                    var (start, size) = slicing[chunk, owner];
                    Assert.Equal(next, start);
                    Assert.InRange(size, 0, lines * 64);
                    Assert.True(size == 0 || start % 64 == 0);
                    next += size;
                }
            }

            Assert.Equal(length, next);
        }, iter: 300);
}
