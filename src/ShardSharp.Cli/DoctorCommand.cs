using System.CommandLine;
using System.Text.Json;
using ShardSharp.Cli.Doctor;
using ShardSharp.Launching;
using Spectre.Console;

namespace ShardSharp.Cli;

/// <summary><c>shardsharp doctor</c>: what a run on this machine would find, and what to do about what is wrong.</summary>
internal static class DoctorCommand
{
    /// <summary>Columns of a file or pipe: lines are for programs such as grep there.</summary>
    private const int Unwrapped = 10_000;

    private static readonly JsonSerializerOptions Json = new()
    {
        WriteIndented = true,
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        Converters = { new System.Text.Json.Serialization.JsonStringEnumConverter(JsonNamingPolicy.SnakeCaseLower) },
    };

    public static Command Create(CommandLine commandLine)
    {
        var application = new Option<string>("--application")
        {
            Description = "Folder of a built program, or of its project, whose libtorch to examine. Default: the current folder.",
            DefaultValueFactory = _ => ".",
        };
        var json = new Option<bool>("--json") { Description = "Prints one JSON object instead of lines for people." };
        var command = new Command("doctor", "Examines this machine: libtorch, MPI, GPUs, cores, memory, launcher and configuration.")
        {
            application, json,
        };
        command.SetAction(parsed => Run(
            commandLine, new DoctorHost(commandLine.Environment), parsed.GetValue(application)!, parsed.GetValue(json)));
        return command;
    }

    /// <summary>Examines a host and prints what was found.</summary>
    internal static int Run(CommandLine commandLine, DoctorHost host, string application, bool json)
    {
        if (!Directory.Exists(application))
        {
            commandLine.Error.WriteLine($"--application {application} is not a folder.");
            return ExitCodes.BadConfiguration;
        }

        Finding[] findings =
        [
            .. TorchCheck.Run(application), .. LibraryChecks.Run(host), .. CoreCheck.Run(host), .. MemoryCheck.Run(host),
            .. EnvironmentCheck.Run(host),
        ];
        var problems = findings.Count(finding => finding.State == FindingState.Problem);
        if (json)
            commandLine.Output.WriteLine(JsonSerializer.Serialize(new { Problems = problems, Findings = findings }, Json));
        else
            Print(commandLine.Output, findings, problems);
        return problems == 0 ? ExitCodes.Success : ExitCodes.WorkFailed;
    }

    private static void Print(TextWriter output, Finding[] findings, int problems)
    {
        var isTerminal = ReferenceEquals(output, Console.Out) && !Console.IsOutputRedirected;
        var console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Out = new AnsiConsoleOutput(output),
            Ansi = isTerminal ? AnsiSupport.Detect : AnsiSupport.No,
        });
        if (!isTerminal)
            console.Profile.Width = Unwrapped;
        var width = findings.Max(finding => finding.Topic.Length);
        foreach (var finding in findings)
        {
            var (name, colour) = finding.State switch
            {
                FindingState.Ok => ("ok     ", "green"),
                FindingState.Warning => ("warning", "yellow"),
                _ => ("problem", "red"),
            };
            console.MarkupLine($"[{colour}]{name}[/]  [bold]{Markup.Escape(finding.Topic.PadRight(width))}[/]  {Markup.Escape(finding.What)}");
            if (finding.Advice is not null)
                console.MarkupLine($"{new string(' ', width + 11)}[italic]{Markup.Escape(finding.Advice)}[/]");
        }

        console.MarkupLine(problems == 0 ? "[green]No problems.[/]" : $"[red]{problems} problem{(problems == 1 ? "" : "s")}.[/]");
    }
}
