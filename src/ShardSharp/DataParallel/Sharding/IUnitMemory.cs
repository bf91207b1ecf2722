using static TorchSharp.torch;

namespace ShardSharp.DataParallel.Sharding;

/// <summary>The run of memory that the parameters of a unit lie in, one after another; this rank owns a slice of it.</summary>
internal interface IUnitMemory : IDisposable
{
    /// <summary>The whole run of elements. What autograd saved of it finds the values there that were gathered last.</summary>
    Tensor Whole { get; }

    /// <summary>What this rank owns, which stays when the rest is released.</summary>
    Tensor Slice { get; }

    /// <summary>Elements that are there now.</summary>
    long Elements { get; }

    /// <summary>Gives back what other ranks own.</summary>
    void Release();

    /// <summary>Makes room again for what <see cref="Release"/> gave back, with any contents.</summary>
    void Renew();
}
