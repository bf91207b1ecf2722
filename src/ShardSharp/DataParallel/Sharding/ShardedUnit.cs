using ShardSharp.Communication;
using ShardSharp.Modules;
using ShardSharp.Native;
using ShardSharp.Precision;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.DataParallel.Sharding;

/// <summary>A unit whose parameters lie one after another in memory of the shard group; each rank owns a slice of it.</summary>
/// <remarks>
/// The module's parameters become views of that memory. What this rank owns of each is its piece, a one-dimensional parameter over the same
/// memory, for the optimizer to update; a piece is empty where others own all of a parameter. In mixed precision the memory holds rounded
/// parameters, and the pieces are float32 values of this rank's own.
/// </remarks>
internal sealed class ShardedUnit : IDisposable
{
    private const int AlignmentBytes = 64;
    private readonly SharedMemory _memory;
    private readonly MasterSlice? _master;

    /// <summary>
    /// Moves the parameters into memory of the group, this rank's slice of them. They are whole once all ranks of the group have done so.
    /// </summary>
    /// <param name="unit">The parameters, of equal values on all ranks.</param>
    /// <param name="shard">Ranks that share the parameters.</param>
    /// <param name="precision">What the module computes in; null for the type its parameters have.</param>
    public ShardedUnit(ParameterUnit unit, ProcessGroup shard, PrecisionPolicy? precision)
    {
        Unit = unit;
        var type = precision?.Compute ?? unit.ElementType;
        var size = ElementTypes.SizeOf(type);
        Layout = new FlatLayout(unit.Parameters.Select(named => named.Parameter.numel()), shard.Size, AlignmentBytes / size);
        _memory = shard.AllocateShared(Math.Max(Layout.Length * size, 1));
        if (precision is not null)
            _master = new MasterSlice(_memory.View(shard.Rank * Layout.SliceLength * size, [Layout.SliceLength], type).DetachFromDisposeScope());
        Pieces = new (string, Parameter, FlatLayout.Piece)[unit.Parameters.Count];
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        for (var i = 0; i < Pieces.Length; i++)
        {
            var (name, parameter) = unit.Parameters[i];
            var place = Layout.PieceOf(i, shard.Rank);
            var data = _master is not null
                ? _master.Values.narrow(0, place.InSlice, place.Length)
                : _memory.View(((shard.Rank * Layout.SliceLength) + place.InSlice) * size, [place.Length], type);
            data.copy_(parameter.detach().reshape(-1).narrow(0, place.InParameter, place.Length));
            TensorData.Set(parameter, _memory.View(Layout.OffsetOf(i) * size, parameter.shape, type));
            var piece = new Parameter(data, parameter.requires_grad);
            piece.DetachFromDisposeScope();
            Pieces[i] = (name, piece, place);
        }

        Publish();
    }

    /// <summary>The parameters of the module.</summary>
    public ParameterUnit Unit { get; }

    /// <summary>Where parameters lie.</summary>
    public FlatLayout Layout { get; }

    /// <summary>What this rank owns of each parameter, in the order of the unit's parameters.</summary>
    public (string Name, Parameter Parameter, FlatLayout.Piece Place)[] Pieces { get; }

    /// <summary>Whether any parameter is to be trained now.</summary>
    public bool IsTrained => Unit.Parameters.Any(named => named.Parameter.requires_grad);

    /// <summary>Lets the optimizer see which parameters have been frozen or thawed.</summary>
    public void FollowFreezing()
    {
        for (var i = 0; i < Pieces.Length; i++)
        {
            var trained = Unit.Parameters[i].Parameter.requires_grad;
            if (Pieces[i].Parameter.requires_grad != trained)
                Pieces[i].Parameter.requires_grad = trained;
        }
    }

    /// <summary>Shows the module what the optimizer has made of the pieces.</summary>
    public void Publish() => _master?.Publish();

    /// <summary>Frees the memory; the module's parameters must not be used any more.</summary>
    public void Dispose()
    {
        foreach (var (_, piece, _) in Pieces)
            piece.Dispose();
        _master?.Dispose();
        _memory.Dispose();
    }
}
