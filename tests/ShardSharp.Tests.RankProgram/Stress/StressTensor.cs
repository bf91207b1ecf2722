using ShardSharp.Communication;
using ShardSharp.Native;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Stress;

/// <summary>How the elements of a tensor lie in memory.</summary>
internal enum StressLayout
{
    /// <summary>One after another, in the middle of a larger tensor.</summary>
    Contiguous,

    /// <summary>A column of two.</summary>
    Strided,

    /// <summary>Columns before rows.</summary>
    Transposed,
}

/// <summary>A tensor with known contents, surrounded by memory that must not change.</summary>
internal sealed unsafe class StressTensor : IDisposable
{
    private const int Margin = 5;
    private const byte Untouched = 1;

    private readonly Tensor _whole;
    private readonly StressLayout _layout;
    private readonly long _count;
    private readonly long _rows;
    private readonly int _elementBytes;

    /// <param name="type">Element type.</param>
    /// <param name="contents">Its elements.</param>
    /// <param name="layout">How they lie in memory.</param>
    /// <param name="arena">Where contiguous ones lie if there is room; null for memory of their own.</param>
    public StressTensor(ScalarType type, ReadOnlySpan<byte> contents, StressLayout layout, StressArena? arena)
    {
        _elementBytes = ElementTypes.SizeOf(type);
        _count = contents.Length / _elementBytes;
        _rows = _count % 3 == 0 ? 3 : 1;
        _layout = layout;
        switch (layout)
        {
            case StressLayout.Strided:
                _whole = empty([_count, 2], type).DetachFromDisposeScope();
                Tensor = _whole.select(1, 1).DetachFromDisposeScope();
                break;
            case StressLayout.Transposed:
                _whole = empty([_count / _rows, _rows], type).DetachFromDisposeScope();
                Tensor = _whole.t().DetachFromDisposeScope();
                break;
            default:
                var length = _count + (2 * Margin);
                _whole = (arena?.TryCreate(length, type) ?? empty([length], type)).DetachFromDisposeScope();
                Tensor = _whole.narrow(0, Margin, _count).DetachFromDisposeScope();
                break;
        }

        Memory.Fill(Untouched);
        for (var i = 0L; i < _count; i++)
            contents.Slice((int)(i * _elementBytes), _elementBytes).CopyTo(ElementAt(i));
    }

    public Tensor Tensor { get; }

    private Span<byte> Memory => new((void*)TensorMemory.DataPointer(_whole), (int)_whole.numel() * _elementBytes);

    /// <summary>Says how the contents differ from what they should be; null if they do not.</summary>
    public string? Compare(ReadOnlySpan<byte> expected)
    {
        for (var i = 0L; i < _count; i++)
        {
            var found = ElementAt(i);
            var wanted = expected.Slice((int)(i * _elementBytes), _elementBytes);
            if (!found.SequenceEqual(wanted))
                return $"element {i} of {_count} is {Convert.ToHexString(found)}, should be {Convert.ToHexString(wanted)} (bytes in memory)";
            found.Fill(Untouched);
        }

        return Memory.ContainsAnyExcept(Untouched) ? "memory around the tensor was written to" : null;
    }

    public void Dispose()
    {
        Tensor.Dispose();
        _whole.Dispose();
    }

    private Span<byte> ElementAt(long index)
    {
        var place = _layout switch
        {
            StressLayout.Strided => (2 * index) + 1,
            StressLayout.Transposed => (index % (_count / _rows) * _rows) + (index / (_count / _rows)),
            _ => Margin + index,
        };
        return Memory.Slice((int)(place * _elementBytes), _elementBytes);
    }
}
