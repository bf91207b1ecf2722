using static TorchSharp.torch;

namespace ShardSharp.Modules;

/// <summary>A module without parameters of its own that computes with children of another one.</summary>
internal interface IModulePart
{
    /// <summary>The modules that it calls.</summary>
    IReadOnlyList<nn.Module> Uses { get; }
}
