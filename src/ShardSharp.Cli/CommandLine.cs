using System.CommandLine;
using ShardSharp.Launching;

namespace ShardSharp.Cli;

/// <summary>The <c>shardsharp</c> command line.</summary>
/// <param name="output">Where results go.</param>
/// <param name="error">Where messages go.</param>
/// <param name="environment">The environment variables.</param>
internal sealed class CommandLine(TextWriter output, TextWriter error, IReadOnlyDictionary<string, string> environment)
{
    public TextWriter Output => output;

    public TextWriter Error => error;

    public IReadOnlyDictionary<string, string> Environment => environment;

    /// <summary>Runs one command.</summary>
    /// <returns>0 success, 1 the work failed or problems were found, 2 bad arguments or configuration; of <c>run</c>, what the ranks gave.</returns>
    public int Run(IReadOnlyList<string> arguments)
    {
        var root = new RootCommand("Model-parallel training for .NET: starts programs, shows their configuration and checkpoints, examines this machine.")
        {
            DoctorCommand.Create(this),
            RunCommand.Create(this),
            ConfigCommand.Create(this),
            ScheduleCommand.Create(this),
            CheckpointCommand.Create(this),
        };
        var parsed = root.Parse(arguments);
        if (parsed.Errors.Count == 0)
            return parsed.Invoke(new InvocationConfiguration { Output = output, Error = error });
        foreach (var wrong in parsed.Errors)
            error.WriteLine(wrong.Message);
        var command = string.Join(' ', parsed.CommandResult.Command is RootCommand ? [] : new[] { parsed.CommandResult.Command.Name });
        error.WriteLine($"See shardsharp {command}{(command.Length > 0 ? " " : "")}--help.");
        return ExitCodes.BadConfiguration;
    }
}
