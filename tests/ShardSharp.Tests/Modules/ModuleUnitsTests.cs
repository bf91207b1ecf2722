using ShardSharp.Modules;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Modules;

public sealed class ModuleUnitsTests
{
    private static readonly UnitRules NoLimits = new() { MaximumElements = long.MaxValue, PersistenceThreshold = 0 };

    [Fact]
    public void Members_of_lists_and_the_modules_beside_them_are_units()
    {
        using var module = new Model();

        Assert.Equal(
            [
                ("", "_positions"), ("_embedding", "_embedding.weight"), ("_blocks.0", "_blocks.0.0.weight _blocks.0.0.bias _blocks.0.2.weight _blocks.0.2.bias"),
                ("_blocks.1", "_blocks.1.0.weight _blocks.1.0.bias _blocks.1.2.weight _blocks.1.2.bias"), ("_norm", "_norm.weight _norm.bias"),
            ],
            Described(module, NoLimits));
    }

    [Fact]
    public void A_module_with_too_many_elements_is_divided()
    {
        using var module = new Model();

        var units = ModuleUnits.Divide(module, NoLimits with { MaximumElements = 100 });

        // Embedding has 8 x 10 elements, a block 2 x (8 x 8 + 8), which its halves would not exceed.
        Assert.Equal(["", "_embedding", "_blocks.0.0", "_blocks.0.2", "_blocks.1.0", "_blocks.1.2", "_norm"], units.Select(unit => unit.Name));
        Assert.All(units, unit => Assert.InRange(unit.Elements, 1, 100));
    }

    [Fact]
    public void A_module_that_cannot_be_divided_stays_whole()
    {
        using var module = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 1));

        Assert.Equal([("0", "0.weight 0.bias"), ("1", "1.weight 1.bias")], Described(module, NoLimits with { MaximumElements = 10 }));
    }

    [Fact]
    public void Small_parameters_have_units_of_their_own()
    {
        using var module = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8));

        var units = ModuleUnits.Divide(module, NoLimits with { PersistenceThreshold = 64 });

        Assert.Equal(
            [("0.weight", false), ("0.bias", true), ("1.weight", false), ("1.bias", true)],
            units.Select(unit => (unit.Parameters.Single().Name, unit.Persistent)));
    }

    [Fact]
    public void Types_and_frozen_parameters_are_kept_apart()
    {
        using var module = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4, dtype: ScalarType.Float64));
        using var whole = nn.Sequential(("all", module));
        ((Linear)module[0]).weight!.requires_grad = false;

        var units = ModuleUnits.Divide(whole, NoLimits with { IsUnit = name => name == "all" });

        Assert.Equal(
            [("all.0.weight", ScalarType.Float32), ("all.0.bias", ScalarType.Float32), ("all.1.weight all.1.bias", ScalarType.Float64)],
            units.Select(unit => (string.Join(' ', unit.Parameters.Select(named => named.Name)), unit.ElementType)));
        Assert.All(units, unit => Assert.Same(module, unit.Module));
    }

    [Fact]
    public void Tied_parameters_belong_to_what_holds_both_and_come_once()
    {
        using var module = nn.Sequential(
            ("encoder", nn.Sequential(("first", nn.Linear(4, 4)), ("second", nn.Linear(4, 4)))), ("head", nn.Linear(4, 4)));
        var encoder = (Sequential)module[0];
        ((Linear)encoder[1]).weight = ((Linear)encoder[0]).weight;
        ((Linear)module[1]).bias = ((Linear)encoder[0]).bias;

        Assert.Equal(
            [
                ("encoder", "encoder.first.weight"), ("", "encoder.first.bias"), ("encoder.second", "encoder.second.bias"),
                ("head", "head.weight"),
            ],
            Described(module, NoLimits with { IsUnit = name => name is not "encoder.first" }));
    }

    [Fact]
    public void The_user_chooses_units_by_name()
    {
        using var module = new Model();

        var units = ModuleUnits.Divide(module, NoLimits with { IsUnit = name => name.StartsWith("_blocks.", StringComparison.Ordinal) && name.Length == 9 });

        Assert.Equal(["", "_blocks.0", "_blocks.1"], units.Select(unit => unit.Name));
    }

    [Fact]
    public void A_list_is_never_called_and_so_no_unit()
    {
        using var module = new Model();

        var wrong = Assert.Throws<ArgumentException>(() => ModuleUnits.Divide(module, NoLimits with { IsUnit = name => name == "_blocks" }));

        Assert.Contains("'_blocks'", wrong.Message, StringComparison.Ordinal);
        Assert.Contains("'_blocks.0'", wrong.Message, StringComparison.Ordinal);
    }

    private static (string, string)[] Described(nn.Module module, UnitRules rules) =>
        [.. ModuleUnits.Divide(module, rules).Select(unit => (unit.Name, string.Join(' ', unit.Parameters.Select(named => named.Name))))];

    private sealed class Model : nn.Module<Tensor, Tensor>
    {
        private readonly Parameter _positions = new(zeros(8));
        private readonly nn.Module<Tensor, Tensor> _embedding = nn.Embedding(10, 8);
        private readonly ModuleList<nn.Module<Tensor, Tensor>> _blocks = new(Block(), Block());
        private readonly nn.Module<Tensor, Tensor> _norm = nn.LayerNorm(8);

        public Model()
            : base(nameof(Model)) => RegisterComponents();

        public override Tensor forward(Tensor input)
        {
            var hidden = _embedding.call(input) + _positions;
            foreach (var block in _blocks)
                hidden = block.call(hidden);
            return _norm.call(hidden);
        }

        private static Sequential Block() => nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 8));
    }
}
