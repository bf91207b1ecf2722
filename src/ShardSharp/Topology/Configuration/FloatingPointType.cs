using System.Diagnostics.CodeAnalysis;

namespace ShardSharp.Topology;

/// <summary>A floating-point type that a model computes or communicates in.</summary>
[SuppressMessage("Naming", "CA1720:Identifier contains type name", Justification = "These are the names of the formats.")]
public enum FloatingPointType
{
    /// <summary>IEEE 754 binary32.</summary>
    Float32,

    /// <summary>IEEE 754 binary16: 11 significant bits, at most 65504.</summary>
    Float16,

    /// <summary>The upper half of a binary32: 8 significant bits, its range.</summary>
    BFloat16,
}
