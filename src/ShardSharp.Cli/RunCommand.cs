using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using ShardSharp.Launching;
using ShardSharp.Topology;

namespace ShardSharp.Cli;

/// <summary><c>shardsharp run</c>: starts any program that uses ShardSharp on ranks of this machine.</summary>
internal static class RunCommand
{
    public static Command Create(CommandLine commandLine)
    {
        var ranks = new Option<int>("--ranks") { Description = $"How many ranks, 1 to {ConfigurationKeys.MaximumRanks}.", Required = true };
        ranks.Validators.Add(result => Require(result, 1, ConfigurationKeys.MaximumRanks));
        var restarts = new Option<int>("--max-restarts") { Description = "How often all ranks are started again after a failure. Default: 0." };
        restarts.Validators.Add(result => Require(result, 0, int.MaxValue));
        var program = new Argument<string[]>("program")
        {
            Description = "The program and its arguments, after --. A .dll is run by dotnet.",
            Arity = ArgumentArity.OneOrMore,
        };
        var command = new Command("run", "Starts a program on ranks of this machine: shardsharp run --ranks 2 -- ./train --epochs 3")
        {
            ranks, restarts, program,
        };
        command.SetAction(parsed => Run(commandLine, parsed.GetValue(ranks), parsed.GetValue(restarts), parsed.GetValue(program)!));
        return command;

        static void Require(OptionResult result, int least, int most)
        {
            foreach (var token in result.Tokens)
            {
                if (!int.TryParse(token.Value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value)
                    || value < least || value > most)
                {
                    result.AddError($"{result.Option.Name} = {token.Value} must be a number from {least} to {most}.");
                }
            }
        }
    }

    private static int Run(CommandLine commandLine, int ranks, int restarts, string[] program)
    {
        var launch = new LocalLaunch
        {
            Command = program[0].EndsWith(".dll", StringComparison.OrdinalIgnoreCase)
                ? new ProgramCommand("dotnet", program) : new ProgramCommand(program[0], program[1..]),
            Ranks = ranks,
            ThreadsPerRank = HostCores.ThreadsPerRank(ranks, HostCores.Available),
        };
        try
        {
            return new RestartingLauncher(launch, restarts, LaunchConsole.OfThisProcess()).Run();
        }
        catch (Exception wrong) when (wrong is InvalidOperationException or PlatformNotSupportedException)
        {
            commandLine.Error.WriteLine(wrong.Message);
            return ExitCodes.BadConfiguration;
        }
    }
}
