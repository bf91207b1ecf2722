using System.Runtime.CompilerServices;
using ShardSharp.Communication;
using ShardSharp.Launching;
using ShardSharp.Topology;
using CallSite = ShardSharp.Communication.CallSite;

namespace ShardSharp;

/// <summary>The way into ShardSharp for a training program.</summary>
public static class ModelParallel
{
    /// <summary>Runs a program on all ranks: starts them, or takes part as the rank that mpirun, srun, torchrun or SageMaker started.</summary>
    /// <param name="arguments">The arguments of <c>Main</c>. <c>--ranks</c>, <c>--backend</c>, <c>--config</c> and <c>--set key=value</c> are
    /// understood here; the rest is the program's own, in <see cref="Session.Arguments"/>.</param>
    /// <param name="program">What every rank does.</param>
    /// <param name="defaults">What holds unless configuration file, environment or command line say otherwise.</param>
    /// <param name="file">Filled in by the compiler, for error reports.</param>
    /// <param name="line">Filled in by the compiler, for error reports.</param>
    /// <returns>The exit code for <c>Main</c> to return: 0 success; 1 the program failed; 2 the configuration is wrong; that of the first
    /// rank process to fail; 128 + n after signal n.</returns>
    /// <remarks>
    /// <para>With one rank, or <c>backend = threads</c>, the program runs in this process, where a debugger sees all ranks. Otherwise this
    /// process starts the same program once for every rank, with the same arguments, and supervises the ranks: code before the call runs in
    /// all of them. Output lines carry the rank. Ctrl-C stops everything; a rank that fails ends the others.</para>
    /// </remarks>
    public static int Launch(string[] arguments, Action<Session> program, ParallelConfiguration? defaults = null, [CallerFilePath] string file = "",
        [CallerLineNumber] int line = 0)
    {
        ArgumentNullException.ThrowIfNull(arguments);
        ArgumentNullException.ThrowIfNull(program);
        try
        {
            return new SessionLauncher(arguments, program, defaults, new CallSite(file, line)).Run();
        }
        catch (Exception wrong) when (wrong is ConfigurationException or ClusterEnvironmentException or PlatformNotSupportedException)
        {
            Console.Error.WriteLine(wrong.Message);
            return ExitCodes.BadConfiguration;
        }
        catch (Exception failure) when (failure is CommunicationException or DllNotFoundException)
        {
            Console.Error.WriteLine(failure.Message);
            return ExitCodes.WorkFailed;
        }
    }
}
