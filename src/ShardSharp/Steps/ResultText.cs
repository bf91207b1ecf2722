using System.Text.Json;
using System.Text.Json.Serialization;
using ShardSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Steps;

/// <summary>Values of tensors as text for other ranks, in which a number stands for each tensor; the tensors themselves travel beside it.</summary>
internal sealed class ResultText
{
    private readonly NumberedTensors _tensors = new();
    private readonly JsonSerializerOptions _options;

    public ResultText() => _options = new JsonSerializerOptions
    {
        IncludeFields = true, NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals, Converters = { _tensors },
    };

    /// <summary>The text of a value.</summary>
    /// <param name="value">The value.</param>
    /// <param name="tensors">Its tensors, in order.</param>
    /// <exception cref="NotSupportedException">The value cannot be made of the text again; the message says what can.</exception>
    public string Write<T>(T value, IReadOnlyList<Tensor> tensors)
    {
        var text = "";
        string? difference;
        try
        {
            _tensors.All = tensors;
            text = JsonSerializer.Serialize(value, _options);
            difference = TensorStructure.Of(value, []).DifferenceTo(TensorStructure.Of(Read<T>(text, tensors), []));
        }
        catch (Exception failure) when (failure is JsonException or NotSupportedException or InvalidOperationException)
        {
            difference = failure.Message;
        }

        return difference is null ? text : throw new NotSupportedException(
            $"A {typeof(T).Name} cannot be given to the ranks of the other stages ({difference}). Return tensors, tuples, public records, arrays, lists and "
            + "dictionaries of them, and numbers and text beside them.");
    }

    /// <summary>The value of a text.</summary>
    /// <param name="text">What <see cref="Write"/> gave.</param>
    /// <param name="tensors">The value's tensors.</param>
    public T Read<T>(string text, IReadOnlyList<Tensor> tensors)
    {
        _tensors.All = tensors;
        return JsonSerializer.Deserialize<T>(text, _options)!;
    }

    private sealed class NumberedTensors : JsonConverter<Tensor>
    {
        public IReadOnlyList<Tensor> All { get; set; } = [];

        public override bool CanConvert(Type typeToConvert) => typeof(Tensor).IsAssignableFrom(typeToConvert);

        public override Tensor Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => reader.GetInt32() is var number
            && number >= 0 && number < All.Count ? All[number] : throw new JsonException($"There is no tensor {number} of {All.Count}.");

        /// <summary>A property that computes a tensor has none of the value's, and is not read either.</summary>
        public override void Write(Utf8JsonWriter writer, Tensor value, JsonSerializerOptions options) => writer.WriteNumberValue(
            Enumerable.Range(0, All.Count).FirstOrDefault(index => ReferenceEquals(All[index], value), -1));
    }
}
