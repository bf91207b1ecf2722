using System.Xml.Linq;
using ShardSharp.Pipeline.Schedules;
using ShardSharp.Topology;

namespace ShardSharp.Tests.Pipeline.Schedules;

public sealed class ScheduleTimelineTests
{
    [Fact]
    public void A_drawing_has_every_action_within_its_borders()
    {
        foreach (var kind in Enum.GetValues<PipelineScheduleKind>())
        {
            var simulation = ScheduleSimulation.Run(PipelineSchedules.Create(kind, 4, 8));

            var svg = XDocument.Parse(ScheduleTimeline.ToSvg(simulation)).Root!;

            var boxes = svg.Descendants().Where(element => element.Name.LocalName == "g").ToArray();
            Assert.Equal(
                simulation.Schedule.Actions.SelectMany(rank => rank).Select(action => action.ToString()),
                boxes.Select(box => box.Elements().First().Value));
            foreach (var rectangle in boxes.Select(box => box.Elements().ElementAt(1)))
            {
                Assert.True((double)rectangle.Attribute("x")! + (double)rectangle.Attribute("width")! <= (double)svg.Attribute("width")!);
                Assert.True((double)rectangle.Attribute("y")! + (double)rectangle.Attribute("height")! <= (double)svg.Attribute("height")!);
            }
        }
    }

    [Fact]
    public void A_long_step_is_drawn_to_scale()
    {
        var simulation = ScheduleSimulation.Run(PipelineSchedules.Create(PipelineScheduleKind.Interleaved, 8, 512));

        Assert.True((double)XDocument.Parse(ScheduleTimeline.ToSvg(simulation)).Root!.Attribute("width")! < 4200);
    }
}
