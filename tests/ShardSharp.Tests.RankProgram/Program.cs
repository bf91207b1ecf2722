using System.Globalization;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using ShardSharp.Launching;
using ShardSharp.Tests;
using ShardSharp.Tests.Stress;
using ShardSharp.Topology;

if (args is ["session", "victim", ..])
    return VictimScenario.Run(args);
if (args is ["session", ..])
    return SessionScenarios.Run(args);
if (args is ["mpi-victim", ..])
    return VictimScenario.RunUnderMpi(args);
if (args is ["mpi", ..])
    return MpiScenarios.Run(args);
if (args is ["nccl", ..])
    return NcclScenarios.Run(args);
if (args is ["stress", ..])
    return StressProgram.Run(args);

// Without a rank in its environment the program launches itself on two ranks, as ModelParallel.Launch does; as a rank it plays a scenario.
if (Environment.GetEnvironmentVariable(RankVariables.Rank) is not { } rankText)
{
    var launch = new LocalLaunch { Command = ProgramCommand.OfThisProcess(), Ranks = 2, ThreadsPerRank = 1 };
    return new LocalProcessLauncher(launch, LaunchConsole.OfThisProcess()).Run().ExitCode;
}

var rank = int.Parse(rankText, CultureInfo.InvariantCulture);
using var binding = LauncherBinding.FromEnvironment();
switch (args[0])
{
    case "arguments":
        Console.Write(string.Join('|', args));
        return ExitCodes.Success;

    case "long-lines":
        string line = new((char)('a' + rank), 20_000);
        for (var i = 0; i < 200; i++)
            (i % 2 == 0 ? Console.Out : Console.Error).WriteLine(line);
        return ExitCodes.Success;

    case "throw":
        throw new InvalidOperationException("the work went wrong");

    // Tells its process id through the socket, then waits until it is ended: by SIGTERM, or only by SIGKILL.
    case "wait" or "wait-stubbornly":
        using (PosixSignalRegistration.Create(PosixSignal.SIGTERM, Terminated))
        using (var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            socket.Connect(new UnixDomainSocketEndPoint(args[1]));
            socket.Send(BitConverter.GetBytes(Environment.ProcessId));
            socket.Receive(new byte[1]);
            return ExitCodes.WorkFailed;
        }

    default:
        return ExitCodes.BadConfiguration;
}

void Terminated(PosixSignalContext context)
{
    Console.WriteLine("told to end");
    context.Cancel = args[0] == "wait-stubbornly";
}
