using System.CommandLine;

namespace ShardSharp.Benchmarks;

internal static class PositiveOption
{
    /// <summary>An option that takes a whole number above zero, or from <paramref name="least"/>.</summary>
    public static Option<int> Create(string name, int value, string description, int least = 1)
    {
        var option = new Option<int>(name) { Description = description, DefaultValueFactory = _ => value };
        option.Validators.Add(result =>
        {
            if (result.Tokens.Count == 1 && int.TryParse(result.Tokens[0].Value, out var given) && given < least)
                result.AddError($"{name} is {given}, but must be at least {least}.");
        });
        return option;
    }
}
