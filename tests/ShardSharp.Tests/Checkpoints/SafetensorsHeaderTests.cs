using System.Buffers.Binary;
using System.Text;
using CsCheck;
using ShardSharp.Checkpoints;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Checkpoints;

/// <summary>Files that are not what the format demands are refused with an error that names them, whatever is wrong.</summary>
public sealed class SafetensorsHeaderTests
{
    /// <summary>Header, bytes of data, and a word of the error.</summary>
    public static TheoryData<string, int, string> Bad { get; } = new()
    {
        { "", 0, "begin with '{'" },
        { "[]", 0, "begin with '{'" },
        { "{", 0, "valid JSON" },
        { "{}", 1, "belong to no tensor" },
        { """{"a":1}""", 0, "tensor a" },
        { """{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}""", 4, "valid JSON" },
        { """{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", 3, "cut short" },
        { """{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", 5, "belong to no tensor" },
        { """{"a":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}}""", 4, "F33" },
        { """{"a":{"dtype":4,"shape":[1],"data_offsets":[0,4]}}""", 4, "dtype" },
        { """{"a":{"shape":[1],"data_offsets":[0,4]}}""", 4, "dtype" },
        { """{"a":{"dtype":"F32","data_offsets":[0,4]}}""", 4, "shape" },
        { """{"a":{"dtype":"F32","shape":[1]}}""", 4, "data_offsets" },
        { """{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":0}}""", 4, "x" },
        { """{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}""", 4, "not negative" },
        { """{"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}}""", 4, "not negative" },
        { """{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,4]}}""", 4, "data_offsets" },
        { """{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}""", 4, "ends before it begins" },
        { """{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}""", 4, "8 bytes" },
        { """{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}""", 0, "no number of bytes" },
        { """{"a":{"dtype":"F32","shape":[9223372036854775807],"data_offsets":[0,4]}}""", 4, "no number of bytes" },
        { """{"a":{"dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,4]}}""", 4, "not negative" },
        { """{"a":{"dtype":"F4","shape":[3],"data_offsets":[0,1]}}""", 1, "no number of bytes" },
        { """{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}""", 3, "overlaps" },
        { """{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}""", 2, "overlaps" },
        { """{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[3,5]}}""", 5, "hole" },
        { """{"a":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}""", 3, "hole" },
        { """{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}""", 0, "valid JSON" },
        { """{"__metadata__":[]}""", 0, "__metadata__" },
        { """{"__metadata__":{"a":1}}""", 0, "__metadata__" },
        { """{"\ud800":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}""", 0, "valid JSON" },
    };

    [Theory]
    [MemberData(nameof(Bad))]
    public void Bad_headers_are_refused(string header, int dataBytes, string problem)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllBytes(folder["bad"], FileOf(Encoding.UTF8.GetBytes(header), new byte[dataBytes]));

        var failure = Assert.Throws<SafetensorsException>(() => SafetensorsFile.Open(folder["bad"]));

        Assert.StartsWith(folder["bad"], failure.Message, StringComparison.Ordinal);
        Assert.Contains(problem, failure.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0UL)]
    [InlineData(1UL)]
    [InlineData(100UL)]
    [InlineData(99_999_999UL)]
    [InlineData(100_000_001UL)]
    [InlineData(0x8000_0000_0000_0000UL)]
    [InlineData(ulong.MaxValue)]
    public void Bad_lengths_of_the_header_are_refused(ulong length)
    {
        using var folder = new TemporaryFolder();
        var file = FileOf("{}"u8.ToArray(), []);
        BinaryPrimitives.WriteUInt64LittleEndian(file, length);
        File.WriteAllBytes(folder["bad"], file);

        Assert.Throws<SafetensorsException>(() => SafetensorsFile.Open(folder["bad"]));
    }

    [Fact]
    public void Types_that_TorchSharp_lacks_can_be_listed_but_not_read()
    {
        using var folder = new TemporaryFolder();
        var header = """{"a":{"dtype":"F8_E4M3","shape":[3],"data_offsets":[0,3]},"b":{"dtype":"F4","shape":[2],"data_offsets":[3,4]}}"""u8;
        File.WriteAllBytes(folder["file"], FileOf(header.ToArray(), new byte[4]));
        using var file = SafetensorsFile.Open(folder["file"]);

        Assert.Equal(["F8_E4M3", "F4"], file.Entries.Select(entry => entry.TypeName));
        Assert.Null(file["a"].Type);
        Assert.Contains("F8_E4M3", Assert.Throws<SafetensorsException>(() => file.Read("a")).Message, StringComparison.Ordinal);
        Assert.Contains("F4", Assert.Throws<SafetensorsException>(() => file.ReadElements("b", 0, 1)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Random_bytes_are_refused() => Gen.Byte.Array[0, 200].Sample(MustNotBelieve, iter: 2000, threads: 1);

    [Fact]
    public void Random_headers_are_refused() => Gen.Byte.Array[0, 100].Sample(
        header => MustNotBelieve(FileOf([(byte)'{', .. header], new byte[16])), iter: 2000, threads: 1);

    /// <summary>A good file with some bytes changed, removed or added is refused, or read as what it says it is.</summary>
    [Fact]
    public void Mutated_files_are_refused_or_make_sense()
    {
        var good = Good();
        var mutation = Gen.Select(Gen.Int[0, good.Length - 1], Gen.Byte, Gen.Int[0, 2]);
        mutation.Array[1, 4].Sample(
            mutations =>
            {
                var bytes = good.ToList();
                foreach (var (at, value, kind) in mutations)
                {
                    var place = at % bytes.Count;
                    if (kind == 0)
                        bytes[place] = value;
                    else if (kind == 1)
                        bytes.RemoveAt(place);
                    else
                        bytes.Insert(place, value);
                }

                MustNotBelieve([.. bytes]);
            },
            iter: 5000, threads: 1);
    }

    /// <summary>Opening either throws the one exception that names the file, or gives tensors that lie within it and can be read.</summary>
    private static void MustNotBelieve(byte[] bytes)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllBytes(folder["file"], bytes);
        try
        {
            using var file = SafetensorsFile.Open(folder["file"]);
            Assert.True(file.Entries.Sum(entry => entry.Bytes) <= bytes.Length);
            using var scope = NewDisposeScope();
            foreach (var entry in file.Entries.Where(entry => entry.Type is not null))
                Assert.Equal(entry.Elements, file.Read(entry.Name).numel());
        }
        catch (SafetensorsException failure)
        {
            Assert.Equal(folder["file"], failure.Path);
        }
    }

    private static byte[] Good()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        Dictionary<string, Tensor> tensors = new() { ["a"] = ones(2, 3), ["b"] = ones(4, ScalarType.Byte), ["c"] = ones(1, ScalarType.BFloat16) };
        SafetensorsFile.Write(folder["file"], tensors, new Dictionary<string, string> { ["format"] = "pt" });
        return File.ReadAllBytes(folder["file"]);
    }

    private static byte[] FileOf(byte[] header, byte[] data)
    {
        var length = new byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(length, (ulong)header.Length);
        return [.. length, .. header, .. data];
    }
}
