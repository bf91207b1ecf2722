using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace ShardSharp.Native;

/// <summary>Readies <see cref="TorchLibrary"/> before anything else of this assembly runs.</summary>
internal static class TorchModuleInitializer
{
    [ModuleInitializer]
    [SuppressMessage("Usage", "CA2255", Justification = "TorchSharp's native library has to be found whichever of the two is used first.")]
    internal static void Run() => TorchLibrary.LoadOnFirstUse();
}
