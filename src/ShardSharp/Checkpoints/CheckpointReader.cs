using ShardSharp.Native;
using static TorchSharp.torch;

namespace ShardSharp.Checkpoints;

/// <summary>
/// A checkpoint, open for reading any part of any tensor, whatever parts it was saved in, without reading the rest. Reading may be done by
/// several threads.
/// </summary>
internal sealed class CheckpointReader : IDisposable
{
    private readonly Dictionary<string, StoredTensor> _tensors;
    private readonly Dictionary<string, SafetensorsFile> _files = new(StringComparer.Ordinal);
    private readonly Lock _opening = new();
    private long _bytesRead;

    private CheckpointReader(string folder, CheckpointIndex index)
    {
        (Folder, Index) = (folder, index);
        _tensors = index.Tensors.ToDictionary(tensor => tensor.Name, StringComparer.Ordinal);
    }

    /// <summary>The checkpoint's folder.</summary>
    public string Folder { get; }

    /// <summary>What the checkpoint says of itself.</summary>
    public CheckpointIndex Index { get; }

    /// <summary>Bytes read of tensors so far.</summary>
    public long BytesRead => Interlocked.Read(ref _bytesRead);

    /// <param name="folder">The checkpoint's folder.</param>
    /// <exception cref="CheckpointException">There is no checkpoint, or its index is damaged.</exception>
    public static CheckpointReader Open(string folder)
    {
        var index = Path.Combine(folder, CheckpointIndex.FileName);
        return File.Exists(index)
            ? new CheckpointReader(folder, CheckpointIndexReader.Read(index))
            : throw new CheckpointException(folder, $"this is no checkpoint: there is no {CheckpointIndex.FileName}.");
    }

    /// <summary>Opens whole tensors, as transformers writes them, like a checkpoint. Nothing has checksums.</summary>
    /// <param name="folder">The folder with <c>model.safetensors</c> or its index.</param>
    /// <param name="prefix">What the names are to begin with.</param>
    /// <exception cref="CheckpointException">There are no such files.</exception>
    public static CheckpointReader OpenWhole(string folder, string prefix)
    {
        try
        {
            using var files = SafetensorsFolder.Open(folder);
            var tensors = files.Names.Select(name => (File: files.FileOf(name), Entry: files.FileOf(name)[name])).Select(tensor => new StoredTensor(
                prefix + tensor.Entry.Name, tensor.Entry.TypeName, tensor.Entry.Shape,
                [new StoredPart(Path.GetFileName(tensor.File.Path), tensor.Entry.Name, TensorPart.Whole(tensor.Entry.Shape), Checksums: [])]));
            return new CheckpointReader(folder, new CheckpointIndex(Directory.GetLastWriteTimeUtc(folder), 1, [.. tensors], []));
        }
        catch (FileNotFoundException failure)
        {
            throw new CheckpointException(folder, $"this is no checkpoint: {failure.Message}", failure);
        }
    }

    /// <summary>What the checkpoint says of a tensor; null if it has none of the name.</summary>
    public StoredTensor? Find(string name) => _tensors.GetValueOrDefault(name);

    /// <summary>Throws where the checkpoint's tensor has another shape; one that is not there may be missing.</summary>
    /// <exception cref="CheckpointException">The shapes differ.</exception>
    public void RequireShape(string name, IReadOnlyList<long> shape)
    {
        if (Find(name) is { } stored && !stored.Shape.SequenceEqual(shape))
        {
            throw new CheckpointException(
                Folder, $"tensor {name} has shape [{string.Join(", ", stored.Shape)}], and the program's has [{string.Join(", ", shape)}].");
        }
    }

    /// <summary>Reads a part of a tensor into a tensor.</summary>
    /// <param name="name">The tensor.</param>
    /// <param name="part">Which elements.</param>
    /// <param name="target">Where they go: as many elements, contiguous; other types and devices get them converted.</param>
    /// <exception cref="CheckpointException">The tensor is missing or of another shape, or a file is missing or damaged.</exception>
    public void Read(string name, TensorPart part, Tensor target)
    {
        var stored = Required(name);
        RequireShape(name, part.Shape);
        if (part.Count == 0)
            return;
        if (ReadsInPlace(name, target))
        {
            ReadInto(stored, part, target);
            return;
        }

        using var unrecorded = no_grad();
        using var values = empty(part.Count, dtype: TypeOf(stored)).DetachFromDisposeScope();
        ReadInto(stored, part, values);
        using var shaped = values.view(target.shape);
        target.copy_(shaped);
    }

    /// <summary>Whether a tensor's elements can be read straight into memory: as they are stored, one behind another.</summary>
    public bool ReadsInPlace(string name, Tensor target) =>
        target.dtype == TypeOf(Required(name)) && target.device_type == TorchSharp.DeviceType.CPU && target.is_contiguous();

