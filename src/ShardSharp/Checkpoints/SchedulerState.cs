using System.Globalization;
using System.Reflection;
using System.Text.Json;
using System.Text.Json.Nodes;
using static TorchSharp.torch.optim.lr_scheduler;

namespace ShardSharp.Checkpoints;

/// <summary>
/// How far a learning-rate scheduler has come. TorchSharp's do not say, so it is read from and written to their fields: numbers, texts and
/// lists of numbers; functions stay the program's.
/// </summary>
internal static class SchedulerState
{
    /// <summary>Reads a scheduler's state, and those of the schedulers in it.</summary>
    public static JsonObject Of(LRScheduler scheduler)
    {
        var state = new JsonObject { ["type"] = scheduler.GetType().Name };
        foreach (var field in FieldsOf(scheduler))
        {
            switch (field.GetValue(scheduler))
            {
                case int or double or bool or string:
                    state[field.Name] = Number(field.GetValue(scheduler)!);
                    break;
                case IEnumerable<double> numbers:
                    state[field.Name] = new JsonArray([.. numbers.Select(number => Number(number))]);
                    break;
                case IEnumerable<LRScheduler> inner:
                    state[field.Name] = new JsonArray([.. inner.Select(Of)]);
                    break;
            }
        }

        return state;
    }

    /// <summary>Sets a scheduler to a state.</summary>
    /// <exception cref="InvalidOperationException">The state is that of another kind of scheduler.</exception>
    public static void Set(LRScheduler scheduler, JsonObject state)
    {
        if ((string?)state["type"] != scheduler.GetType().Name)
            throw new InvalidOperationException($"the checkpoint has the state of a scheduler {state["type"]}, and the program's is {scheduler.GetType().Name}");
        foreach (var field in FieldsOf(scheduler))
        {
            if (!state.TryGetPropertyValue(field.Name, out var value) || value is null)
                continue;
            switch (field.GetValue(scheduler))
            {
                case int or double or bool or string:
                    field.SetValue(scheduler, Value(value, field.FieldType));
                    break;
                case IEnumerable<double>:
                    field.SetValue(scheduler, value.AsArray().Select(number => (double)Value(number!, typeof(double))).ToList());
                    break;
                case IEnumerable<LRScheduler> inner:
                    foreach (var (part, partState) in inner.Zip(value.AsArray()))
                        Set(part, partState!.AsObject());
                    break;
            }
        }
    }

    /// <summary>JSON has no infinity, which the best loss so far may be.</summary>
    private static JsonValue Number(object value) => value switch
    {
        double number when !double.IsFinite(number) => JsonValue.Create(number.ToString("R", CultureInfo.InvariantCulture)),
        double number => JsonValue.Create(number),
        bool flag => JsonValue.Create(flag),
        int number => JsonValue.Create(number),
        _ => JsonValue.Create((string)value),
    };

    private static object Value(JsonNode value, Type type)
    {
        if (type == typeof(bool))
            return value.GetValue<bool>();
        if (type == typeof(int))
            return value.GetValue<int>();
        if (type == typeof(string))
            return value.GetValue<string>();
        return value.GetValueKind() == JsonValueKind.String
            ? double.Parse(value.GetValue<string>(), CultureInfo.InvariantCulture)
            : value.GetValue<double>();
    }

    private static IEnumerable<FieldInfo> FieldsOf(LRScheduler scheduler)
    {
        for (var type = scheduler.GetType(); type != typeof(object) && type is not null; type = type.BaseType)
        {
            foreach (var field in type.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly))
                yield return field;
        }
    }
}
