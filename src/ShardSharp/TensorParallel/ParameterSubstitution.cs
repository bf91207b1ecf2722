using System.Reflection;
using ShardSharp.Native;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel;

/// <summary>
/// Lets a module compute one call with other tensors than its parameters, which stay registered: its field of a parameter gets a stand-in
/// before forward and the parameter back after it.
/// </summary>
internal sealed class ParameterSubstitution
{
    private readonly nn.Module _module;
    private readonly FieldInfo _field;

    /// <param name="moduleName">Name of the module in the model, for errors.</param>
    /// <param name="module">A module that keeps the parameter in a field.</param>
    /// <param name="parameter">The parameter.</param>
    /// <exception cref="TensorParallelException">No field holds it.</exception>
    public ParameterSubstitution(string moduleName, nn.Module module, Parameter parameter)
    {
        (_module, Parameter) = (module, parameter);
        _field = FieldOf(module, parameter) ?? throw new TensorParallelException(
            $"Module '{moduleName}', a {module.GetType().Name}, has no field with its parameter, so that its gradient cannot be summed over ranks. "
            + "Keep the parameter in a field of type Parameter, or leave the module out of the plan and turn sequence parallelism off.");
    }

    /// <summary>The parameter.</summary>
    public Parameter Parameter { get; }

    /// <summary>Puts something in the place of the parameter: a tensor that was computed from it, or nothing.</summary>
    public void Set(Tensor? standIn) => _field.SetValue(_module, standIn is null ? null : new Parameter(standIn, standIn.requires_grad));

    /// <summary>Puts the parameter back.</summary>
    public void Restore() => _field.SetValue(_module, Parameter);

    private static FieldInfo? FieldOf(nn.Module module, Parameter parameter)
    {
        var address = TensorMemory.DataPointer(parameter);
        for (var type = module.GetType(); type is not null; type = type.BaseType)
        {
            foreach (var field in type.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly))
            {
                if (field.FieldType.IsAssignableFrom(typeof(Parameter)) && field.GetValue(module) is Parameter held
                    && TensorMemory.DataPointer(held) == address)
                {
                    return field;
                }
            }
        }

        return null;
    }
}
