using System.Buffers.Binary;
using System.Text;

namespace ShardSharp.HuggingFace.Tokenizers;

/// <summary>The fields of a message of protocol buffers (https://protobuf.dev/programming-guides/encoding), one after another.</summary>
/// <param name="data">The message.</param>
internal ref struct ProtobufReader(ReadOnlySpan<byte> data)
{
    private ReadOnlySpan<byte> _left = data;

    /// <summary>The number of the field that was read.</summary>
    public int Field { get; private set; }

    /// <summary>Its value, where it is a whole number, true (1) or false (0).</summary>
    public ulong Number { get; private set; }

    /// <summary>Its bytes, where it is a text, bytes, or another message.</summary>
    public ReadOnlySpan<byte> Bytes { get; private set; }

    /// <summary>Its value, where it is a floating-point number of 32 bits.</summary>
    public readonly float Single => BitConverter.UInt32BitsToSingle((uint)Number);

    /// <summary>Its value, where it is a text.</summary>
    public readonly string Text => Encoding.UTF8.GetString(Bytes);

    /// <summary>Reads the next field.</summary>
    /// <returns>False at the end of the message.</returns>
    /// <exception cref="InvalidDataException">It is no message.</exception>
    public bool Read()
    {
        if (_left.IsEmpty)
            return false;
        var key = Variable();
        (Field, Number) = ((int)Math.Min(key >> 3, int.MaxValue), 0);
        Bytes = default;
        switch (key & 7)
        {
            case 0:
                Number = Variable();
                break;
            case 1:
                Number = BinaryPrimitives.ReadUInt64LittleEndian(Take(8));
                break;
            case 2:
                Bytes = Take(Variable());
                break;
            case 5:
                Number = BinaryPrimitives.ReadUInt32LittleEndian(Take(4));
                break;
            default:
                throw new InvalidDataException($"a field has wire type {key & 7}, which there is not");
        }

        return true;
    }

    private ulong Variable()
    {
        var value = 0UL;
        for (var shift = 0; shift < 64; shift += 7)
        {
            var next = Take(1)[0];
            value |= (ulong)(next & 0x7f) << shift;
            if (next < 0x80)
                return value;
        }

        throw new InvalidDataException("a number has more than 64 bits");
    }

    private ReadOnlySpan<byte> Take(ulong count)
    {
        if (count > (ulong)_left.Length)
            throw new InvalidDataException("it ends within a field");
        var taken = _left[..(int)count];
        _left = _left[(int)count..];
        return taken;
    }
}
