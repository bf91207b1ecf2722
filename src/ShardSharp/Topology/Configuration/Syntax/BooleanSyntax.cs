namespace ShardSharp.Topology;

internal sealed class BooleanSyntax : ValueSyntax<bool>
{
    public override string Description => "true or false";

    public override bool TryRead(RawValue raw, out bool value)
    {
        // "True" is how Python spells it in an environment variable or a hyperparameter.
        value = raw.Literal is "true" or "True";
        return value || raw.Literal is "false" or "False";
    }

    public override bool Nearest(bool value) => value;

    public override string Format(bool value) => value ? "true" : "false";
}
