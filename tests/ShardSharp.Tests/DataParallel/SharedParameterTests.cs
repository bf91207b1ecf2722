using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Tests.DataParallel;

/// <summary>Parameters whose gradient comes from several places of one forward.</summary>
public sealed class SharedParameterTests
{
    public static TheoryData<string, int> Models { get; } = new MatrixTheoryData<string, int>(
        Names, [2, 3]);

    internal static string[] Names => [nameof(Tied), nameof(Recurrent), nameof(Twice), nameof(SharedChild), nameof(CalledByItsParent)];

    [Theory]
    [MemberData(nameof(Models))]
    public void Train_as_on_one_rank(string model, int ranks) => TrialOf(model).MustEqualPlainTraining(ranks);

    internal static nn.Module<Tensor, Tensor> Create(string model) => model switch
    {
        nameof(Tied) => new Tied(),
        nameof(Recurrent) => new Recurrent(),
        nameof(Twice) => new Twice(),
        nameof(SharedChild) => new SharedChild(),
        _ => new CalledByItsParent(),
    };

    private static Trial<nn.Module<Tensor, Tensor>> TrialOf(string model) => new(
        () => Create(model),
        step => [Randoms.Normal(step, 12, 8), Randoms.Normal(100 + step, 12, 8)],
        (module, batch) => nn.functional.mse_loss(module.call(batch[0]), batch[1]));

    /// <summary>One parameter in two modules.</summary>
    private sealed class Tied : nn.Module<Tensor, Tensor>
    {
        private readonly Linear _first = nn.Linear(8, 8);
        private readonly nn.Module<Tensor, Tensor> _middle = nn.Linear(8, 8);
        private readonly Linear _last = nn.Linear(8, 8);

        public Tied()
            : base(nameof(Tied))
        {
            _last.weight = _first.weight!;
            RegisterComponents();
        }

        public override Tensor forward(Tensor input) => _last.call(_middle.call(_first.call(input).tanh()).tanh());
    }

    /// <summary>A module called on data and then on what it returned, so that its first input needs no gradient.</summary>
    private sealed class Recurrent : nn.Module<Tensor, Tensor>
    {
        private readonly nn.Module<Tensor, Tensor> _cell = nn.Linear(8, 8);
        private readonly nn.Module<Tensor, Tensor> _head = nn.Linear(8, 8);

        public Recurrent()
            : base(nameof(Recurrent)) => RegisterComponents();

        public override Tensor forward(Tensor input) => _head.call(_cell.call(_cell.call(input).tanh()).tanh());
    }

    /// <summary>A module called twice on what others computed.</summary>
    private sealed class Twice : nn.Module<Tensor, Tensor>
    {
        private readonly nn.Module<Tensor, Tensor> _first = nn.Linear(8, 8);
        private readonly nn.Module<Tensor, Tensor> _block = nn.Linear(8, 8);
        private readonly nn.Module<Tensor, Tensor> _between = nn.Linear(8, 8);

        public Twice()
            : base(nameof(Twice)) => RegisterComponents();

        public override Tensor forward(Tensor input) => _block.call(_between.call(_block.call(_first.call(input)).tanh()));
    }

    /// <summary>A module that is a child of two others.</summary>
    private sealed class SharedChild : nn.Module<Tensor, Tensor>
    {
        private readonly nn.Module<Tensor, Tensor> _entry = nn.Linear(8, 8);
        private readonly nn.Module<Tensor, Tensor> _first;
        private readonly nn.Module<Tensor, Tensor> _second;

        public SharedChild()
            : base(nameof(SharedChild))
        {
            var shared = nn.Linear(8, 8);
            _first = nn.Sequential(("own", nn.Linear(8, 8)), ("shared", shared));
            _second = nn.Sequential(("own", nn.Linear(8, 8)), ("shared", shared));
            RegisterComponents();
        }

        public override Tensor forward(Tensor input) => _second.call(_first.call(_entry.call(input)).tanh());
    }

    /// <summary>A parameter of a child that the parent uses as well, later: a language model's tied output.</summary>
    private sealed class CalledByItsParent : nn.Module<Tensor, Tensor>
    {
        private readonly nn.Module<Tensor, Tensor> _entry = nn.Linear(8, 8);
        private readonly Linear _inner = nn.Linear(8, 8);

        public CalledByItsParent()
            : base(nameof(CalledByItsParent)) => RegisterComponents();

        public override Tensor forward(Tensor input) => nn.functional.linear(_inner.call(_entry.call(input)).tanh(), _inner.weight!);
    }
}
