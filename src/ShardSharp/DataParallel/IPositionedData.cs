namespace ShardSharp.DataParallel;

/// <summary>Data that can be gone on with where a training stopped.</summary>
internal interface IPositionedData
{
    /// <summary>How far it has been taken. Setting it lets the next enumeration begin there.</summary>
    DataPosition Position { get; set; }
}