    /// <summary>Reads some elements of a rank's part straight into its memory (<see cref="ReadsInPlace"/>).</summary>
    /// <param name="tensor">The part.</param>
    /// <param name="start">The first of its elements.</param>
    /// <param name="count">How many.</param>
    /// <inheritdoc cref="Read(string, TensorPart, Tensor)" path="/exception"/>
    public unsafe void ReadInPlace(HeldTensor tensor, long start, long count)
    {
        RequireShape(tensor.Name, tensor.Part.Shape);
        var stored = Required(tensor.Name);
        var target = (byte*)TensorMemory.DataPointer(tensor.Values) + (start * stored.ElementSize);
        ReadInto(stored, tensor.Part.Run(tensor.Part.Start + start, count), target);
        GC.KeepAlive(tensor);
    }

    /// <summary>Reads a whole tensor.</summary>
    /// <param name="name">The tensor.</param>
    /// <returns>A new CPU tensor, the caller's.</returns>
    /// <inheritdoc cref="Read(string, TensorPart, Tensor)" path="/exception"/>
    public Tensor Read(string name)
    {
        var stored = Required(name);
        var target = empty([.. stored.Shape], dtype: TypeOf(stored));
        Read(name, TensorPart.Whole(stored.Shape), target);
        return target;
    }

    /// <summary>Reads everything and compares it with the checksums.</summary>
    /// <returns>What is wrong, a line for each file and tensor; empty if nothing is.</returns>
    public IEnumerable<string> Verify()
    {
        var buffer = new byte[BlockChecksums.BlockBytes];
        foreach (var tensor in Index.Tensors)
        {
            foreach (var part in tensor.Parts)
            {
                string? problem = null;
                try
                {
                    var blocks = new PartBlocks(FileOf(tensor, part), part);
                    for (var block = 0; block < BlockChecksums.CountOf(part.Part.Count * tensor.ElementSize); block++)
                        blocks.ReadBlock(block, buffer);
                }
                catch (IOException failure)
                {
                    problem = failure.Message;
                }

                if (problem is not null)
                    yield return problem;
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var file in _files.Values)
            file.Dispose();
    }

    /// <summary>Reads a run of a tensor's elements, in their order, as they are stored. It needs no libtorch.</summary>
    /// <param name="stored">The tensor.</param>
    /// <param name="start">The first element.</param>
    /// <param name="target">Where they go; whole elements.</param>
    /// <exception cref="CheckpointException">A file is missing or damaged.</exception>
    public unsafe void ReadRun(StoredTensor stored, long start, Span<byte> target)
    {
        fixed (byte* address = target)
            ReadInto(stored, TensorPart.Whole(stored.Shape).Run(start, target.Length / stored.ElementSize), address);
    }

    private StoredTensor Required(string name) => Find(name) ?? throw new CheckpointException(Folder, $"there is no tensor {name}.");

    private ScalarType TypeOf(StoredTensor stored) => SafetensorsType.TypeOf(stored.TypeName)
        ?? throw new CheckpointException(Folder, $"tensor {stored.Name} has elements of type {stored.TypeName}, which TorchSharp does not have.");

    private unsafe void ReadInto(StoredTensor stored, TensorPart part, Tensor target)
    {
        ReadInto(stored, part, (byte*)TensorMemory.DataPointer(target));
        GC.KeepAlive(target);
    }

    private unsafe void ReadInto(StoredTensor stored, TensorPart part, byte* address)
    {
        var size = stored.ElementSize;
        foreach (var storedPart in stored.Parts)
        {
            PartBlocks? blocks = null;
            foreach (var overlap in part.Overlaps(storedPart.Part))
            {
                blocks ??= new PartBlocks(FileOf(stored, storedPart), storedPart);
                blocks.Read(overlap.There * size, address + (overlap.Here * size), overlap.Count * size);
            }

            Interlocked.Add(ref _bytesRead, blocks?.BytesRead ?? 0);
        }
    }

    /// <summary>Opens a file when it is first needed, and checks that the part is there as the index says.</summary>
    private SafetensorsFile FileOf(StoredTensor tensor, StoredPart part)
    {
        var path = Path.Combine(Folder, part.File);
        SafetensorsFile? file;
        lock (_opening)
        {
            if (!_files.TryGetValue(part.File, out file))
            {
                if (!File.Exists(path))
                    throw new CheckpointException(path, "the file is missing.");
                _files[part.File] = file = SafetensorsFile.Open(path);
            }
        }

        var entry = file[part.Key];
        return entry.TypeName == tensor.TypeName && entry.Elements == part.Part.Count
            ? file
            : throw new CheckpointException(
                path, $"{part.Key} has {entry.Elements} elements of {entry.TypeName}; the index says {part.Part.Count} of {tensor.TypeName}.");
    }
}
