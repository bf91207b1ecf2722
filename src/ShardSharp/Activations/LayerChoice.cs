namespace ShardSharp.Activations;

/// <summary>What a layer does with its activations.</summary>
internal enum LayerChoice
{
    /// <summary>It keeps them.</summary>
    Keep,

    /// <summary>It keeps what its linear layers return, and computes the rest again.</summary>
    Selective,

    /// <summary>It computes all of them again.</summary>
    Recompute,
}
