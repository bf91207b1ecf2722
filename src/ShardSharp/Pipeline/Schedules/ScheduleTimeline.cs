using System.Globalization;
using System.Text;

namespace ShardSharp.Pipeline.Schedules;

/// <summary>Draws simulated schedules.</summary>
public static class ScheduleTimeline
{
    private const int Row = 28;
    private const int Left = 64;
    private const int Unit = 36;
    private const int WidestDrawing = 4000;

    // Colour-blind safe (Okabe and Ito): sky blue, orange, bluish green, yellow.
    private static readonly string[] Colours = ["#56b4e9", "#e69f00", "#e69f00", "#009e73"];

    /// <summary>A line per rank in columns of one unit of time; an action that takes longer is followed by dashes.</summary>
    /// <param name="simulation">What to draw; its times are rounded to columns.</param>
    public static string ToText(ScheduleSimulation simulation)
    {
        ArgumentNullException.ThrowIfNull(simulation);
        var width = 1 + simulation.Ranks.Max(rank => rank.Count == 0 ? 0 : rank.Max(timed => timed.Action.ToString().Length));
        var text = new StringBuilder();
        foreach (var (rank, actions) in simulation.Ranks.Index())
        {
            text.Append(CultureInfo.InvariantCulture, $"rank {rank,-3}");
            var column = 0;
            foreach (var (action, start, end) in actions)
            {
                for (; column < Column(start); column++)
                    text.Append('.'.ToString().PadRight(width));
                text.Append(action.ToString().PadRight(width));
                for (column++; column < Column(end); column++)
                    text.Append(new string('-', width - 1)).Append(' ');
            }

            while (text[^1] == ' ')
                text.Length--;
            text.Append('\n');
        }

        return text.ToString();
    }

    /// <summary>A drawing in Scalable Vector Graphics, to look at in a browser: a row per rank, time to the right.</summary>
    /// <param name="simulation">What to draw.</param>
    public static string ToSvg(ScheduleSimulation simulation)
    {
        ArgumentNullException.ThrowIfNull(simulation);
        var shortest = simulation.Ranks.SelectMany(rank => rank).Min(timed => timed.End - timed.Start);
        var scale = Math.Min(shortest > 0 ? Unit / shortest : Unit, WidestDrawing / simulation.Makespan);
        var (width, height) = (Left + (simulation.Makespan * scale) + 8, (Row * simulation.Ranks.Count) + 44);
        var svg = new StringBuilder();
        svg.Append(CultureInfo.InvariantCulture, $"""
            <svg xmlns="http://www.w3.org/2000/svg" width="{width:0}" height="{height}" font-family="sans-serif" font-size="12">
            <rect width="100%" height="100%" fill="white"/>
            <text x="8" y="18">{Title(simulation)}</text>

            """);
        foreach (var (rank, actions) in simulation.Ranks.Index())
        {
            var y = 32 + (rank * Row);
            svg.Append(CultureInfo.InvariantCulture, $"<text x=\"8\" y=\"{y + 17}\">rank {rank}</text>\n");
            foreach (var (action, start, end) in actions)
                Draw(svg, action, action.Stage == actions[0].Action.Stage, Left + (start * scale), y, (end - start) * scale);
        }

        return svg.Append("</svg>\n").ToString();
    }

    /// <summary>Name, makespan, bubble and peak activations in one line.</summary>
    /// <param name="simulation">What to describe.</param>
    public static string Title(ScheduleSimulation simulation)
    {
        ArgumentNullException.ThrowIfNull(simulation);
        var schedule = simulation.Schedule;
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{schedule.Name}: {schedule.Placement.Ranks} ranks, {schedule.Placement.Stages} stages, {schedule.Microbatches} microbatches; makespan "
            + $"{simulation.Makespan:0.##}, bubble {simulation.Bubble:P1}, peak activations {string.Join(" ", simulation.PeakActivations)}");
    }

    private static void Draw(StringBuilder svg, PipelineAction action, bool isFirstStage, double x, int y, double width)
    {
        // A rank's first stage is darker than its others.
        var shade = isFirstStage ? 1 : 0.6;
        svg.Append(CultureInfo.InvariantCulture, $"""
            <g><title>{action}</title><rect x="{x:0.##}" y="{y}" width="{width:0.##}" height="{Row - 4}" fill="{Colours[(int)action.Kind]}" fill-opacity="{shade}" stroke="white"/>
            """);
        if (width >= Unit / 2)
            svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{x + (width / 2):0.##}\" y=\"{y + 16}\" text-anchor=\"middle\">{action}</text>");
        svg.Append("</g>\n");
    }

    private static int Column(double time) => (int)Math.Round(time);
}
