using TorchSharp;
using static TorchSharp.torch;

namespace ShardSharp.Native;

/// <summary>What communication has to know of a tensor before it touches its memory.</summary>
/// <param name="Type">Element type.</param>
/// <param name="Device">Kind of device that holds it.</param>
/// <param name="Elements">Number of elements.</param>
/// <param name="IsStrided">Whether it is dense, in the sense of not being sparse.</param>
/// <param name="IsContiguous">Whether its elements lie one after another in their order.</param>
internal readonly record struct TensorFacts(ScalarType Type, DeviceType Device, long Elements, bool IsStrided, bool IsContiguous);
