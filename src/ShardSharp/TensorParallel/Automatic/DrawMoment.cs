namespace ShardSharp.TensorParallel.Automatic;

/// <summary>What happens to a module in a forward.</summary>
internal enum DrawMoment
{
    /// <summary>Its call begins.</summary>
    Begin,

    /// <summary>Its own code has drawn random numbers.</summary>
    Draw,

    /// <summary>Its call ends.</summary>
    End,
}
