using OxyPlot;
using OxyPlot.Annotations;
using OxyPlot.Axes;
using OxyPlot.Legends;
using OxyPlot.Series;

namespace TrainGpt.Reporting;

/// <summary>The loss over the steps as an SVG picture.</summary>
public static class LossPlot
{
    // SVG viewers fall back along the list; the first two have the widths that OxyPlot lays text out with.
    private const string Font = "Arial, Helvetica, sans-serif";

    // No-break spaces at the end of a legend's text: OxyPlot clips the legend to Helvetica's widths, and a viewer's font may be wider.
    private const string Room = "\u00a0\u00a0\u00a0\u00a0";

    /// <summary>Draws both losses, and the unigram entropy they have to fall below, as an SVG document.</summary>
    public static string Draw(
        string title, IReadOnlyList<(int Step, double Loss)> training, IReadOnlyList<(int Step, double Loss)> validation,
        double unigramEntropy)
    {
        var (blue, orange) = (OxyColor.FromRgb(0x1f, 0x77, 0xb4), OxyColor.FromRgb(0xd6, 0x5f, 0x0e));
        var each = new LineSeries { Color = OxyColor.FromAColor(0x50, blue), StrokeThickness = 1 };
        var smooth = new LineSeries { Title = "training" + Room, Color = blue, StrokeThickness = 2 };
        var held = new LineSeries
        {
            Title = "validation" + Room, Color = orange, StrokeThickness = 2,
            MarkerType = MarkerType.Circle, MarkerSize = 4, MarkerFill = orange,
        };
        each.Points.AddRange(training.Select(point => new DataPoint(point.Step, point.Loss)));
        smooth.Points.AddRange(Smooth(training).Select(point => new DataPoint(point.Step, point.Loss)));
        held.Points.AddRange(validation.Select(point => new DataPoint(point.Step, point.Loss)));

        var model = new PlotModel
        {
            Title = title, TitleFontSize = 16, DefaultFont = Font, Background = OxyColors.White, PlotAreaBorderColor = OxyColors.Gray,
            Padding = new OxyThickness(16, 8, 16, 16),
        };
        model.Axes.Add(Axis(AxisPosition.Bottom, "step"));
        model.Axes.Add(Axis(AxisPosition.Left, "loss, nats per token"));
        model.Annotations.Add(new LineAnnotation
        {
            Type = LineAnnotationType.Horizontal, Y = unigramEntropy, Text = $"unigram entropy {unigramEntropy:F2}",
            Color = OxyColors.Gray, LineStyle = LineStyle.Dash, TextHorizontalAlignment = HorizontalAlignment.Right,
        });
        foreach (var series in new[] { each, smooth, held }) model.Series.Add(series);
        model.Legends.Add(new Legend
        {
            LegendPosition = LegendPosition.RightTop, LegendPadding = 12, LegendLineSpacing = 6, LegendFontSize = 13,
        });
        return new SvgExporter { Width = 800, Height = 450, UseVerticalTextAlignmentWorkaround = true }.ExportToString(model);
    }

    private static LinearAxis Axis(AxisPosition position, string title) => new()
    {
        Position = position, Title = title, MajorGridlineStyle = LineStyle.Solid, MajorGridlineColor = OxyColor.FromRgb(0xea, 0xea, 0xea),
        TickStyle = TickStyle.None, AxislineStyle = LineStyle.None,
        AxisTitleDistance = 18, MinimumPadding = 0.02, MaximumPadding = 0.02,
    };

    // The mean over a fortieth of the run on either side: unlike a running average it does not lag behind.
    private static IEnumerable<(int Step, double Loss)> Smooth(IReadOnlyList<(int Step, double Loss)> points)
    {
        var reach = points.Count / 40;
        return points.Select((point, i) =>
        {
            var near = points.Skip(i - reach).Take(Math.Min(i, reach) + reach + 1);
            return (point.Step, near.Average(other => other.Loss));
        });
    }
}
