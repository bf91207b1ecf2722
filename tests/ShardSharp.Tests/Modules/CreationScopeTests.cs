using ShardSharp.Modules;
using ShardSharp.Native;
using ShardSharp.Tests.DataParallel;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace ShardSharp.Tests.Modules;

/// <summary>A scope replaces the allocator of the process while it lasts.</summary>
[Collection(nameof(WholeProcess))]
public sealed class CreationScopeTests
{
    private readonly object _owner = new();

    public CreationScopeTests() => Assert.SkipUnless(TensorAllocator.Install(), "It is for Linux x64.");

    [Fact]
    public void What_is_created_inside_is_known_by_its_parameters_and_the_innermost_scope_counts()
    {
        using var model = new Model(_owner);

        var created = CreationScope.Created(model, _owner).Select(pair => (Name(model, pair.Module), pair.Number));

        Assert.Equal([("Inside", 1), ("Outer.first", 2), ("Outer.inner", 3), ("Outer.last", 2)], created.OrderBy(pair => pair.Item1, StringComparer.Ordinal));
        Assert.Empty(CreationScope.Created(model, new object()));
        Assert.Equal([(model.Inside, 1)], CreationScope.Created(model.Inside, _owner));
    }

    [Fact]
    public void Memory_of_a_scope_is_forgotten_when_it_is_freed_on_any_thread()
    {
        Tensor small, large;
        using (new CreationScope(_owner, 4))
            (small, large) = (rand(3), rand(100_000));
        Assert.Equal((4, 4), (CreationScope.NumberOf(small, _owner), CreationScope.NumberOf(large, _owner)));
        Assert.Equal(0, ((nint)TensorMemory.DataPointer(small)) % 64);
        var address = TensorMemory.DataPointer(small);
        var other = new Thread(() =>
        {
            small.Dispose();
            large.Dispose();
        });
        other.Start();
        other.Join();

        using var again = TensorMemory.FromPointer(address, [0], ScalarType.Float32);
        Assert.Null(CreationScope.NumberOf(again, _owner));
        using var outside = rand(3);
        Assert.Null(CreationScope.NumberOf(outside, _owner));
    }

    [Fact]
    public void Scopes_of_another_owner_inside_change_nothing()
    {
        var other = new object();
        using var outer = new CreationScope(_owner, 1);
        Tensor tensor;
        using (new CreationScope(other, 2))
            tensor = rand(3);
        using var _ = tensor;
        Assert.Equal((1, 2), (CreationScope.NumberOf(tensor, _owner), CreationScope.NumberOf(tensor, other)));
    }

    [Fact]
    public void Another_thread_creates_for_itself()
    {
        using var scope = new CreationScope(_owner, 1);
        int? number = 0;
        var other = new Thread(() =>
        {
            using var tensor = rand(5);
            number = CreationScope.NumberOf(tensor, _owner);
        });
        other.Start();
        other.Join();
        Assert.Null(number);
    }

    [Fact]
    public void It_works_within_delayed_initialisation()
    {
        using var delayed = new DelayedConstruction(null);
        using var linear = delayed.Build(() =>
        {
            using var scope = new CreationScope(_owner, 2);
            return Linear(300, 300);
        });
        var before = linear.weight.sum().item<float>();
        Assert.Equal([(linear, 2)], CreationScope.Created(linear, _owner));

        delayed.MoveToMemory();

        Assert.Equal([(linear, 2)], CreationScope.Created(linear, _owner));
        Assert.Equal(before, linear.weight.sum().item<float>());
    }

    [Fact]
    public void An_impossible_size_is_an_error_and_the_scope_goes_on()
    {
        using var scope = new CreationScope(_owner, 1);
        Assert.ThrowsAny<Exception>(() => empty(1L << 50, ScalarType.Byte));
        using var tensor = rand(5);
        Assert.Equal(1, CreationScope.NumberOf(tensor, _owner));
    }

    private static string Name(Module model, Module module) => model.named_modules().First(named => ReferenceEquals(named.module, module)).name;

    private sealed class Model : Module<Tensor, Tensor>
    {
        public Model(object owner)
            : base(nameof(Model))
        {
            Before = Linear(2, 2);
            using (new CreationScope(owner, 1))
                Inside = Sequential(Linear(2, 2), ReLU(), Linear(2, 2));
            using (new CreationScope(owner, 2))
            {
                var first = Linear(2, 2);
                Linear inner;
                using (new CreationScope(owner, 3))
                    inner = Linear(2, 2);
                Outer = Sequential(("first", first), ("inner", inner), ("last", LayerNorm(2)));
            }

            register_module(nameof(Before), Before);
            register_module(nameof(Inside), Inside);
            register_module(nameof(Outer), Outer);
        }

        public Linear Before { get; }

        public Sequential Inside { get; }

        public Sequential Outer { get; }

        public override Tensor forward(Tensor input) => Outer.call(Inside.call(Before.call(input)));
    }
}
