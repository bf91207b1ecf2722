using ShardSharp.Activations;
using ShardSharp.Modules;
using ShardSharp.Testing;
using ShardSharp.Tests.DataParallel;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Activations;

/// <summary>Computing again with the results of linear layers kept gives the gradients that keeping everything gives, whatever lies between them.</summary>
public sealed class SelectiveCheckpointTests
{
    private const int Width = 6;

    private static readonly Dictionary<string, Func<Linear, Linear, Tensor, Tensor>> Bodies = new()
    {
        ["a residual stream"] = (up, down, x) => x + down.call(up.call(x).tanh()),
        ["a norm of the result"] = (up, down, x) => nn.functional.normalize(x + down.call(up.call(x).tanh())),
        ["a comparison of the result"] = (up, down, x) => x + down.call(up.call(x).tanh()).relu(),
        ["a result that counts twice"] = (up, down, x) => { var y = down.call(up.call(x)); return y * y.detach(); },
        ["a layer called twice"] = (up, down, x) => down.call(up.call(down.call(up.call(x).sin())).cos()),
        ["inputs that lie transposed"] = (up, down, x) => x + down.call(up.call(x.reshape(-1, Width).t().contiguous().t()).tanh()).reshape(x.shape),
        ["inputs with gaps"] = (up, down, x) => down.call(up.call(x.transpose(0, 1)).sigmoid()).transpose(0, 1),
        ["inputs with gaps and a frozen weight"] = (up, down, x) =>
        {
            up.weight!.requires_grad = false;
            return down.call(up.call(x.transpose(0, 1)).sigmoid()).transpose(0, 1);
        },
        ["inputs of four dimensions"] = (up, down, x) => down.call(up.call(x.unsqueeze(1)).sigmoid()).transpose(0, 2).squeeze(1).transpose(0, 1),
        ["inputs of one dimension"] = (up, down, x) => x + down.call(up.call(x[0, 0]).tanh()),
        ["no input that needs a gradient"] = (up, down, x) => down.call(up.call(x.detach()).tanh()),
        ["random numbers"] = (up, down, x) => x + nn.functional.dropout(down.call(nn.functional.dropout(up.call(x), 0.5)), 0.5),
        ["another type"] = (up, down, x) => (x + down.call(up.call(x).to_type(ScalarType.BFloat16).tanh().to_type(ScalarType.Float32))).to_type(ScalarType.BFloat16),
    };

    public static TheoryData<string, bool> Cases { get; } = new MatrixTheoryData<string, bool>(Bodies.Keys, [false, true]);

    [Theory]
    [MemberData(nameof(Cases))]
    public void Gradients_are_the_same(string body, bool hasBias)
    {
        var plain = Gradients(() => new Block(Bodies[body], hasBias), _ => { });
        Assert.NotEmpty(plain);
        foreach (var strategy in new[] { CheckpointStrategy.Selective, CheckpointStrategy.Keeping("_block._up"), CheckpointStrategy.Each })
            Assert.Equal(plain, Gradients(() => new Block(Bodies[body], hasBias), model => model.SetActivationCheckpointing("_block", strategy)));
    }

    [Fact]
    public void Of_modules_in_a_module_of_the_same_kind() => Assert.Equal(
        Gradients(() => new Block(Bodies["a residual stream"], true), _ => { }),
        Gradients(
            () => new Block(Bodies["a residual stream"], true),
            model =>
            {
                model.SetActivationCheckpointing("_block._up", CheckpointStrategy.Selective);
                model.SetActivationCheckpointing("_block", CheckpointStrategy.Selective);
                model.SetActivationCheckpointing(model.Module, CheckpointStrategy.Selective);
            }));

    [Fact]
    public void Frozen_layers_have_no_gradients() => Assert.Equal(
        Gradients(Frozen, _ => { }), Gradients(Frozen, model => model.SetActivationCheckpointing("_block", CheckpointStrategy.Selective)));

    /// <summary>What a hook makes of a result cannot be told from it, so the layer computes again.</summary>
    [Fact]
    public void A_hook_of_the_program_on_a_linear_layer_takes_part() => Assert.Equal(
        Gradients(Hooked, _ => { }), Gradients(Hooked, model => model.SetActivationCheckpointing("_block", CheckpointStrategy.Selective)));

