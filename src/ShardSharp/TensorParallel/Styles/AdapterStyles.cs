using ShardSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Styles;

/// <summary>
/// How low-rank adapters are spread over ranks: as the layers that they adapt, whatever a plan's patterns say of them. What is not divided of
/// them computes with what differs between ranks, so its gradients are summed.
/// </summary>
internal static class AdapterStyles
{
    /// <summary>Gives the modules of all adapters of layers with styles their own.</summary>
    /// <param name="root">The model.</param>
    /// <param name="styled">Modules with styles by their names.</param>
    /// <exception cref="TensorParallelException">What a layer's style means for an adapter is not known.</exception>
    public static void AddTo(nn.Module root, Dictionary<string, (nn.Module Module, TensorParallelStyle Style)> styled)
    {
        foreach (var (name, module) in ModuleTree.Walk(root).ToArray())
        {
            if (LinearAdapter.Of(module) is null || !styled.TryGetValue(name, out var target))
                continue;
            foreach (var (childName, child) in module.named_children())
            {
                if (Of(name, target.Style, childName) is { } style)
                    styled[ModuleTree.NameOf(name, childName)] = (child, style);
            }
        }
    }

    /// <summary>The style of a module of an adapter; null for none.</summary>
    private static TensorParallelStyle? Of(string name, TensorParallelStyle target, string child) => (target, child) switch
    {
        (_, not (LinearAdapter.DownName or LinearAdapter.UpName or LinearAdapter.DropoutName)) => null,
        (ColumnParallel, LinearAdapter.DownName) => new SharedParameters { Always = true },
        (ColumnParallel column, LinearAdapter.UpName) => column.Inner(),
        (ColumnParallel, _) => null, // dropout of an input that all have alike, as it is without a style
        (RowParallel row, LinearAdapter.DownName) => row.Inner(),
        (RowParallel, _) => new SharedParameters { Always = true },
        (SharedParameters shared, _) => shared,
        (Replicated or SequenceGather or SequenceScatter, _) => child == LinearAdapter.DropoutName ? null : new Replicated(),
        _ => throw new TensorParallelException(
            $"Module '{name}' has an adapter, and it is not known what its style ({target.Description}) means for that. Adapters are spread over ranks "
            + "with the styles Column, FusedColumn, Row, SequenceParallel, SharedParameters, SequenceGather, SequenceScatter and Replicated."),
    };
}
