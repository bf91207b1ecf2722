using ShardSharp.HuggingFace.Layers;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Weights;

/// <summary>The places in a module tree where parameters are, so that others can be put there.</summary>
internal static class ParameterSlots
{
    /// <summary>Puts another parameter in the place of each; one that is in several places is asked for once and stays shared.</summary>
    /// <param name="root">The tree.</param>
    /// <param name="replacement">The new parameter for the old one of a name.</param>
    public static void Replace(nn.Module root, Func<string, Parameter, Parameter> replacement)
    {
        // All places first: putting a parameter somewhere disposes the one that was there.
        var slots = root.modules().SelectMany(Of).ToLookup(slot => slot.Old.Handle, slot => slot.Put);
        foreach (var (name, old) in root.named_parameters().ToList())
        {
            var places = slots[old.Handle].ToList();
            var parameter = replacement(name, old);
            places.ForEach(put => put(parameter));
        }
    }

    private static IEnumerable<(Parameter Old, Action<Parameter> Put)> Of(nn.Module module)
    {
        switch (module)
        {
            case Linear linear:
                yield return (linear.weight!, value => linear.weight = value);
                if (linear.bias is { } bias)
                    yield return (bias, value => linear.bias = value);
                break;
            case Embedding embedding:
                yield return (embedding.get_parameter("weight")!, value => embedding.weight = value);
                break;
            case LayerNorm norm:
                yield return (norm.weight!, value => norm.weight = value);
                yield return (norm.bias!, value => norm.bias = value);
                break;
            case RootMeanSquareNorm norm:
                yield return (norm.Weight, value => norm.Weight = value);
                break;
        }
    }
}
