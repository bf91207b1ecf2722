using System.Text;
using System.Text.Json.Nodes;
using CsCheck;
using ShardSharp.Checkpoints;
using ShardSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Checkpoints;

/// <summary>A checkpoint that was damaged, or made to harm, is refused by the name of the file; no index makes the reader do anything else.</summary>
public sealed class DamagedCheckpointTests : IDisposable
{
    private static readonly string[] Junk = ["9223372036854775807", "-1", "[]", "{}", "null", "\"", "1e400", "]", "\\u0000"];

    private readonly TemporaryFolder _folder = new();

    public DamagedCheckpointTests() => Save(_folder.Path);

    public void Dispose() => _folder.Dispose();

    private string Checkpoint => _folder["latest_partial"];

    private string Index => Path.Combine(Checkpoint, CheckpointIndex.FileName);

    [Fact]
    public void Any_changed_byte_of_a_tensor_is_found()
    {
        foreach (var file in Directory.EnumerateFiles(Checkpoint, "*.safetensors"))
        {
            var bytes = File.ReadAllBytes(file);
            var random = new Random(5);
            for (var i = 0; i < 6; i++)
            {
                var start = 8 + (int)BitConverter.ToInt64(bytes);
                var place = random.Next(start, bytes.Length);
                bytes[place] ^= 4;
                File.WriteAllBytes(file, bytes);
                using (var reader = CheckpointReader.Open(Checkpoint))
                    Assert.Contains(Path.GetFileName(file), Assert.Single(reader.Verify()), StringComparison.Ordinal);
                var failure = Assert.Throws<CheckpointException>(() => Resume("optimizer state on 2"));
                Assert.Contains($"{Path.GetFileName(file)}: ", failure.Message, StringComparison.Ordinal);
                bytes[place] ^= 4;
            }

            File.WriteAllBytes(file, bytes);
        }

        Resume("optimizer state on 2");
    }

