using System.CommandLine;
using ShardSharp.Launching;
using ShardSharp.Topology;

namespace ShardSharp.Cli;

/// <summary><c>shardsharp config</c>: the configuration that a program would get, and where each value comes from.</summary>
internal static class ConfigCommand
{
    public static Command Create(CommandLine commandLine)
    {
        var file = new Argument<string?>("file") { Description = "A JSON configuration file.", Arity = ArgumentArity.ZeroOrOne };
        var settings = new Option<string[]>("--set") { Description = "Sets a key: key=value. May be given several times.", DefaultValueFactory = _ => [] };
        var json = new Option<bool>("--json") { Description = "Prints a configuration file with every key." };
        var command = new Command("config", "Prints the configuration in force with the source of each value, or everything that is wrong with it.")
        {
            file, settings, json,
        };
        command.SetAction(parsed => Run(commandLine, parsed.GetValue(file), parsed.GetValue(settings)!, parsed.GetValue(json)));
        return command;
    }

    private static int Run(CommandLine commandLine, string? file, string[] settings, bool json)
    {
        string[] arguments = [.. file is null ? [] : new[] { "--config", file }, .. settings.SelectMany(setting => new[] { "--set", setting })];
        try
        {
            var loaded = ParallelConfiguration.Load(arguments, commandLine.Environment);
            commandLine.Output.WriteLine(json ? loaded.Configuration.ToJson().TrimEnd() : loaded.Describe());
            return ExitCodes.Success;
        }
        catch (ConfigurationException wrong)
        {
            commandLine.Error.WriteLine(wrong.Message);
            return ExitCodes.BadConfiguration;
        }
    }
}
