using CsCheck;
using ShardSharp.Activations;

namespace ShardSharp.Tests.Activations;

/// <summary>The plan within a budget is the best there is.</summary>
public sealed class ActivationPlannerTests
{
    private static readonly Gen<LayerCost[]> Layers = Gen.Select(Gen.Int[0, 40], Gen.Int[1, 8], Gen.Int[0, 9], Gen.Int[-10, 20], Gen.Int[0, 5])
        .Select(drawn => new LayerCost($"layer {drawn}", drawn.Item1 + drawn.Item2, drawn.Item2, TimeSpan.FromMilliseconds(drawn.Item3))
        {
            Products = drawn.Item4 < 0 ? null : (drawn.Item4, TimeSpan.FromMilliseconds(drawn.Item5)),
        })
        .Array[0, 7];

    [Fact]
    public void No_choice_within_the_budget_computes_less_again() => Gen.Select(Layers, Gen.Int[0, 200]).Sample((layers, budget) =>
    {
        var best = Choices(layers).Where(choice => ActivationPlan.PeakOf(layers, choice) <= budget)
            .Select(choice => (TimeSpan?)new ActivationPlan(layers, choice, budget).PredictedTime).DefaultIfEmpty(null).Min();
        if (best is null)
        {
            Assert.Throws<InvalidOperationException>(() => ActivationPlanner.Best(layers, budget));
            return;
        }

        var plan = ActivationPlanner.Best(layers, budget);
        Assert.Equal(best, plan.PredictedTime);
        Assert.InRange(plan.PredictedBytes, 0, budget);
    });

    [Fact]
    public void Is_never_slower_than_a_uniform_strategy_within_the_budget()
    {
        LayerCost[] layers = [.. Enumerable.Range(0, 16).Select(i => new LayerCost($"{i}", 17, 1, TimeSpan.FromMilliseconds(10)))];
        LayerChoice[] every2nd = [.. Enumerable.Range(0, 16).Select(i => i % 2 == 0 ? LayerChoice.Recompute : LayerChoice.Keep)];
        var budget = ActivationPlan.PeakOf(layers, every2nd);
        Assert.True(ActivationPlanner.Best(layers, budget).PredictedTime <= new ActivationPlan(layers, every2nd, budget).PredictedTime);
    }

    [Fact]
    public void Too_small_a_budget_is_an_error_that_says_what_would_do()
    {
        LayerCost[] layers = [.. Enumerable.Range(0, 4).Select(i => new LayerCost($"{i}", 20 << 20, 1 << 20, TimeSpan.FromMilliseconds(10)))];
        var error = Assert.Throws<InvalidOperationException>(() => ActivationPlanner.Best(layers, 22 << 20));
        Assert.Contains("23 MiB", error.Message, StringComparison.Ordinal);
        Assert.Equal(23 << 20, ActivationPlanner.Best(layers, 23 << 20).PredictedBytes);
    }

    private static IEnumerable<LayerChoice[]> Choices(LayerCost[] layers) => layers.Aggregate(
        (IEnumerable<LayerChoice[]>)[[]], (beginnings, layer) => beginnings.SelectMany(beginning => layer.Choices.Select(choice => (LayerChoice[])[.. beginning, choice])));
}