    [Fact]
    public void A_file_that_is_cut_short_or_missing_is_named_on_all_ranks()
    {
        var file = Directory.EnumerateFiles(Checkpoint, "*.safetensors").Order().Last();
        File.WriteAllBytes(file, File.ReadAllBytes(file)[..^1]);
        Assert.Contains(file, Assert.Throws<CheckpointException>(() => Resume("2 copies")).Message, StringComparison.Ordinal);
        File.Delete(file);
        Assert.Contains($"{file}: the file is missing", Assert.Throws<CheckpointException>(() => Resume("parameters on 2")).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("file", "../latest_partial/rank-00000.safetensors", "no file name")]
    [InlineData("file", "/etc/passwd", "no file name")]
    [InlineData("file", "..", "no file name")]
    [InlineData("start", "1", "not within")]
    [InlineData("start", "-1", "not within")]
    [InlineData("count", "9223372036854775807", "not within")]
    [InlineData("count", "0", "no checksum")]
    [InlineData("count", "5", "not complete")]
    [InlineData("dimension", "7", "ranges is missing")]
    [InlineData("crc32c", "AAAA", "no checksum")]
    [InlineData("crc32c", "AAAAAA==", "is damaged")]
    [InlineData("key", "model/unknown", "there is no tensor")]
    public void An_index_that_makes_no_sense_is_refused(string field, string value, string problem)
    {
        Edit(index => index["tensors"]!["model/_first.bias"]!["parts"]![0]!.AsObject()[field] =
            long.TryParse(value, out var number) ? number : value);
        Assert.Contains(problem, Assert.Throws<CheckpointException>(() => Resume("one rank")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void No_bytes_are_two_tensors()
    {
        Edit(index => index["tensors"]!["model/copy"] = index["tensors"]!["model/_first.bias"]!.DeepClone());
        Assert.Contains("twice", Assert.Throws<CheckpointException>(() => CheckpointReader.Open(Checkpoint)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("format", "pickle")]
    [InlineData("version", 2)]
    [InlineData("ranks", 0)]
    [InlineData("checksum_block", 1)]
    [InlineData("created", "yesterday")]
    [InlineData("tensors", 5)]
    [InlineData("state", 5)]
    public void So_is_one_of_another_format(string field, object value)
    {
        Edit(index => index[field] = value is int number ? number : (string)value);
        var failure = Assert.Throws<CheckpointException>(() => CheckpointReader.Open(Checkpoint));
        Assert.StartsWith(Index, failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_shape_beyond_all_measure_is_refused()
    {
        Edit(index => index["tensors"]!["model/_first.bias"]!["shape"] = new JsonArray(1L << 40, 1L << 40));
        Assert.Throws<CheckpointException>(() => CheckpointReader.Open(Checkpoint));
        Edit(index => index["tensors"]!["model/_first.bias"]!["shape"] = new JsonArray(-1));
        Assert.Throws<CheckpointException>(() => CheckpointReader.Open(Checkpoint));
    }

    /// <summary>Mutated bytes either read back as some index, or are refused as a damaged one; nothing else ever happens.</summary>
    [Fact]
    public void No_bytes_make_the_reader_of_indices_fail_otherwise()
    {
        var index = File.ReadAllBytes(Index);
        var junk = Gen.OneOf(
            Gen.Byte.Array[1, 8], Gen.Int[0, Junk.Length - 1].Select(i => Encoding.UTF8.GetBytes(Junk[i])));
        Gen.Select(Gen.Int[0, index.Length - 1], Gen.Int[0, 40], junk).Sample(
            (place, removed, bytes) =>
            {
                byte[] changed = [.. index[..place], .. bytes, .. index[Math.Min(index.Length, place + removed)..]];
                try
                {
                    CheckpointIndexReader.Parse("index.json", changed);
                }
                catch (CheckpointException refused)
                {
                    Assert.StartsWith("index.json: ", refused.Message, StringComparison.Ordinal);
                }
            },
            iter: 3000);
        Gen.Int[0, index.Length - 1].Sample(
            length => { Assert.Throws<CheckpointException>(() => CheckpointIndexReader.Parse("index.json", index.AsMemory(0, length))); }, iter: 300);
    }

    [Fact]
    public void Damage_where_only_a_slice_is_read_is_found_where_whole_blocks_are()
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        const long Rows = 1024;
        var part = TensorPart.Whole([Rows, 1024]);
        var saved = PartFile.Write(folder["rank-00000.safetensors"], [KeyValuePair.Create("w", arange(Rows * 1024, ScalarType.Float32).view(Rows, 1024))]);
        var index = new CheckpointIndex(
            DateTime.UnixEpoch, 1,
            [new StoredTensor("w", "F32", part.Shape, [new StoredPart("rank-00000.safetensors", "w", part, BlockChecksums.FromText(saved[0].Checksums)!)])], []);
        File.WriteAllBytes(folder[CheckpointIndex.FileName], CheckpointIndexWriter.ToBytes(index));

        using var reader = CheckpointReader.Open(folder.Path);
        var rows = empty(256 * 1024);
        reader.Read("w", part.Run(300 * 1024, 256 * 1024), rows);
        Assert.True(rows.eq(arange(300 * 1024, 556 * 1024, ScalarType.Float32)).all().item<bool>());
        var before = reader.BytesRead;
        var columns = empty(Rows * 256);
        reader.Read("w", new TensorPart(part.Shape, 1, [new IndexRange(128, 256)], 0, Rows * 256), columns);
        Assert.Equal(columns.numel() * 4, reader.BytesRead - before);
        Assert.Equal(128 + 1024 + 5, columns[256 + 5].item<float>());
    }

    private static void Save(string folder) => CheckpointTraining.Run("optimizer state on 2", session =>
    {
        using var training = new CheckpointTraining(session);
        training.Train(1);
        session.SaveCheckpoint(folder, scheduler: training.Scheduler);
    });

    private void Resume(string layout) => CheckpointTraining.Run(layout, session =>
    {
        using var training = new CheckpointTraining(session);
        session.ResumeFromCheckpoint(_folder.Path, scheduler: training.Scheduler);
    });

    private void Edit(Action<JsonObject> edit)
    {
        var index = JsonNode.Parse(File.ReadAllBytes(Index))!.AsObject();
        edit(index);
        File.WriteAllText(Index, index.ToJsonString());
    }
}
