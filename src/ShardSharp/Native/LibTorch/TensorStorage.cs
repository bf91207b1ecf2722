using static TorchSharp.torch;

namespace ShardSharp.Native;

/// <summary>
/// Exchanges the memory of two tensors' storages, under all views of them that there are, those that autograd saved included. That is how memory of
/// a GPU is freed and later replaced while a graph still refers to it.
/// </summary>
/// <remarks>
/// TorchSharp and libtorch's stable C interface do not resize a storage. The fields that are exchanged are those of c10/core/StorageImpl.h: the
/// address, its context and deleter, and the size in bytes. Whether they lie where they are expected is tried out at the first use.
/// </remarks>
internal static unsafe class TensorStorage
{
    // In words: TensorImpl and StorageImpl both begin with a virtual table and reference counts.
    private const int StorageOfTensor = 2;
    private const int Address = 2;
    private const int Context = 3;
    private const int Deleter = 4;
    private const int Size = 6;

    private static readonly Lazy<bool> IsKnown = new(TryOut);

    /// <summary>Exchanges the whole storages, of one device and one type, that the tensors are views of.</summary>
    /// <exception cref="NotSupportedException">This libtorch's storages are laid out in another way.</exception>
    public static void Exchange(Tensor first, Tensor second)
    {
        if (!IsKnown.Value)
        {
            throw new NotSupportedException(
                $"The loaded libtorch lays out its tensors in another way than {TorchInstallation.LibTorchVersion}, so parameters on a GPU cannot be "
                + "released between uses. Install that release, or set sdp_sharding_level to gradients.");
        }

        ExchangeFields(first, second);
    }

    private static void ExchangeFields(Tensor first, Tensor second)
    {
        Span<nint> one = FieldsOf(first), other = FieldsOf(second);
        foreach (var field in (ReadOnlySpan<int>)[Address, Context, Deleter, Size])
            (one[field], other[field]) = (other[field], one[field]);
        GC.KeepAlive(first);
        GC.KeepAlive(second);
    }

    /// <summary>Looks at fields before anything is written, then at what an exchange makes of two tensors.</summary>
    private static bool TryOut()
    {
        using var scope = NewDisposeScope();
        const long Elements = 61;
        var (first, second) = (full(Elements, 1f), full(2 * Elements, 2f));
        if (!LooksRight(first, Elements) || !LooksRight(second, 2 * Elements))
            return false;
        ExchangeFields(first, second);
        var isRight = first.sum().item<float>() == 2 * Elements && second.narrow(0, 0, Elements).sum().item<float>() == Elements;
        ExchangeFields(first, second);
        return isRight;

        static bool LooksRight(Tensor tensor, long elements) =>
            FieldsOf(tensor)[Address] == TensorMemory.DataPointer(tensor) && FieldsOf(tensor)[Size] == elements * sizeof(float);
    }

    private static Span<nint> FieldsOf(Tensor tensor) => new(((nint**)*(nint*)tensor.Handle)[StorageOfTensor], Size + 1);
}
