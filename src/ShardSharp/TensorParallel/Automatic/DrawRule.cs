using ShardSharp.TensorParallel.Styles;

namespace ShardSharp.TensorParallel.Automatic;

/// <summary>Where in a forward no module may draw random numbers in its own code: where ranks have different values, and would draw the same.</summary>
/// <param name="context">The divided model.</param>
internal sealed class DrawRule(TensorParallelContext context)
{
    private string? _column;

    /// <summary>What is wrong with the next moment of a forward; null for nothing.</summary>
    public string? Next(DrawMoment moment, string name)
    {
        var style = context.Styles.GetValueOrDefault(name);
        if (moment == DrawMoment.End && style is ColumnParallel { GathersOutput: false, IsInner: false })
            _column = name;
        else if (moment == DrawMoment.Begin && (style is RowParallel { IsInner: false } || name.Length == 0))
            _column = null;
        if (moment != DrawMoment.Draw || (_column is null && !context.SequenceParallel))
            return null;
        var where = _column is null ? "where sequences are divided" : $"behind '{_column}', where features are divided";
        return $"{(name.Length == 0 ? "The model" : $"Module '{name}'")} draws random numbers in its own code, {where}: nn.functional.dropout, or dropout as "
            + "an argument of scaled_dot_product_attention. All ranks would draw the same. Use a module, nn.Dropout, and give it the style "
            + "SharedParameters between divided layers, SequenceParallel elsewhere.";
    }
}
