using ShardSharp.Native;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Native;

public sealed class TensorMemoryTests
{
    public static TheoryData<ScalarType> DataTypes =>
    [
        ScalarType.Byte, ScalarType.Int8, ScalarType.Int16, ScalarType.Int32, ScalarType.Int64, ScalarType.Float16, ScalarType.Float32,
        ScalarType.Float64, ScalarType.Bool, ScalarType.BFloat16, ScalarType.ComplexFloat32, ScalarType.ComplexFloat64,
    ];

    [Theory]
    [MemberData(nameof(DataTypes))]
    public void A_tensor_over_another_tensors_memory_is_that_tensor(ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        var original = arange(24).reshape(2, 3, 4).to_type(dtype).contiguous();

        var alias = TensorMemory.FromPointer(TensorMemory.DataPointer(original), [2, 3, 4], dtype);

        Assert.Equal(dtype, alias.dtype);
        Assert.Equal([2L, 3, 4], alias.shape);
        Assert.True(alias.is_contiguous());
        Assert.True(alias.Equals(original));
        Assert.Equal(TensorMemory.DataPointer(original), TensorMemory.DataPointer(alias));
        alias[1, 2, 3] = tensor(0).to_type(dtype);
        Assert.True(original.Equals(alias));
    }

    [Fact]
    public void A_views_address_counts_its_storage_offset()
    {
        using var scope = NewDisposeScope();
        var whole = arange(24, dtype: ScalarType.Float64).reshape(4, 6);
        var view = whole[2].narrow(0, 3, 2);

        Assert.Equal(15 * sizeof(double), TensorMemory.DataPointer(view) - TensorMemory.DataPointer(whole));
        var alias = TensorMemory.FromPointer(TensorMemory.DataPointer(view), [2], ScalarType.Float64);
        Assert.Equal([15.0, 16.0], alias.data<double>().ToArray());
    }

    [Fact]
    public unsafe void Managed_and_native_code_see_each_others_writes()
    {
        float[] memory = [1, 2, 3, 4, 5, 6];
        fixed (float* first = memory)
        {
            using var tensor = TensorMemory.FromPointer((nint)first, [2, 3], ScalarType.Float32);
            memory[5] = 60;
            Assert.Equal(60f, tensor[1, 2].item<float>());
            tensor.mul_(2);
        }

        Assert.Equal([2f, 4, 6, 8, 10, 120], memory);
    }

    [Fact]
    public unsafe void A_parameter_over_our_memory_trains()
    {
        float[] memory = [1, 2, 3];
        fixed (float* first = memory)
        {
            using var scope = NewDisposeScope();
            var blob = TensorMemory.FromPointer((nint)first, [3], ScalarType.Float32);
            var parameter = new TorchSharp.Modules.Parameter(blob);
            parameter.square().sum().backward();

            Assert.Equal([2f, 4, 6], parameter.grad!.data<float>().ToArray());
            Assert.Equal((nint)first, TensorMemory.DataPointer(parameter));
        }
    }

    [Fact]
    public unsafe void Scalars_and_empty_tensors_have_memory_too()
    {
        var value = 7;
        using var scalar = TensorMemory.FromPointer((nint)(&value), [], ScalarType.Int32);
        using var empty = TensorMemory.FromPointer((nint)(&value), [0, 3], ScalarType.Int32);

        Assert.Equal(7, scalar.item<int>());
        Assert.Equal([0L, 3], empty.shape);
    }

    [Fact]
    public unsafe void A_tensor_belongs_to_the_dispose_scope_it_is_made_in()
    {
        float value = 1;
        Tensor tensor;
        using (NewDisposeScope())
            tensor = TensorMemory.FromPointer((nint)(&value), [1], ScalarType.Float32);

        Assert.True(tensor.IsInvalid);
    }

    [Fact]
    public void Memory_that_is_not_there_and_shapes_that_cannot_be_are_rejected()
    {
        Assert.Throws<ArgumentOutOfRangeException>("data", () => TensorMemory.FromPointer(0, [2], ScalarType.Float32));
        Assert.Throws<ArgumentOutOfRangeException>("sizes", () => TensorMemory.FromPointer(64, [2, -3], ScalarType.Float32));
    }
}
