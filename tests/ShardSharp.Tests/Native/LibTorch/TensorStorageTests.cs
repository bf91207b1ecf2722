using ShardSharp.Native;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Native.LibTorch;

public sealed class TensorStorageTests
{
    [Fact]
    public void Views_see_the_other_memory_and_whoever_is_disposed_frees_it()
    {
        using var scope = NewDisposeScope();
        var (first, second) = (full(1000, 3f), full(2000, 5f));
        var view = first.narrow(0, 10, 20);
        TensorStorage.Exchange(first, second);
        Assert.Equal(5 * 20, view.sum().item<float>());
        Assert.Equal(3 * 1000, second.narrow(0, 0, 1000).sum().item<float>());
        second.Dispose();
        Assert.Equal(5 * 1000, first.sum().item<float>());
    }

    [Fact]
    public void What_autograd_saved_is_freed_and_replaced()
    {
        using var scope = NewDisposeScope();
        var whole = full(1 << 20, 2f);
        var weight = empty(0).requires_grad_();
        TensorData.Set(weight, whole.view(1024, 1024));
        var input = ones(1, 1024).requires_grad_();
        var output = input.matmul(weight).sum();
        using (var nothing = empty(0))
            TensorStorage.Exchange(whole, nothing);
        Assert.Equal(0, TensorMemory.DataPointer(whole));
        using (var room = full(1 << 20, 7f))
            TensorStorage.Exchange(whole, room);
        output.backward();
        Assert.Equal(7 * 1024, input.grad![0, 0].item<float>());
    }
}
