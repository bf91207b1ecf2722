namespace ShardSharp.Topology;

/// <summary>One axis of a <see cref="DeviceMesh"/>.</summary>
/// <param name="Name">What the axis is called; unique within a mesh. See <see cref="AxisName"/>.</param>
/// <param name="Size">How many ranks lie along it; at least 1.</param>
public readonly record struct MeshAxis(string Name, int Size)
{
    /// <summary>The axis as text, such as <c>tensor 4</c>.</summary>
    public override string ToString() => $"{Name} {Size}";
}
