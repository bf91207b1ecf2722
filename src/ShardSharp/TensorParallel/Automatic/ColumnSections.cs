using ShardSharp.Modules;
using TorchSharp.Modules;

namespace ShardSharp.TensorParallel.Automatic;

/// <summary>One way to divide the outputs of a linear layer over ranks: section by section.</summary>
/// <param name="Layer">The layer.</param>
/// <param name="Sections">How many outputs each section has, and in how many parts it is divided: as many as ranks, or fewer, which several ranks hold each.</param>
internal sealed record ColumnSections(Linear Layer, IReadOnlyList<(long Length, int Parts)> Sections)
{
    /// <summary>Whether all parts of a section are equally long.</summary>
    public bool IsEven => Sections.All(section => section.Length % section.Parts == 0);

    /// <summary>The outputs of one rank.</summary>
    public IndexRange[] RangesOf(int rank, int degree)
    {
        var start = 0L;
        var ranges = new IndexRange[Sections.Count];
        foreach (var (i, (length, parts)) in Sections.Index())
        {
            var share = length / parts;
            ranges[i] = new IndexRange(start + (rank * parts / degree * share), share);
            start += length;
        }

        return ranges;
    }

    /// <summary>The style that divides them so.</summary>
    public TensorParallelStyle Style(int degree)
    {
        var copied = Sections.Where(section => section.Parts < degree).Select(section => (long?)(section.Length / section.Parts)).FirstOrDefault();
        return Sections.Count == 1
            ? TensorParallelStyle.Column(headSize: copied ?? Sections[0].Length / degree, copyHeads: copied is not null)
            : TensorParallelStyle.FusedColumn(copied ?? 1, copied is not null, [.. Sections.Select(section => section.Length)]);
    }
}
