namespace ShardSharp.Activations;

/// <summary>Which gradients a backward is for.</summary>
internal enum BackwardPart
{
    /// <summary>All of them.</summary>
    Whole,

    /// <summary>Those of inputs; nobody takes those of parameters.</summary>
    Inputs,

    /// <summary>Those of the parameters of one module, from what it returned.</summary>
    Parameters,
}
