using System.Buffers.Binary;
using Microsoft.Win32.SafeHandles;
using ShardSharp.Native;
using static TorchSharp.torch;

namespace ShardSharp.Checkpoints;

/// <summary>A safetensors file, open for reading any part of any tensor without reading the rest.</summary>
/// <remarks>
/// Parts are read straight into the memory of the tensor that is returned. The file is not mapped into memory: where a mapped file is cut
/// short or its disk fails, the system ends the process without a word; here it is an exception. Members may be called from any thread.
/// Format: https://github.com/huggingface/safetensors#format.
/// </remarks>
public sealed class SafetensorsFile : IDisposable
{
    private readonly SafeFileHandle _file;
    private readonly long _dataStart;
    private readonly Dictionary<string, SafetensorsEntry> _byName;

    private SafetensorsFile(string path, SafeFileHandle file, long dataStart, SafetensorsHeader header)
    {
        (Path, _file, _dataStart, Metadata, Entries) = (path, file, dataStart, header.Metadata, header.Entries);
        _byName = Entries.ToDictionary(entry => entry.Name, StringComparer.Ordinal);
    }

    /// <summary>The file's path, as it was opened.</summary>
    public string Path { get; }

    /// <summary>The tensors, in the order of their bytes.</summary>
    public IReadOnlyList<SafetensorsEntry> Entries { get; }

    /// <summary>What the file says of itself besides tensors; <c>format</c> is <c>pt</c> in those that PyTorch wrote.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>What the header says of a tensor.</summary>
    /// <exception cref="SafetensorsException">The file has no such tensor.</exception>
    public SafetensorsEntry this[string name] => _byName.GetValueOrDefault(name)
        ?? throw new SafetensorsException(Path, $"there is no tensor {name}.");

