namespace ShardSharp.Topology;

/// <summary>One of a few names.</summary>
internal sealed class ChoiceSyntax<T>(params (string Name, T Value)[] choices) : ValueSyntax<T>, IChoices
    where T : struct, Enum
{
    public IReadOnlyList<string> Names { get; } = [.. choices.Select(choice => choice.Name)];

    public override string Description => $"one of {string.Join(", ", Names.Select(JsonText.Quote))}";

    public override bool TryRead(RawValue raw, out T value)
    {
        foreach ((var name, var choice) in choices)
        {
            value = choice;
            if (raw.String == name)
                return true;
        }

        value = default;
        return false;
    }

    public override T Nearest(T value) => choices.Any(choice => choice.Value.Equals(value)) ? value : choices[0].Value;

    public override string Format(T value) =>
        JsonText.Quote(choices.FirstOrDefault(choice => choice.Value.Equals(value)).Name ?? value.ToString());
}

/// <summary>The names a key allows.</summary>
internal interface IChoices
{
    IReadOnlyList<string> Names { get; }
}
