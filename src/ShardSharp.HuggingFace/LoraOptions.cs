namespace ShardSharp.HuggingFace;

/// <summary>Which linears of a model get adapters, and how large they are.</summary>
public sealed record LoraOptions
{
    /// <summary>The rank of the matrix that is added to a weight.</summary>
    /// <value>8</value>
    public int Rank { get; init; } = 8;

    /// <summary>What is added is multiplied by this number over the rank.</summary>
    /// <value>16</value>
    public double Alpha { get; init; } = 16;

    /// <summary>With which probability a number is dropped before an adapter, in training.</summary>
    /// <value>0</value>
    public double Dropout { get; init; }

    /// <summary>
    /// Patterns of the names of linears. A pattern fits a whole name or what is behind a dot of it: <c>q_proj</c>, <c>mlp.*_proj</c>,
    /// <c>model.layers.0.*</c>; <c>*</c> stands for any text, and <c>?</c> for any character.
    /// </summary>
    /// <value>Empty: every linear but those of the head.</value>
    public IReadOnlyCollection<string> Targets { get; init; } = [];

    internal void Validate()
    {
        if (Rank < 1)
            throw new ArgumentException($"{nameof(Rank)} {Rank}: must be at least 1, for example 8.");
        if (!double.IsFinite(Alpha) || Alpha <= 0)
            throw new ArgumentException($"{nameof(Alpha)} {Alpha}: must be positive, for example 16.");
        if (Dropout is not (>= 0 and < 1))
            throw new ArgumentException($"{nameof(Dropout)} {Dropout}: must be from 0 and below 1, for example 0.1.");
    }
}
