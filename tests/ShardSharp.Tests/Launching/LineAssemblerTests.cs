using System.Buffers;
using CsCheck;
using ShardSharp.Launching;

namespace ShardSharp.Tests.Launching;

public sealed class LineAssemblerTests
{
    [Theory]
    [InlineData("", "")]
    [InlineData("a", ">a|")]
    [InlineData("a\n\nb", ">a|>|>b|")]
    [InlineData("windows\r\nlines\r\n", ">windows|>lines|")]
    [InlineData("\r 10%\r 50%\r100%\ndone", ">100%|>done|")]
    [InlineData("50%\r100%\r\n", ">100%|")]
    [InlineData("50%\r", ">50%|")]
    [InlineData("50%\r\r", ">50%|")]
    public void Makes_prefixed_lines(string text, string expected) => Assert.Equal(expected.Replace('|', '\n'), Assemble([text]));

    [Fact]
    public void Does_not_depend_on_how_the_text_is_cut() =>
        Gen.Select(Gen.String[Gen.Char["ab\n\r"], 0, 20], Gen.Int[0, 20], Gen.Int[0, 20]).Sample((text, first, second) =>
        {
            var one = Math.Min(first, text.Length);
            var two = Math.Clamp(second, one, text.Length);
            return Assemble([text]) == Assemble([text[..one], text[one..two], text[two..]]);
        });

    [Fact]
    public void Passes_an_endless_line_on_in_pieces()
    {
        const int Longest = LineAssembler<char>.LongestLine;
        var lines = Assemble([new string('a', Longest - 1), new string('b', Longest + 2)]);

        Assert.Equal([Longest + 1, Longest + 1, 2, 0], lines.Split('\n').Select(line => line.Length));
    }

    [Fact]
    public void Any_bytes_make_lines_that_each_begin_with_the_prefix() =>
        Gen.Byte.Array[0, 500].Array[1, 5].Sample(pieces =>
        {
            var assembler = new LineAssembler<byte>((byte)'\n', (byte)'\r', new byte[] { 0xFF, 0, 0xFE });
            var lines = new ArrayBufferWriter<byte>();
            Array.ForEach(pieces, piece => assembler.Append(piece, lines));
            assembler.Finish(lines);
            var text = lines.WrittenMemory;
            while (text.Length > 0)
            {
                Assert.True(text.Span.StartsWith(new byte[] { 0xFF, 0, 0xFE }));
                text = text[(text.Span.IndexOf((byte)'\n') + 1)..];
            }
        });

    private static string Assemble(string[] pieces)
    {
        var assembler = new LineAssembler<char>('\n', '\r', ">".AsMemory());
        var lines = new ArrayBufferWriter<char>();
        foreach (var piece in pieces)
            assembler.Append(piece, lines);
        assembler.Finish(lines);
        return lines.WrittenSpan.ToString();
    }
}
