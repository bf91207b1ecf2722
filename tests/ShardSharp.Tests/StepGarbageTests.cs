using ShardSharp.Tests.DataParallel;

namespace ShardSharp.Tests;

/// <summary>Collections are counted for the whole process.</summary>
[Collection(nameof(WholeProcess))]
public sealed class StepGarbageTests
{
    private static object? _last;

    [Fact]
    public void Is_collected_once_it_is_much()
    {
        var garbage = new StepGarbage();
        garbage.EndStep();
        var before = GC.CollectionCount(0);
        for (var i = 0; i < 500; i++)
            _last = new byte[16 * 1024];
        garbage.EndStep();
        var after = GC.CollectionCount(0);
        Assert.True(after > before);

        garbage.EndStep();
        Assert.Equal(after, GC.CollectionCount(0));
        Assert.NotNull(_last);
    }
}
