namespace ShardSharp.Pipeline.Tracing;

/// <summary>Whether what a call computed is what the calls that it made computed, one after another, and nothing beside.</summary>
internal static class Composition
{
    /// <summary>
    /// How many of the calls that a call made have to stay with what it does before them, so that the rest are nothing but calls; null if there
    /// are no such calls. With 0 all of it are calls.
    /// </summary>
    public static int? OpeningOf(TracedCall call)
    {
        for (var opening = 0; opening < call.Calls.Count; opening++)
        {
            // With one call after it, an opening would only cut a module in two.
            if (opening > 0 && call.Calls.Count - opening < 2)
                return null;
            if (!Breaks(call, opening).Any())
                return opening;
        }

        return null;
    }

    /// <summary>Where a call does something else than calling.</summary>
    /// <param name="call">The call.</param>
    /// <param name="opening">How many of the calls it made are not looked at; what the next one was given is taken as it comes.</param>
    public static IEnumerable<string> Breaks(TracedCall call, int opening = 0)
    {
        var known = new HashSet<TracedValue>(call.Inputs);
        if (opening > 0)
            known.UnionWith(call.Calls[opening].Inputs);
        for (var i = opening; i < call.Calls.Count; i++)
        {
            var child = call.Calls[i];
            if (child.Foreign is { } foreign)
                yield return $"{child.Title} is called with {foreign}, which may differ from batch to batch: pass tensors, or keep it in the module";
            foreach (var (at, input) in child.Inputs.Index())
            {
                if (!known.Contains(input) && !input.IsEverywhere)
                    yield return $"input {at} of {child.Title}{After(call, i)} is {Described(input, child)}";
                known.Add(input);
            }

            known.UnionWith(child.Outputs);
        }

        foreach (var (at, output) in call.Outputs.Index())
        {
            if (!known.Contains(output) && !output.IsEverywhere)
                yield return $"output {at} of {call.Title} was computed after {call.Calls[^1].Title}, its last call";
        }
    }

    private static string After(TracedCall call, int index) => index == 0 ? "" : $", after {call.Calls[index - 1].Title},";

    private static string Described(TracedValue input, TracedCall child)
    {
        var text = input.ToString();
        return text.StartsWith("input ", StringComparison.Ordinal) && text.Contains(child.Title, StringComparison.Ordinal) ? "what no module returned" : text;
    }
}
