using System.Globalization;
using System.Reflection;
using System.Text.Json.Nodes;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Optimizers;

/// <summary>
/// What TorchSharp's optimizers keep: each has a class for the state of a parameter and one for the options of a group, with a public field
/// for each tensor and number.
/// </summary>
internal static class OptimizerFields
{
    /// <summary>The tensors in a parameter's state.</summary>
    public static IEnumerable<FieldInfo> TensorsOf(OptimizerState state) => FieldsOf(state).Where(field => field.FieldType == typeof(Tensor));

    /// <summary>The numbers in a parameter's state, by name.</summary>
    public static IEnumerable<(string Name, double Value)> NumbersOf(OptimizerState state) => FieldsOf(state)
        .Where(field => field.FieldType == typeof(long) || field.FieldType == typeof(double))
        .Select(field => (field.Name, Convert.ToDouble(field.GetValue(state), CultureInfo.InvariantCulture)));

    /// <summary>Sets a number in a parameter's state.</summary>
    /// <returns>Whether there is such a number.</returns>
    public static bool SetNumber(OptimizerState state, string name, double value)
    {
        if (FieldsOf(state).FirstOrDefault(field => field.Name == name) is not { } field)
            return false;
        field.SetValue(state, Convert.ChangeType(value, field.FieldType, CultureInfo.InvariantCulture));
        return true;
    }

    /// <summary>The options of a group, by name.</summary>
    public static JsonObject OptionsOf(OptimizerOptions options)
    {
        var values = new JsonObject();
        foreach (var (name, value) in Options(options).Select(option => (option.Name, option.Get())))
            values[name] = value switch
            {
                null => null,
                bool flag => flag,
                _ => Convert.ToDouble(value, CultureInfo.InvariantCulture),
            };
        return values;
    }

    /// <summary>Sets those options of a group that have values.</summary>
    public static void SetOptions(OptimizerOptions options, JsonObject values)
    {
        foreach (var option in Options(options))
        {
            if (!values.TryGetPropertyValue(option.Name, out var value))
                continue;
            var type = Nullable.GetUnderlyingType(option.Type) ?? option.Type;
            option.Set(value is null ? null : type == typeof(bool)
                ? value.GetValue<bool>()
                : Convert.ChangeType(value.GetValue<double>(), type, CultureInfo.InvariantCulture));
        }
    }

    private static FieldInfo[] FieldsOf(object value) => value.GetType().GetFields(BindingFlags.Instance | BindingFlags.Public);

    private static IEnumerable<(string Name, Type Type, Func<object?> Get, Action<object?> Set)> Options(OptimizerOptions options)
    {
        foreach (var field in FieldsOf(options).Where(field => IsOption(field.FieldType)))
            yield return (field.Name, field.FieldType, () => field.GetValue(options), value => field.SetValue(options, value));
        foreach (var property in options.GetType().GetProperties().Where(property => property.CanWrite && IsOption(property.PropertyType)))
            yield return (property.Name, property.PropertyType, () => property.GetValue(options), value => property.SetValue(options, value));
    }

    private static bool IsOption(Type type) =>
        (Nullable.GetUnderlyingType(type) ?? type) is var plain && (plain == typeof(double) || plain == typeof(bool) || plain == typeof(int) || plain == typeof(long));
}
