using System.Text.Json;
using ShardSharp.Precision;

namespace ShardSharp.Tests.Precision;

/// <summary>The loss scale, step by step, against courses worked out by hand: <c>!</c> is a step that overflows, <c>.</c> one that does not.</summary>
public sealed class LossScalerTests
{
    [Theory]
    [InlineData("...", "8 8 16")]
    [InlineData("......", "8 8 16 16 16 32")]
    [InlineData("!", "4")]
    [InlineData("!!!!!", "4 2 1 1 1")]
    [InlineData("..!...", "8 8 4 4 4 8")]
    [InlineData("..!..!", "8 8 4 4 4 2")]
    [InlineData("...!", "8 8 16 8")]
    public void Falls_with_each_overflow_and_rises_after_a_window_without(string steps, string scales) =>
        Assert.Equal(scales, Course(Rules, steps));

    // The third overflow lowers the scale; rising starts the count anew.
    [Theory]
    [InlineData("!!!!", "8 8 4 2")]
    [InlineData("!.!.!.", "8 8 8 8 4 4")]
    [InlineData("!!...!!!", "8 8 8 8 16 16 16 8")]
    [InlineData("!!..!!", "8 8 8 8 4 2")]
    public void A_delayed_shift_skips_overflows_before_it_lowers_the_scale(string steps, string scales) =>
        Assert.Equal(scales, Course(Rules with { DelayedShift = 3 }, steps));

    // A step without overflow starts the count anew.
    [Theory]
    [InlineData("!!.!!.!!!", "8 8 8 8 8 8 8 8 4")]
    [InlineData("!!!!", "8 8 4 2")]
    [InlineData("!!!.!!!", "8 8 4 4 4 4 2")]
    public void Consecutive_hysteresis_counts_overflows_in_a_row(string steps, string scales) =>
        Assert.Equal(scales, Course(Rules with { DelayedShift = 3, ConsecutiveHysteresis = true }, steps));

    [Fact]
    public void The_factor_and_the_least_scale_are_as_given() =>
        Assert.Equal("10 5 5 5 10", Course(Rules with { InitialScale = 20, MinimumScale = 5 }, "!!.." + "."));

    [Fact]
    public void A_static_scale_stays() => Assert.Equal("128 128 128 128 128", Course(LossScaling.Static(128) with { ScaleWindow = 2 }, "!..!."));

    [Fact]
    public void The_defaults_are_those_of_SMP()
    {
        var scaler = new LossScaler(LossScaling.Dynamic);
        Assert.Equal(Math.Pow(2, 32), scaler.Scale);
        scaler.Update(overflow: true);
        Assert.Equal((Math.Pow(2, 31), true), (scaler.Scale, scaler.Overflow));
        for (var i = 0; i < 999; i++)
            scaler.Update(overflow: false);
        Assert.Equal((Math.Pow(2, 31), false), (scaler.Scale, scaler.Overflow));
        scaler.Update(overflow: false);
        Assert.Equal(Math.Pow(2, 32), scaler.Scale);
        for (var i = 0; i < 40; i++)
            scaler.Update(overflow: true);
        Assert.Equal(1, scaler.Scale);
    }

    [Theory]
    [InlineData("!.!.", ".!!...")]
    [InlineData("..", "....!!!!")]
    [InlineData("", "!.!")]
    public void Goes_on_from_saved_state(string before, string after)
    {
        var rules = Rules with { DelayedShift = 2 };
        var first = new LossScaler(rules);
        Run(first, before);
        var saved = JsonSerializer.Deserialize<LossScalerState>(JsonSerializer.Serialize(first.State))!;
        var second = new LossScaler(rules) { State = saved };

        Assert.Equal(Run(first, after), Run(second, after));
        Assert.Equal(first.State, second.State);
    }

    [Fact]
    public void Refuses_what_is_no_state() =>
        Assert.Throws<ArgumentException>(() => new LossScaler(Rules).State = new LossScalerState(Scale: 0, StepsWithoutOverflow: 0, OverflowsLeft: 1));

    [Fact]
    public void Refuses_rules_out_of_range_and_names_them()
    {
        foreach (var (rules, name) in new[]
        {
            (Rules with { InitialScale = double.PositiveInfinity }, nameof(LossScaling.InitialScale)),
            (Rules with { InitialScale = 0 }, nameof(LossScaling.InitialScale)),
            (Rules with { MinimumScale = 0 }, nameof(LossScaling.MinimumScale)),
            (Rules with { MinimumScale = 9 }, nameof(LossScaling.MinimumScale)),
            (Rules with { ScaleFactor = 0.5 }, nameof(LossScaling.ScaleFactor)),
            (Rules with { ScaleWindow = 0 }, nameof(LossScaling.ScaleWindow)),
            (Rules with { DelayedShift = 0 }, nameof(LossScaling.DelayedShift)),
        })
        {
            var failure = Assert.Throws<ArgumentException>(() => new LossScaler(rules));
            Assert.Contains(name, failure.Message, StringComparison.Ordinal);
        }
    }

    private static LossScaling Rules { get; } = new() { InitialScale = 8, ScaleWindow = 3 };

    private static string Course(LossScaling rules, string steps) => Run(new LossScaler(rules), steps);

    private static string Run(LossScaler scaler, string steps) => string.Join(' ', steps.Select(step =>
    {
        scaler.Update(step == '!');
        Assert.Equal(step == '!', scaler.Overflow);
        return scaler.Scale;
    }));
}