    /// <summary>Opens a file and checks its header: lengths, types, shapes, and that every byte belongs to exactly one tensor.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="SafetensorsException">The file is not what the format demands; the message says where.</exception>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public static SafetensorsFile Open(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        var file = File.OpenHandle(path);
        try
        {
            var length = RandomAccess.GetLength(file);
            Span<byte> lengthBytes = stackalloc byte[SafetensorsHeader.LengthBytes];
            if (length < lengthBytes.Length || RandomAccess.Read(file, lengthBytes, 0) != lengthBytes.Length)
                throw new SafetensorsException(path, $"a safetensors file has at least {lengthBytes.Length} bytes; this has {length}.");
            var headerBytes = BinaryPrimitives.ReadUInt64LittleEndian(lengthBytes);
            if (headerBytes > SafetensorsHeader.LongestHeader)
                throw new SafetensorsException(path, $"a header of {headerBytes} bytes is longer than {SafetensorsHeader.LongestHeader}.");
            if (headerBytes > (ulong)(length - lengthBytes.Length))
                throw new SafetensorsException(path, $"the header should have {headerBytes} bytes, but the file ends before.");

            var text = new byte[headerBytes];
            var dataStart = lengthBytes.Length + text.Length;
            if (RandomAccess.Read(file, text, lengthBytes.Length) != text.Length)
                throw new SafetensorsException(path, "the file became shorter while its header was read.");
            return new SafetensorsFile(path, file, dataStart, SafetensorsHeader.Parse(path, text, length - dataStart));
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Whether the file has a tensor of this name.</summary>
    public bool Contains(string name) => _byName.ContainsKey(name);

    /// <summary>Reads a whole tensor.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="type">The element type wanted; as stored if null.</param>
    /// <returns>A new contiguous CPU tensor of the stored shape.</returns>
    /// <exception cref="SafetensorsException">There is no such tensor, TorchSharp lacks its type, or the file has become shorter.</exception>
    public Tensor Read(string name, ScalarType? type = null)
    {
        var entry = this[name];
        return Read(entry, [.. entry.Shape], type, [(0, entry.Bytes)]);
    }

    /// <summary>Reads a range of a tensor along one of its dimensions, and no byte besides.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="dimension">The dimension, from 0.</param>
    /// <param name="start">The first index along it.</param>
    /// <param name="length">How many indices.</param>
    /// <param name="type">The element type wanted; as stored if null.</param>
    /// <returns>A new contiguous CPU tensor, like <c>narrow(dimension, start, length)</c> of the whole.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The tensor has no such dimension or range.</exception>
    /// <inheritdoc cref="Read(string, ScalarType?)" path="/exception"/>
    public Tensor ReadSlice(string name, int dimension, long start, long length, ScalarType? type = null)
    {
        var entry = this[name];
        ArgumentOutOfRangeException.ThrowIfNegative(dimension);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(dimension, entry.Shape.Count);
        RequireRange(start, length, entry.Shape[dimension]);
        long[] shape = [.. entry.Shape];
        shape[dimension] = length;
        if (entry.Bytes == 0)
            return Read(entry, shape, type, []);

        // The slice is one run of bytes within each step of the dimensions before.
        var steps = entry.Shape.Take(dimension).Aggregate(1L, (product, size) => product * size);
        var stride = entry.Bytes / steps;
        var index = stride / entry.Shape[dimension];
        return Read(entry, shape, type, LongRange(steps).Select(step => ((step * stride) + (start * index), length * index)));
    }

    /// <summary>Reads a range of a tensor's elements in their order in memory, last dimension fastest, and no byte besides.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="start">The first element.</param>
    /// <param name="count">How many elements.</param>
    /// <param name="type">The element type wanted; as stored if null.</param>
    /// <returns>A new CPU tensor of one dimension.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The tensor has no such elements.</exception>
    /// <inheritdoc cref="Read(string, ScalarType?)" path="/exception"/>
    public Tensor ReadElements(string name, long start, long count, ScalarType? type = null)
    {
        var entry = this[name];
        RequireRange(start, count, entry.Elements);
        var size = entry.Elements == 0 ? 0 : entry.Bytes / entry.Elements;
        return Read(entry, [count], type, [(start * size, count * size)]);
    }

    /// <summary>Writes tensors to a file, which appears complete and on disk, or not at all.</summary>
    /// <param name="path">The file; one that exists is replaced.</param>
    /// <param name="tensors">Names and tensors, of any device and layout.</param>
    /// <param name="metadata">What the file says of itself besides; transformers reads only files whose <c>format</c> is <c>pt</c>.</param>
    /// <exception cref="ArgumentException">A name is taken or reserved, or the format lacks a tensor's type.</exception>
    public static void Write(
        string path, IEnumerable<KeyValuePair<string, Tensor>> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentNullException.ThrowIfNull(tensors);
        var contents = new SafetensorsContents(tensors, metadata);
        AtomicFile.Write(path, file => contents.WriteTo(file, witness: null));
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    /// <summary>Reads runs of a tensor's bytes, one behind another, into a new tensor.</summary>
    private Tensor Read(SafetensorsEntry entry, long[] shape, ScalarType? type, IEnumerable<(long Offset, long Bytes)> runs)
    {
        var stored = entry.Type ?? throw new SafetensorsException(
            Path, $"tensor {entry.Name} has elements of type {entry.TypeName}, which TorchSharp does not have.");
        var tensor = empty(shape, dtype: stored);
        try
        {
            var target = TensorMemory.DataPointer(tensor);
            foreach (var (offset, bytes) in runs)
            {
                ReadRun(entry, target, offset, bytes);
                target += (nint)bytes;
            }
        }
        catch
        {
            tensor.Dispose();
            throw;
        }

        if (type is null || type == stored)
            return tensor;
        using (tensor)
            return tensor.to_type(type.Value);
    }

    /// <summary>Reads bytes of a tensor into memory.</summary>
    /// <param name="entry">The tensor.</param>
    /// <param name="offset">The first of its bytes to read.</param>
    /// <param name="target">Where they go.</param>
    /// <exception cref="SafetensorsException">The file has become shorter.</exception>
    internal unsafe void ReadBytes(SafetensorsEntry entry, long offset, Span<byte> target)
    {
        fixed (byte* address = target)
            ReadRun(entry, (nint)address, offset, target.Length);
    }

    private unsafe void ReadRun(SafetensorsEntry entry, nint target, long offset, long bytes)
    {
        while (bytes > 0)
        {
            var part = new Span<byte>((void*)target, (int)Math.Min(bytes, 1 << 30));
            var read = RandomAccess.Read(_file, part, _dataStart + entry.Offset + offset);
            if (read == 0)
                throw new SafetensorsException(Path, $"the file ends within tensor {entry.Name}; it was cut short after it was opened.");
            target += read;
            offset += read;
            bytes -= read;
        }
    }

    private static void RequireRange(long start, long length, long size)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(start);
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(start, size);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, size - start);
    }

    private static IEnumerable<long> LongRange(long count)
    {
        for (long i = 0; i < count; i++)
            yield return i;
    }
}
