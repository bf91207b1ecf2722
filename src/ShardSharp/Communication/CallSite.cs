namespace ShardSharp.Communication;

/// <summary>Where in a program a collective was called, as the compiler recorded it.</summary>
/// <param name="File">Path of the source file; where the compiler records none, the method that the program called.</param>
/// <param name="Line">Line in that file, from 1; 0 for a method.</param>
internal readonly record struct CallSite(string File, int Line)
{
    public override string ToString() => Line == 0 ? File : $"{Path.GetFileName(File.AsSpan())}:{Line}";
}
