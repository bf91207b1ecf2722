using System.Buffers.Binary;
using System.Reflection;
using System.Reflection.Emit;

namespace ShardSharp.Tests;

/// <summary>Finds the types that a type uses: in its declaration, in its members' signatures and in their code.</summary>
internal static class TypeReferences
{
    private const BindingFlags All =
        BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static | BindingFlags.Instance | BindingFlags.DeclaredOnly;

    private static readonly Dictionary<short, OpCode> Codes = typeof(OpCodes).GetFields(BindingFlags.Public | BindingFlags.Static)
        .Select(field => (OpCode)field.GetValue(null)!)
        .ToDictionary(code => code.Value);

    /// <summary>The types used, each once, generic ones also by their definition and arguments.</summary>
    public static IEnumerable<Type> Of(Type type)
    {
        IEnumerable<Type?> used = [type.BaseType, .. type.GetInterfaces(), .. type.GetFields(All).Select(field => field.FieldType)];
        var methods = type.GetMethods(All).Cast<MethodBase>().Concat(type.GetConstructors(All));
        return used.Concat(methods.SelectMany(OfMethod)).OfType<Type>().SelectMany(Parts).Distinct();
    }

    private static IEnumerable<Type?> OfMethod(MethodBase method)
    {
        yield return (method as MethodInfo)?.ReturnType;
        foreach (var parameter in method.GetParameters())
            yield return parameter.ParameterType;
        if (method.GetMethodBody() is not { } body)
            yield break;
        foreach (var variable in body.LocalVariables)
            yield return variable.LocalType;
        foreach (var clause in body.ExceptionHandlingClauses.Where(clause => clause.Flags == ExceptionHandlingClauseOptions.Clause))
            yield return clause.CatchType;
        foreach (var token in Tokens(body.GetILAsByteArray()!))
        {
            var member = method.Module.ResolveMember(token, method.DeclaringType!.GetGenericArguments(), GenericArguments(method));
            yield return member as Type ?? member!.DeclaringType;
        }
    }

    /// <summary>The metadata tokens of types, methods and fields in a method's code (ECMA-335, partition III).</summary>
    private static List<int> Tokens(byte[] code)
    {
        var tokens = new List<int>();
        var at = 0;
        while (at < code.Length)
        {
            var operation = Codes[code[at] == 0xFE ? unchecked((short)(0xFE00 | code[++at])) : code[at]];
            at++;
            var operand = code.AsSpan(at);
            switch (operation.OperandType)
            {
                case OperandType.InlineType or OperandType.InlineMethod or OperandType.InlineField or OperandType.InlineTok:
                    tokens.Add(BinaryPrimitives.ReadInt32LittleEndian(operand));
                    break;
                case OperandType.InlineSwitch:
                    at += 4 * BinaryPrimitives.ReadInt32LittleEndian(operand);
                    break;
            }

            at += SizeOf(operation.OperandType);
        }

        return tokens;
    }

    private static int SizeOf(OperandType operand) => operand switch
    {
        OperandType.InlineNone => 0,
        OperandType.ShortInlineBrTarget or OperandType.ShortInlineI or OperandType.ShortInlineVar => 1,
        OperandType.InlineVar => 2,
        OperandType.InlineI8 or OperandType.InlineR => 8,
        _ => 4,
    };

    private static Type[] GenericArguments(MethodBase method) => method.IsGenericMethod ? method.GetGenericArguments() : [];

    private static IEnumerable<Type> Parts(Type type)
    {
        if (type.HasElementType)
            return Parts(type.GetElementType()!);
        return type.IsConstructedGenericType ? [type.GetGenericTypeDefinition(), .. type.GetGenericArguments().SelectMany(Parts)] : [type];
    }
}
