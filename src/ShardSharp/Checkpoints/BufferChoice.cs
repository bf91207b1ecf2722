namespace ShardSharp.Checkpoints;

/// <summary>Which buffers a rank saves. Copies of a buffer may differ from rank to rank, so none is put together from several.</summary>
internal enum BufferChoice
{
    /// <summary>None: another rank has the same.</summary>
    None,

    /// <summary>Those of which other ranks have other parts.</summary>
    Divided,

    /// <summary>All.</summary>
    All,
}