    /// <summary>A layer whose result is kept, or not needed, multiplies no rows when the module computes again.</summary>
    [Fact]
    public void Only_what_is_needed_and_not_kept_is_multiplied_again()
    {
        Assert.Equal([8, 8, 0, 0], Rows("a norm of the result", CheckpointStrategy.Selective));
        Assert.Equal([8, 8, 0, 8], Rows("a norm of the result", CheckpointStrategy.Keeping("_block._up")));
        Assert.Equal([8, 8, 8, 8], Rows("a norm of the result", CheckpointStrategy.Each));
        Assert.Equal([8, 8, 8, 0], Rows("a residual stream", CheckpointStrategy.Each));

        static List<long> Rows(string body, CheckpointStrategy strategy)
        {
            List<long> rows = [];
            RankHarness.RunSessions(1, session =>
            {
                using var scope = NewDisposeScope();
                using var model = session.DistributedModel(() => Randoms.Filled(new Outer(new Block(Bodies[body], true))));
                model.SetActivationCheckpointing("_block", strategy);
                using var ups = Watch(model.Module.Block.Up);
                using var downs = Watch(model.Module.Block.Down);
                Step(model, 0);

                // The first step found out which results are not needed.
                rows.Clear();
                Step(model, 1);
            });
            return rows;

            ModuleHooks Watch(Linear linear) => new(
                linear,
                given =>
                {
                    rows.Add(((Tensor)given[0]!).numel() / ((Tensor)given[0]!).shape[^1]);
                    return given;
                },
                static returned => returned);
        }
    }

    [Theory]
    [InlineData("_block._norm", "'_block._norm' is no nn.Linear")]
    [InlineData("_block.up", "No module is called")]
    public void Other_layers_are_not_kept(string names, string message)
    {
        var error = Assert.Throws<ArgumentException>(() => Gradients(
            () => new Block(Bodies["a residual stream"], true), model => model.SetActivationCheckpointing("_block", CheckpointStrategy.Keeping(names))));
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Says_who_changes_a_kept_result()
    {
        var error = Assert.Throws<NotSupportedException>(() => Gradients(
            () => new Block((up, down, x) => down.call(up.call(x).relu_()), true),
            model => model.SetActivationCheckpointing("_block", CheckpointStrategy.Selective)));
        Assert.Contains("changes in place what an nn.Linear", error.Message, StringComparison.Ordinal);
    }

    private static Outer Frozen()
    {
        var module = new Outer(new Block(Bodies["a residual stream"], true));
        module.Block.Up.weight!.requires_grad = false;
        module.Block.Down.bias!.requires_grad = false;
        return module;
    }

    private static Outer Hooked()
    {
        var module = new Outer(new Block(Bodies["a residual stream"], true));
        module.Block.Up.register_forward_hook((_, input, output) => output + input.sum().tanh());
        return module;
    }

    private static List<float[]> Gradients(Func<Block> create, Action<DistributedModel<Outer>> checkpoint) => Gradients(() => new Outer(create()), checkpoint);

    /// <summary>Those of two steps, and of the input.</summary>
    private static List<float[]> Gradients(Func<Outer> create, Action<DistributedModel<Outer>> checkpoint)
    {
        List<float[]> gradients = [];
        RankHarness.RunSessions(1, session =>
        {
            using var scope = NewDisposeScope();
            using var model = session.DistributedModel(() => Randoms.Filled(create()));
            checkpoint(model);
            for (var step = 0; step < 2; step++)
            {
                var input = Step(model, step);
                gradients.AddRange(model.Parameters.Append(input).Select(tensor => tensor.grad is { } gradient ? gradient.data<float>().ToArray() : []));
            }
        });
        return gradients;
    }

    private static Tensor Step(DistributedModel<Outer> model, int step)
    {
        model.ZeroGradients();
        random.manual_seed(step);
        var input = Randoms.Normal(step, 2, 4, Width).requires_grad_();
        using var loss = model.Step(input, zeros(1), (output, _) => output.to_type(ScalarType.Float32).pow(2).mean());
        return input;
    }

    private sealed class Block : nn.Module<Tensor, Tensor>
    {
        private readonly nn.Module<Tensor, Tensor> _norm = nn.LayerNorm(Width);
        private readonly Linear _up;
        private readonly Linear _down;
        private readonly Func<Linear, Linear, Tensor, Tensor> _body;

        public Block(Func<Linear, Linear, Tensor, Tensor> body, bool hasBias)
            : base(nameof(Block))
        {
            (_body, _up, _down) = (body, nn.Linear(Width, 2 * Width, hasBias), nn.Linear(2 * Width, Width, hasBias));
            RegisterComponents();
        }

        public Linear Up => _up;

        public Linear Down => _down;

        public override Tensor forward(Tensor input) => _body(_up, _down, _norm.call(input));
    }

    private sealed class Outer : nn.Module<Tensor, Tensor>
    {
        private readonly Linear _first = nn.Linear(Width, Width);
        private readonly Block _block;

        public Outer(Block block)
            : base(nameof(Outer))
        {
            _block = block;
            RegisterComponents();
        }

        public Block Block => _block;

        public override Tensor forward(Tensor input) => _block.call(_first.call(input).sin());
    }
}
