using static TorchSharp.torch;

namespace ShardSharp.Checkpoints;

/// <summary>The element types of the safetensors format, by the names they have in a header.</summary>
/// <remarks>https://github.com/huggingface/safetensors, <c>Dtype</c> of version 0.7.</remarks>
internal static class SafetensorsType
{
    /// <summary>The bits of each type, and what TorchSharp calls it; it has no name for some.</summary>
    private static readonly Dictionary<string, (int Bits, ScalarType? Type)> Types = new(StringComparer.Ordinal)
    {
        ["BOOL"] = (8, ScalarType.Bool),
        ["U8"] = (8, ScalarType.Byte),
        ["I8"] = (8, ScalarType.Int8),
        ["I16"] = (16, ScalarType.Int16),
        ["I32"] = (32, ScalarType.Int32),
        ["I64"] = (64, ScalarType.Int64),
        ["F16"] = (16, ScalarType.Float16),
        ["BF16"] = (16, ScalarType.BFloat16),
        ["F32"] = (32, ScalarType.Float32),
        ["F64"] = (64, ScalarType.Float64),
        ["C64"] = (64, ScalarType.ComplexFloat32),
        ["U16"] = (16, null),
        ["U32"] = (32, null),
        ["U64"] = (64, null),
        ["F8_E5M2"] = (8, null),
        ["F8_E4M3"] = (8, null),
        ["F8_E8M0"] = (8, null),
        ["F6_E2M3"] = (6, null),
        ["F6_E3M2"] = (6, null),
        ["F4"] = (4, null),
    };

    private static readonly Dictionary<ScalarType, string> Names =
        Types.Where(type => type.Value.Type is not null).ToDictionary(type => type.Value.Type!.Value, type => type.Key);

    /// <summary>All names, for messages.</summary>
    public static string All { get; } = string.Join(", ", Types.Keys.Order(StringComparer.Ordinal));

    /// <summary>Bits of one element; null for a name that the format does not have.</summary>
    public static int? BitsOf(string name) => Types.TryGetValue(name, out var type) ? type.Bits : null;

    /// <summary>TorchSharp's type; null where it has none.</summary>
    public static ScalarType? TypeOf(string name) => Types.TryGetValue(name, out var type) ? type.Type : null;

    /// <summary>The name of a type in a header; null where the format has none.</summary>
    public static string? NameOf(ScalarType type) => Names.GetValueOrDefault(type);
}
