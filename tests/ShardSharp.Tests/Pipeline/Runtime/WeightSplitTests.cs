using ShardSharp.Pipeline.Runtime;
using ShardSharp.Tests.DataParallel;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Pipeline.Runtime;

/// <summary>The divided backward gives the bits of the whole one, also for parameters that it cannot have from one call of their module.</summary>
public sealed class WeightSplitTests
{
    [Fact]
    public void Gradients_are_those_of_a_whole_backward()
    {
        using var outer = NewDisposeScope();
        using var model = Randoms.Filled(new Mixed());
        Parameter[] parameters = [.. model.parameters()];
        using var split = new WeightSplit([model], parameters);
        var (input, gradient) = (Randoms.Normal(1, 5, 6).requires_grad_(), Randoms.Normal(2, 5, 6));
        for (var microbatch = 0; microbatch < 3; microbatch++)
        {
            Clear();
            model.call(input).backward([gradient]);
            var expected = parameters.Select(parameter => parameter.grad!.clone()).Append(input.grad!.clone()).ToArray();

            Clear();
            Tensor output = null!;
            var calls = split.Watch(() => output = model.call(input));
            var saved = new SavedForward(Parcel.Empty, [input], [output], calls);
            var found = split.BackwardOfInputs(saved, new Parcel([(gradient.alias(), false)], null));
            Assert.All(parameters, parameter => Assert.Null(parameter.grad));
            split.BackwardOfParameters(saved);

            // After the first microbatch it is known that the twice called, the shared and the uncalled parameters need the other way.
            if (microbatch > 0)
                Assert.Equal(["_first", "_norm", "_last"], calls.Select(call => model.NameOf(call.Parameters[0])));
            Assert.All(expected.Zip(parameters.Select(parameter => parameter.grad!).Append(found[0]!)), pair => Assert.True(pair.First.eq(pair.Second).all().item<bool>()));
        }

        void Clear()
        {
            foreach (var parameter in parameters)
                parameter.grad = null;
            input.grad = null;
        }
    }

    /// <summary>A backward of the whole stage for the embedding alone would cost as much as the one that was divided.</summary>
    [Fact]
    public void An_embedding_is_taken_from_its_call()
    {
        using var outer = NewDisposeScope();
        using var model = nn.Sequential(nn.Embedding(32, 24), nn.Linear(24, 24), nn.Linear(24, 24 * 5));
        using var split = new WeightSplit([model], [.. model.parameters()]);
        var tokens = arange(6);

        var calls = split.Watch(() => model.call(tokens));

        Assert.Equal([32 * 24, 24 * 24], calls.Select(call => call.Parameters[0].numel()));
    }

    private sealed class Mixed : nn.Module<Tensor, Tensor>
    {
        private readonly Linear _first = nn.Linear(6, 6), _twice = nn.Linear(6, 6), _borrowed = nn.Linear(6, 6), _last = nn.Linear(6, 6);
        private readonly LayerNorm _norm = nn.LayerNorm(6);
        private readonly Parameter _own = new(ones(6));

        public Mixed()
            : base(nameof(Mixed)) => RegisterComponents();

        public string NameOf(Parameter parameter) =>
            named_children().First(child => child.module.parameters().Contains(parameter, ReferenceEqualityComparer.Instance)).name;

        public override Tensor forward(Tensor input)
        {
            var x = _norm.call(_first.call(input) * _own);
            x = _twice.call(_twice.call(x).tanh()) + x;
            x = _borrowed.call(x) + nn.functional.linear(x.tanh(), _borrowed.weight!);
            return _last.call(x);
        }
    }
}
