using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Layers;

/// <summary>Modules under a common name. It computes nothing: it is there for the names of parameters.</summary>
internal sealed class ModuleGroup : nn.Module
{
    public ModuleGroup(params ReadOnlySpan<(string Name, nn.Module Module)> children)
        : base(nameof(ModuleGroup))
    {
        foreach (var (name, module) in children)
            register_module(name, module);
    }
}
