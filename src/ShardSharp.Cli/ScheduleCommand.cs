using System.CommandLine;
using ShardSharp.Launching;
using ShardSharp.Pipeline.Schedules;
using ShardSharp.Topology;

namespace ShardSharp.Cli;

/// <summary><c>shardsharp schedule</c>: shows in which order the ranks of a pipeline compute, and what that costs.</summary>
internal static class ScheduleCommand
{
    public static Command Create(CommandLine commandLine)
    {
        var stages = new Option<int>("--stages") { Description = "Ranks of the pipeline. Default: 4.", DefaultValueFactory = _ => 4 };
        var microbatches = new Option<int>("--microbatches") { Description = "Microbatches of a step. Default: 8.", DefaultValueFactory = _ => 8 };
        var kind = new Option<string>("--kind") { Description = "Which schedule. Default: interleaved.", DefaultValueFactory = _ => PipelineScheduleName.All[0].Name };
        kind.AcceptOnlyFromAmong([.. PipelineScheduleName.All.Select(named => named.Name)]);
        var chunks = new Option<int?>("--chunks") { Description = "Stages of each rank, for interleaved_1f1b. Default: 2." };
        var active = new Option<int?>("--active-microbatches") { Description = "The most microbatches in flight on a rank. Default: no limit." };
        var file = new Option<FileInfo?>("--file") { Description = "A schedule of your own to check and show: a line per rank, such as 0F0,0F1,0B0,0B1." };
        var csv = new Option<bool>("--csv") { Description = "Prints the actions alone, as --file reads them." };
        var svg = new Option<FileInfo?>("--svg") { Description = "Writes a drawing to this file." };
        var command = new Command("schedule", "Shows a pipeline's schedule as a timeline, with makespan, bubble and peak activations in units of one stage's forward.")
        {
            stages, microbatches, kind, chunks, active, file, csv, svg,
        };
        command.SetAction(parsed =>
        {
            try
            {
                var schedule = parsed.GetValue(file) is { } own
                    ? ScheduleCsv.Parse(own.Name, File.ReadAllText(own.FullName))
                    : PipelineSchedules.Create(
                        PipelineScheduleName.All.First(named => named.Name == parsed.GetValue(kind)).Kind, parsed.GetValue(stages),
                        parsed.GetValue(microbatches), parsed.GetValue(chunks), parsed.GetValue(active));
                Show(commandLine.Output, schedule, parsed.GetValue(csv), parsed.GetValue(svg));
                return ExitCodes.Success;
            }
            catch (Exception wrong) when (wrong is ArgumentException or FormatException or IOException or UnauthorizedAccessException)
            {
                commandLine.Error.WriteLine(wrong.Message);
                return ExitCodes.BadConfiguration;
            }
        });
        return command;
    }

    private static void Show(TextWriter output, PipelineSchedule schedule, bool csv, FileInfo? svg)
    {
        var simulation = ScheduleSimulation.Run(schedule);
        if (svg is not null)
            File.WriteAllText(svg.FullName, ScheduleTimeline.ToSvg(simulation));
        if (csv)
        {
            output.Write(schedule.ToString());
            return;
        }

        output.WriteLine(ScheduleTimeline.Title(simulation));
        output.Write(ScheduleTimeline.ToText(simulation));
    }
}
