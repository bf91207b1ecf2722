using ShardSharp.Communication;
using ShardSharp.Pipeline.Partitioning;
using ShardSharp.Topology;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace ShardSharp.Tests.Pipeline.Partitioning;

public sealed class ManualPartitionTests
{
    [Fact]
    public void A_stage_holds_for_what_is_below_unless_that_has_its_own()
    {
        using var model = Model();
        var body = Child(model, 1);

        Assert.Equal([0, 1, 1, 2, 2], Stages(model, 3, new() { [model] = 0, [body] = 1, [Child(body, 2)] = 2, [Child(model, 2)] = 2 }));
    }

    [Fact]
    public void Patterns_go_before_the_program_and_what_has_no_parameters_stays_where_it_is()
    {
        using var model = Model();

        Assert.Equal([0, 1, 1, 1, 1], Stages(model, 2, new() { [Child(model, 2)] = 0 }, "body.*=1, tail=1"));
        Assert.Equal([0, 0, 0, 1, 1], Stages(model, 2, [], "body.c=1, body=0, tail=1"));
        Assert.Equal([0, 0, 0, 0, 1], Stages(model, 2, [], "t???=1"));
    }

    [Theory]
    [InlineData("body=1", 2, "'tail' is put on stage 0 (default_partition is 0), but it runs after 'body.c', which is put on stage 1 (by the pattern 'body=1')")]
    [InlineData("head=0", 2, "Nothing is put on stage 1 of 2")]
    [InlineData("tail=2", 2, "'tail' is put on stage 2")]
    [InlineData("nose=1", 2, "The pattern 'nose' of partition_patterns fits no part")]
    public void What_cannot_be_is_refused_with_names(string patterns, int stages, string why)
    {
        using var model = Model();

        var refusal = Assert.Throws<ArgumentException>(() => Stages(model, stages, [], patterns)).Message;

        Assert.Contains(why.Replace("'body=1'", "'body'", StringComparison.Ordinal), refusal, StringComparison.Ordinal);
    }

    [Fact]
    public void Modules_of_a_part_that_cannot_be_cut_must_agree()
    {
        using var model = new Tracing.MaskedModel();
        var layer = model.named_modules().First(named => named.name == "_layers.1").module;

        var refusal = Assert.Throws<ArgumentException>(
            () => Stages(model, 2, new() { [layer] = 1, [layer.children().First()] = 0 }, microbatch: [randint(11, [2, 5], ScalarType.Int64), rand(2, 5)]));

        Assert.Contains("'_layers.1' cannot be cut, but modules in it are put on stages 1 (MaskedLayer) and 0 (Linear)", refusal.Message, StringComparison.Ordinal);
    }

    private static TorchSharp.Modules.Sequential Model() => Sequential(
        ("head", Linear(4, 4)), ("body", Sequential(("a", Linear(4, 4)), ("b", ReLU()), ("c", Linear(4, 4)))), ("tail", Linear(4, 4)));

    private static Module Child(Module module, int index) => module.children().ElementAt(index);

    private static IEnumerable<int> Stages(
        Module model, int stages, Dictionary<Module, int> assigned, string? patterns = null, IReadOnlyList<Tensor>? microbatch = null)
    {
        var manual = new ManualPartition(assigned, patterns is null ? PartitionPatterns.None : PartitionPatterns.TryParse(patterns)!, 0);
        var request = new PartitionRequest { Stages = stages, SkipTracing = microbatch is null, Manual = manual };
        var cut = ModelPartitioner.Cut(model, microbatch ?? [], request, new SoloProcessGroup("test", 0), new Lock());
        return Enumerable.Range(0, cut.Chain.Parts.Count).Select(cut.Partition.StageOf);
    }
}
