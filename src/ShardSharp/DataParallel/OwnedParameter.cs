using TorchSharp.Modules;

namespace ShardSharp.DataParallel;

/// <summary>What an optimizer updates on this rank of a parameter.</summary>
/// <param name="Name">The parameter's name in the model.</param>
/// <param name="Parameter">What the optimizer updates: the parameter, or one of its pieces.</param>
/// <param name="Shape">Shape of the parameter of the module.</param>
/// <param name="Start">The first element of that parameter, laid out flat, that belongs to the piece.</param>
internal readonly record struct OwnedParameter(string Name, Parameter Parameter, long[] Shape, long Start);
