using CsCheck;
using ShardSharp.Checkpoints;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Checkpoints;

/// <summary>What is written is read again, whole and in any part.</summary>
public sealed class SafetensorsFileTests
{
    private static readonly Gen<long[]> Shapes = Gen.Long[0, 5].Array[0, 4];

    public static TheoryData<ScalarType> Types { get; } =
    [
        ScalarType.Bool, ScalarType.Byte, ScalarType.Int8, ScalarType.Int16, ScalarType.Int32, ScalarType.Int64, ScalarType.Float16,
        ScalarType.BFloat16, ScalarType.Float32, ScalarType.Float64, ScalarType.ComplexFloat32,
    ];

    [Theory]
    [MemberData(nameof(Types))]
    public void Every_type_comes_back(ScalarType type)
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        var values = arange(24, dtype: ScalarType.Float32).reshape(2, 3, 4).to_type(type);

        SafetensorsFile.Write(folder["file"], Named(("values", values)));

        using var file = SafetensorsFile.Open(folder["file"]);
        var read = file.Read("values");
        Assert.Equal(type, file["values"].Type);
        Assert.Equal(type, read.dtype);
        Assert.Equal([2, 3, 4], read.shape);
        Assert.True(read.eq(values).all().item<bool>());
    }

    [Fact]
    public void Any_shapes_come_back_whole_and_in_slices() => Gen.Select(Shapes, Gen.Int[0, 1_000_000]).Sample(
        (shape, seed) =>
        {
            using var folder = new TemporaryFolder();
            using var scope = NewDisposeScope();
            var random = new Random(seed);
            var values = Numbered(shape);
            SafetensorsFile.Write(folder["file"], Named(("before", Numbered([3])), ("values", values), ("after", Numbered([2, 2]))));
            using var file = SafetensorsFile.Open(folder["file"]);
            MustEqual(values, file.Read("values"));
            for (var dimension = 0; dimension < shape.Length; dimension++)
            {
                var start = random.NextInt64(shape[dimension] + 1);
                var length = random.NextInt64(shape[dimension] - start + 1);
                MustEqual(values.narrow(dimension, start, length), file.ReadSlice("values", dimension, start, length));
            }

            var first = random.NextInt64(values.numel() + 1);
            var count = random.NextInt64(values.numel() - first + 1);
            MustEqual(values.flatten().narrow(0, first, count), file.ReadElements("values", first, count));
        },
        iter: 200, threads: 1);

    [Fact]
    public void Reading_converts()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        SafetensorsFile.Write(folder["file"], Named(("values", Numbered([4, 4]))));
        using var file = SafetensorsFile.Open(folder["file"]);

        MustEqual(Numbered([4, 4]).to_type(ScalarType.BFloat16), file.Read("values", ScalarType.BFloat16));
        MustEqual(Numbered([4, 4]).narrow(1, 1, 2).to_type(ScalarType.Float64), file.ReadSlice("values", 1, 1, 2, ScalarType.Float64));
        MustEqual(Numbered([16]).narrow(0, 5, 3).to_type(ScalarType.Int32), file.ReadElements("values", 5, 3, ScalarType.Int32));
    }

    [Fact]
    public void Views_are_written_as_they_look()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        var values = Numbered([6, 5]);

        SafetensorsFile.Write(folder["file"], Named(("turned", values.t()), ("part", values.narrow(1, 1, 2))));

        using var file = SafetensorsFile.Open(folder["file"]);
        MustEqual(values.t(), file.Read("turned"));
        MustEqual(values.narrow(1, 1, 2), file.Read("part"));
    }

    [Fact]
    public void Tensors_are_aligned_whatever_their_types()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        var tensors = new[] { ScalarType.Bool, ScalarType.Float64, ScalarType.Float16, ScalarType.Float32 }
            .Select((type, i) => ($"t{i}", ones(3, type))).ToArray();

        SafetensorsFile.Write(folder["file"], Named(tensors));

        using var file = SafetensorsFile.Open(folder["file"]);
        var dataStart = new FileInfo(folder["file"]).Length - file.Entries.Sum(entry => entry.Bytes);
        Assert.All(file.Entries, entry => Assert.Equal(0, (dataStart + entry.Offset) % (entry.Bytes / 3)));
    }

    [Fact]
    public void Metadata_comes_back()
    {
        using var folder = new TemporaryFolder();
        var metadata = new Dictionary<string, string> { ["format"] = "pt", ["\"ä\u0000"] = "\u2028" };

        SafetensorsFile.Write(folder["file"], [], metadata);

        using var file = SafetensorsFile.Open(folder["file"]);
        Assert.Equal(metadata, file.Metadata);
        Assert.Empty(file.Entries);
    }

    [Fact]
    public void A_file_is_replaced_whole_or_not_at_all()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        SafetensorsFile.Write(folder["file"], Named(("old", ones(1))));

        Assert.Throws<ArgumentException>(() => SafetensorsFile.Write(folder["file"], Named(("new", ones(1)), ("__metadata__", ones(1)))));
        using (var file = SafetensorsFile.Open(folder["file"]))
            Assert.True(file.Contains("old"));
        Assert.Equal(["file"], folder.Files);

        SafetensorsFile.Write(folder["file"], Named(("new", ones(1))));
        using (var file = SafetensorsFile.Open(folder["file"]))
            Assert.True(file.Contains("new"));
        Assert.Equal(["file"], folder.Files);
    }

    [Fact]
    public void A_failed_write_leaves_nothing_behind()
    {
        using var folder = new TemporaryFolder();

        Assert.Throws<InvalidOperationException>(() => AtomicFile.Write(folder["file"], _ => throw new InvalidOperationException()));

        Assert.Empty(folder.Files);
    }

    [Fact]
    public void Wrong_requests_are_refused()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        SafetensorsFile.Write(folder["file"], Named(("values", Numbered([4, 2]))));
        using var file = SafetensorsFile.Open(folder["file"]);

        Assert.Contains("no tensor other", Assert.Throws<SafetensorsException>(() => file.Read("other")).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => file.ReadSlice("values", 2, 0, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => file.ReadSlice("values", 0, 3, 2));
        Assert.Throws<ArgumentOutOfRangeException>(() => file.ReadSlice("values", 0, long.MaxValue, 2));
        Assert.Throws<ArgumentOutOfRangeException>(() => file.ReadElements("values", 8, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => file.ReadElements("values", -1, 1));
    }

    [Fact]
    public void A_file_that_is_cut_short_while_open_is_an_error_that_names_the_tensor()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        SafetensorsFile.Write(folder["file"], Named(("values", Numbered([100]))));
        using var file = SafetensorsFile.Open(folder["file"]);
        using (var writer = File.OpenHandle(folder["file"], FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
            RandomAccess.SetLength(writer, RandomAccess.GetLength(writer) - 4);

        var failure = Assert.Throws<SafetensorsException>(() => file.Read("values"));

        Assert.Equal(folder["file"], failure.Path);
        Assert.Contains("values", failure.Message, StringComparison.Ordinal);
        MustEqual(Numbered([100]).narrow(0, 0, 99), file.ReadElements("values", 0, 99));
    }

    private static IEnumerable<KeyValuePair<string, Tensor>> Named(params (string Name, Tensor Value)[] tensors) =>
        tensors.Select(tensor => KeyValuePair.Create(tensor.Name, tensor.Value));

    private static Tensor Numbered(long[] shape) =>
        arange(shape.Aggregate(1L, (product, size) => product * size), dtype: ScalarType.Float32).reshape(shape);

    private static void MustEqual(Tensor expected, Tensor actual)
    {
        Assert.Equal(expected.dtype, actual.dtype);
        Assert.Equal(expected.shape, actual.shape);
        Assert.True(actual.eq(expected).all().item<bool>());
    }
}
