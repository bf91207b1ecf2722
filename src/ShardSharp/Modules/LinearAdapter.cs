using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Modules;

/// <summary>
/// A low-rank adapter of a linear layer (Hu et al. 2021): two more below it in the module tree, whose product a hook on its call adds to what it
/// returns. They are known by their names, those of PEFT.
/// </summary>
/// <param name="Target">The layer.</param>
/// <param name="Down">From the inputs to as many numbers as the rank.</param>
/// <param name="Up">From there to the outputs.</param>
internal readonly record struct LinearAdapter(Linear Target, Linear Down, Linear Up)
{
    /// <summary>The names of its modules below the layer.</summary>
    public const string DownName = "lora_A", UpName = "lora_B", DropoutName = "lora_dropout";

    /// <summary>The adapter of a module; null if it has none.</summary>
    public static LinearAdapter? Of(nn.Module module)
    {
        if (module is not Linear target)
            return null;
        var children = target.named_children().ToDictionary(child => child.name, child => child.module);
        return children.GetValueOrDefault(DownName) is Linear down && children.GetValueOrDefault(UpName) is Linear up
            ? new LinearAdapter(target, down, up)
            : null;
    }
}
