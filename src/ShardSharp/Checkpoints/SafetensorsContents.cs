using Microsoft.Win32.SafeHandles;
using ShardSharp.Native;
using static TorchSharp.torch;

namespace ShardSharp.Checkpoints;

/// <summary>Tensors that are to be written to a safetensors file.</summary>
internal sealed class SafetensorsContents
{
    /// <summary>Bytes written at a time: few enough to be in the processor's cache still when they are written after somebody saw them.</summary>
    private const int ShownBytes = 1 << 20;

    private readonly Dictionary<string, Tensor> _tensors = new(StringComparer.Ordinal);
    private readonly SafetensorsLayout _layout;

    /// <exception cref="ArgumentException">A name is taken or reserved, or the format lacks a tensor's type.</exception>
    public SafetensorsContents(IEnumerable<KeyValuePair<string, Tensor>> tensors, IReadOnlyDictionary<string, string>? metadata)
    {
        var described = new List<(string, string, IReadOnlyList<long>)>();
        foreach (var (name, tensor) in tensors)
        {
            var type = SafetensorsType.NameOf(tensor.dtype) ?? throw new ArgumentException(
                $"Tensor {name} has elements of type {tensor.dtype}, which safetensors files do not have.", nameof(tensors));
            described.Add((name, type, tensor.shape));
            _tensors[name] = tensor;
        }

        _layout = new SafetensorsLayout(described, metadata);
    }

    /// <summary>Is shown bytes of a tensor, in order, before they are written.</summary>
    /// <param name="entry">The tensor.</param>
    /// <param name="position">Where in its bytes these begin.</param>
    /// <param name="bytes">As many bytes as a mebibyte, or what is left.</param>
    public delegate void Witness(SafetensorsEntry entry, long position, ReadOnlySpan<byte> bytes);

    /// <summary>Bytes of the file.</summary>
    public long Length => _layout.Length;

    /// <param name="file">An empty file.</param>
    /// <param name="witness">Is shown everything; nobody if null.</param>
    public void WriteTo(SafeFileHandle file, Witness? witness)
    {
        RandomAccess.Write(file, _layout.Header, 0);
        foreach (var entry in _layout.Entries)
        {
            using var scope = NewDisposeScope();
            using var unrecorded = no_grad();
            Write(file, entry, _tensors[entry.Name].cpu().contiguous(), witness);
        }
    }

    private unsafe void Write(SafeFileHandle file, SafetensorsEntry entry, Tensor tensor, Witness? witness)
    {
        var source = TensorMemory.DataPointer(tensor);
        for (long position = 0; position < entry.Bytes; position += ShownBytes)
        {
            var part = new ReadOnlySpan<byte>((void*)(source + (nint)position), (int)Math.Min(entry.Bytes - position, ShownBytes));
            witness?.Invoke(entry, position, part);
            RandomAccess.Write(file, part, _layout.Header.Length + entry.Offset + position);
        }

        GC.KeepAlive(tensor);
    }
}
