using ShardSharp.Steps;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Steps;

public sealed class ResultTextTests
{
    private readonly ResultText _text = new();

    [Fact]
    public void Values_are_made_again_with_the_tensors_of_another_rank()
    {
        using var scope = NewDisposeScope();
        var (one, two) = (ones(1), ones(2));
        var value = (Scores: new Scores(one, "mean", double.NaN), Named: new Dictionary<string, List<Tensor?>> { ["a"] = [two, null, one] }, Count: 3);
        var others = new[] { zeros(1), zeros(2), zeros(3) };

        var read = _text.Read<(Scores Scores, Dictionary<string, List<Tensor?>> Named, int Count)>(_text.Write(value, [one, two, one]), others);

        Assert.Equal((3, "mean", double.NaN), (read.Count, read.Scores.Kind, read.Scores.Number));
        Assert.Same(others[0], read.Scores.Loss);
        Assert.Equal([others[1], null, others[0]], read.Named["a"]);
    }

    [Fact]
    public void What_cannot_be_made_again_is_refused_where_it_is_returned()
    {
        using var scope = NewDisposeScope();
        var one = ones(1);
        Refused(new Hiding(one));
        Refused(new Dictionary<string, object> { ["loss"] = one });
        Refused((one, new Action(() => { })));

        void Refused<T>(T value) => Assert.Contains(
            "cannot be given to the ranks of the other stages", Assert.Throws<NotSupportedException>(() => _text.Write(value, [one])).Message, StringComparison.Ordinal);
    }

    public sealed record Scores(Tensor Loss, string Kind, double Number)
    {
        /// <summary>Computed where it is asked for, and no part of the value.</summary>
        public Tensor Half => Loss / 2;
    }

    public sealed record Hiding
    {
        private readonly Tensor _loss;

        public Hiding(Tensor given) => _loss = given;

        public override string ToString() => $"{_loss.shape.Length}";
    }
}
