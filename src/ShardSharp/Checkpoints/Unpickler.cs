using System.Buffers.Binary;
using System.Text;

namespace ShardSharp.Checkpoints;

/// <summary>
/// Reads a pickle as torch.save makes it of tensors, numbers, texts, lists and dictionaries
/// (https://docs.python.org/3/library/pickletools.html). A pickle is a program; this one knows of no function but those that describe tensors.
/// </summary>
/// <param name="path">The file, for messages.</param>
/// <param name="code">The pickle.</param>
internal sealed class Unpickler(string path, byte[] code)
{
    private static readonly object Mark = new();

    private readonly Stack<object?> _stack = [];
    private readonly Dictionary<long, object?> _memo = [];
    private int _position;

    /// <returns>The object: dictionaries, lists, arrays for tuples, strings, numbers, <see cref="PickledTensor"/>.</returns>
    /// <exception cref="CheckpointException">The pickle is damaged, or has something else.</exception>
    public object? Read()
    {
        try
        {
            while (Next() is var operation && operation != '.')
                Run(operation);
            return _stack.Pop();
        }
        catch (Exception failure) when (failure is InvalidOperationException or InvalidCastException or IndexOutOfRangeException or ArgumentException
            or KeyNotFoundException or NullReferenceException or OverflowException)
        {
            throw new CheckpointException(path, $"the pickle is damaged near byte {_position}.", failure);
        }
    }

    private void Run(byte operation)
    {
        switch (operation)
        {
            case 0x80: Next(); break; // PROTO
            case 0x95: Take(8); break; // FRAME
            case (byte)'(': _stack.Push(Mark); break;
            case (byte)'}': _stack.Push(new Dictionary<object, object?>()); break;
            case (byte)']': _stack.Push(new List<object?>()); break;
            case (byte)')': _stack.Push(Array.Empty<object?>()); break;
            case (byte)'N': _stack.Push(null); break;
            case 0x88: _stack.Push(true); break;
            case 0x89: _stack.Push(false); break;
            case (byte)'J': _stack.Push((long)BinaryPrimitives.ReadInt32LittleEndian(Take(4))); break;
            case (byte)'K': _stack.Push((long)Next()); break;
            case (byte)'M': _stack.Push((long)BinaryPrimitives.ReadUInt16LittleEndian(Take(2))); break;
            case 0x8A: _stack.Push(Long(Take(Next()))); break; // LONG1
            case (byte)'G': _stack.Push(BinaryPrimitives.ReadDoubleBigEndian(Take(8))); break;
            case (byte)'X': _stack.Push(Encoding.UTF8.GetString(Take(Length()))); break;
            case 0x8C: _stack.Push(Encoding.UTF8.GetString(Take(Next()))); break;
            case (byte)'c': _stack.Push(new Function($"{Line()}.{Line()}")); break;
            case (byte)'q': _memo[Next()] = _stack.Peek(); break;
            case (byte)'r': _memo[Length()] = _stack.Peek(); break;
            case 0x94: _memo[_memo.Count] = _stack.Peek(); break; // MEMOIZE
            case (byte)'h': _stack.Push(_memo[Next()]); break;
            case (byte)'j': _stack.Push(_memo[Length()]); break;
            case (byte)'t': _stack.Push(ToMark()); break;
            case >= 0x85 and <= 0x87: _stack.Push(Pop(operation - 0x84)); break; // TUPLE1 to TUPLE3
            case (byte)'a': Append(Pop(1)); break;
            case (byte)'e': Append(ToMark()); break;
            case (byte)'s': Set(Pop(2)); break;
            case (byte)'u': Set(ToMark()); break;
            case (byte)'Q': _stack.Push(Storage((object?[])_stack.Pop()!)); break;
            case (byte)'R': Reduce((object?[])_stack.Pop()!, (Function)_stack.Pop()!); break;
            case (byte)'b': _stack.Pop(); break; // BUILD: attributes of a dictionary, such as _metadata
            default: throw new CheckpointException(path, $"the pickle has an operation 0x{operation:x2}, which files of tensors do not have.");
        }
    }

    private void Reduce(object?[] arguments, Function function) => _stack.Push(function.Name switch
    {
        "collections.OrderedDict" when arguments.Length == 0 => new Dictionary<object, object?>(),
        "torch._utils._rebuild_tensor_v2" => new PickledTensor(
            (PickledStorage)arguments[0]!, (long)arguments[1]!, Numbers(arguments[2]), Numbers(arguments[3])),
        "torch._utils._rebuild_parameter" => (PickledTensor)arguments[0]!,
        _ => throw new CheckpointException(path, $"the pickle asks for {function.Name}, which files of tensors do not need."),
    });

    private static PickledStorage Storage(object?[] id) => id is ["storage", Function type, string key, ..]
        ? new PickledStorage(type.Name, key)
        : throw new InvalidOperationException("A storage has a type and a key.");

    private static long[] Numbers(object? tuple) => [.. ((object?[])tuple!).Select(number => (long)number!)];

    private void Append(object?[] values) => ((List<object?>)_stack.Peek()!).AddRange(values);

    private void Set(object?[] pairs)
    {
        var target = (Dictionary<object, object?>)_stack.Peek()!;
        foreach (var pair in pairs.Chunk(2))
            target[pair[0]!] = pair[1];
    }

    private object?[] ToMark()
    {
        var values = new List<object?>();
        while (_stack.Pop() is var value && value != Mark)
            values.Add(value);
        values.Reverse();
        return [.. values];
    }

    private object?[] Pop(int count)
    {
        var values = new object?[count];
        for (var i = count - 1; i >= 0; i--)
            values[i] = _stack.Pop();
        return values;
    }

    private byte Next() => code[_position++];

    private ReadOnlySpan<byte> Take(int count)
    {
        var bytes = code.AsSpan(_position, count);
        _position += count;
        return bytes;
    }

    private int Length() => checked((int)BinaryPrimitives.ReadUInt32LittleEndian(Take(4)));

    private string Line()
    {
        var length = code.AsSpan(_position).IndexOf((byte)'\n');
        var text = Encoding.UTF8.GetString(Take(length));
        _position++;
        return text;
    }

    private static long Long(ReadOnlySpan<byte> bytes) =>
        bytes.Length <= sizeof(long) ? (long)new System.Numerics.BigInteger(bytes) : throw new InvalidOperationException("A number is too large.");

    private sealed record Function(string Name);
}
