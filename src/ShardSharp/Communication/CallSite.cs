namespace ShardSharp.Communication;

/// <summary>Where in a program a collective was called, as the compiler recorded it.</summary>
/// <param name="File">Path of the source file.</param>
/// <param name="Line">Line in that file, from 1.</param>
internal readonly record struct CallSite(string File, int Line)
{
    public override string ToString() => $"{Path.GetFileName(File.AsSpan())}:{Line}";
}
