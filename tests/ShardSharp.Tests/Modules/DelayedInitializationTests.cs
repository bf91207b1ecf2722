using System.Runtime.InteropServices;
using ShardSharp.Modules;
using ShardSharp.Native;
using ShardSharp.Testing;
using ShardSharp.Tests.DataParallel;
using ShardSharp.Topology;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Modules;

/// <summary>A model built delayed is the ordinary one, bit for bit, and takes little memory while it is built.</summary>
[Collection(nameof(WholeProcess))]
public sealed class DelayedInitializationTests
{
    private const long Megabyte = 1 << 20;

    private static readonly ParallelConfiguration Ordinary = new() { Seed = 5, ShardedPersistenceThreshold = 1000 };
    private static readonly ParallelConfiguration Delayed = Ordinary with { DelayedParameterInitialization = true };

    public DelayedInitializationTests() => Assert.SkipUnless(
        OperatingSystem.IsLinux() && RuntimeInformation.ProcessArchitecture == Architecture.X64, "It is for Linux x64.");

    [Theory]
    [InlineData(1, 1, RankBackend.Threads, false)]
    [InlineData(3, 1, RankBackend.Threads, false)]
    [InlineData(2, 2, RankBackend.Threads, false)]
    [InlineData(4, 2, RankBackend.SharedMemory, false)]
    [InlineData(2, 2, RankBackend.SharedMemory, true)]
    public void A_model_has_the_same_state_and_trains_the_same(int ranks, int degree, RankBackend backend, bool separateHosts)
    {
        var options = new RankHarnessOptions { Backend = backend, SeparateHosts = separateHosts };
        var ordinary = new string[ranks];
        var delayed = new string[ranks];
        RankHarness.RunSessions(
            ranks, session => ordinary[session.Rank] = Train(session), Ordinary with { ShardedDataParallelDegree = degree }, options);
        RankHarness.RunSessions(
            ranks, session => delayed[session.Rank] = Train(session), Delayed with { ShardedDataParallelDegree = degree }, options);
        Assert.Equal(ordinary, delayed);
    }

    [Fact]
    public void What_is_resident_stays_bounded_and_becomes_memory_when_the_rank_holds_it()
    {
        const int Tensors = 6;
        const int Size = (int)(128 * Megabyte);
        var before = ProcessMemory.ResidentSharedBytes;
        var most = 0L;
        RankHarness.RunSessions(
            1,
            session =>
            {
                using var model = session.DistributedModel(() =>
                {
                    var parameters = Enumerable.Range(0, Tensors).Select(i =>
                    {
                        // As constructors do: made, then initialised, more than once.
                        var value = empty(Size / sizeof(float));
                        for (var turn = 0; turn <= 2; turn++)
                        {
                            value.fill_(i + turn);
                            most = Math.Max(most, ProcessMemory.ResidentSharedBytes - before);
                        }

                        return new Parameter(value, requires_grad: false);
                    });
                    return new ParameterList([.. parameters]);
                });
                Assert.True(ProcessMemory.ResidentSharedBytes - before < 16 * Megabyte);
                Assert.Equal(Enumerable.Range(0, Tensors).Select(i => i + 2f), model.Module.Select(parameter => parameter[^1].item<float>()));
            },
            Delayed);
        Assert.InRange(most, 1, DelayedConstruction.ResidentBound);
    }

    [Fact]
    public void Other_threads_are_not_affected() => RankHarness.RunSessions(
        1,
        session =>
        {
            using var model = session.DistributedModel(() =>
            {
                var inUse = TensorAllocator.BytesInUse;
                long? elsewhere = null;
                var other = new Thread(() =>
                {
                    using var tensor = zeros(64 * Megabyte, ScalarType.Byte);
                    elsewhere = TensorAllocator.BytesInUse - inUse;
                });
                other.Start();
                other.Join();
                Assert.InRange(elsewhere!.Value, 64 * Megabyte, 65 * Megabyte);
                return nn.Linear(4, 4);
            });
        },
        Delayed);

    [Fact]
    public void A_full_disk_is_an_error_that_says_so_even_if_the_model_swallows_it()
    {
        // No constructor gets past this: libtorch cannot address it, and no disk holds it.
        var failures = RankHarness.CaptureSessions(
            1,
            session => session.DistributedModel(() =>
            {
                Assert.ThrowsAny<Exception>(() => empty(1L << 44, ScalarType.Byte));
                return nn.Linear(4, 4);
            }),
            Delayed);
        Assert.Contains("found no room in folder", Assert.IsType<IOException>(Assert.Single(failures).Failure).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_constructor_that_throws_throws_the_same_and_leaves_its_tensors_usable()
    {
        Tensor? kept = null;
        var failures = RankHarness.CaptureSessions(
            1,
            session => session.DistributedModel<Linear>(() =>
            {
                kept = ones(Megabyte);
                throw new InvalidOperationException("no such activation");
            }),
            Delayed);
        Assert.Equal("no such activation", Assert.Single(failures).Failure.Message);
        Assert.Equal(Megabyte, kept!.sum().item<float>());
        kept.Dispose();
    }

    /// <summary>Trains a few steps and returns a text that any difference of a bit in the model's state changes.</summary>
    private static string Train(Session session)
    {
        using var outer = NewDisposeScope();
        using var model = session.DistributedModel(() => new ManyKinds());
        var initial = State(model);
        using var optimizer = session.DistributedOptimizer(model, parameters => optim.AdamW(parameters, 0.01));
        for (var step = 0; step < 2; step++)
        {
            using var scope = NewDisposeScope();
            optimizer.zero_grad();
            var inputs = ones(2, ManyKinds.Width) * (step + session.Rank + 1);
            model.Step(inputs, zeros(2, ManyKinds.Width), (output, target) => nn.functional.mse_loss(output, target));
            optimizer.step();
        }

        return $"{initial} {State(model)}";
    }

    private static string State(DistributedModel<ManyKinds> model)
    {
        using var _ = model.GatherParameters();
        return model.Module.State();
    }

    /// <summary>State of all kinds: initialised in several ways, shared, frozen, buffers, and tensors that no module knows of.</summary>
    private sealed class ManyKinds : nn.Module<Tensor, Tensor>
    {
        public const int Width = 200;

        private readonly Linear _first = nn.Linear(Width, Width);
        private readonly Linear _second = nn.Linear(Width, Width);
        private readonly Linear _tied = nn.Linear(Width, Width, hasBias: false);
        private readonly BatchNorm1d _norm = nn.BatchNorm1d(Width);
        private readonly Tensor _buffer = randn(Width, Width);
        private readonly Dictionary<string, Tensor[]> _unknown;

        public ManyKinds()
            : base(nameof(ManyKinds))
        {
            RegisterComponents();
            register_buffer("mask", _buffer);
            nn.init.orthogonal_(_first.weight!);
            nn.init.normal_(_second.weight!, 0, 0.02);
            using (no_grad())
                _second.weight!.div_(_second.weight.norm());
            _tied.weight = _second.weight;
            _first.bias!.requires_grad = false;
            _unknown = new() { ["table"] = [arange(Width * Width, ScalarType.Float32).reshape(Width, Width).cos().DetachFromDisposeScope()] };
        }

        public override Tensor forward(Tensor input) =>
            _tied.call(_norm.call(_second.call(_first.call(input)))).matmul(_buffer).matmul(_unknown["table"][0]);

        public string State()
        {
            using var scope = NewDisposeScope();
            return string.Join(
                ' ',
                parameters().Concat(buffers()).Concat(_unknown["table"])
                    .Select(tensor => Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(tensor.detach().contiguous().bytes))));
        }
    }
}
