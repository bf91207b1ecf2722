using ShardSharp.Communication;
using ShardSharp.Modules;
using ShardSharp.Native;
using ShardSharp.Precision;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.DataParallel.Sharding;

/// <summary>A unit whose parameters lie one after another in one run of memory; each rank of the shard group owns a slice of it.</summary>
/// <remarks>
/// The module's parameters become views of that memory, which the ranks share where they can. What this rank owns of each is its piece, a
/// one-dimensional parameter over the same memory, for the optimizer to update; a piece is empty where others own all of a parameter. In mixed
/// precision the memory holds rounded parameters, and the pieces are float32 values of this rank's own.
/// </remarks>
internal sealed class ShardedUnit : IDisposable
{
    private const int AlignmentBytes = 64;
    private readonly IUnitMemory _memory;
    private readonly MasterSlice? _master;
    private readonly long[][] _shapes;
    private readonly int _elementSize;
    private readonly bool _isShared;

    /// <summary>Moves the parameters: all into memory of this rank, or its slice of them into memory of the group, which is whole once all
    /// ranks have done so. A unit that is released between uses begins with the slice alone, hidden.</summary>
    /// <param name="unit">The parameters, of equal values on all ranks.</param>
    /// <param name="shard">Ranks that each own a slice of them.</param>
    /// <param name="isReleased">Whether it is released between uses; for ranks that share no memory.</param>
    /// <param name="precision">What the module computes in; null for the type its parameters have.</param>
    /// <param name="device">Where the module computes: memory of a GPU is this rank's own.</param>
    public ShardedUnit(ParameterUnit unit, ProcessGroup shard, bool isReleased, PrecisionPolicy? precision, Device device)
    {
        (Unit, IsReleased, _isShared) = (unit, isReleased, shard.SharesMemory);
        ElementType = precision?.Compute ?? unit.ElementType;
        _elementSize = ElementTypes.SizeOf(ElementType);
        Layout = new FlatLayout(unit.Parameters.Select(named => named.Parameter.numel()), shard.Size, AlignmentBytes / _elementSize);
        _memory = device.type == DeviceType.CPU && !shard.IsOfDevices
            ? new HostUnitMemory(Layout, shard, ElementType)
            : new DeviceUnitMemory(Layout, shard.Rank, ElementType, device, isReleased);
        _shapes = [.. unit.Parameters.Select(named => named.Parameter.shape)];
        _master = precision is null ? null : new MasterSlice(Slice);
        Pieces = new (string, Parameter, FlatLayout.Piece)[unit.Parameters.Count];
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        for (var i = 0; i < Pieces.Length; i++)
        {
            var (name, parameter) = unit.Parameters[i];
            var place = Layout.PieceOf(i, shard.Rank);
            var values = parameter.detach().reshape(-1);
            var own = values.narrow(0, place.InParameter, place.Length);
            if (shard.SharesMemory || isReleased)
                Slice.narrow(0, place.InSlice, place.Length).copy_(own);
            else
                Whole.narrow(0, Layout.OffsetOf(i), values.numel()).copy_(values);
            var data = _master?.Values.narrow(0, place.InSlice, place.Length).copy_(own)
                ?? Slice.narrow(0, place.InSlice, place.Length);
            Pieces[i] = (name, (Parameter)new Parameter(data, parameter.requires_grad).DetachFromDisposeScope(), place);
        }

        if (isReleased)
            Hide();
        else
            Show();
    }

    /// <summary>The parameters of the module.</summary>
    public ParameterUnit Unit { get; }

    /// <summary>What the module computes in: the type of the memory.</summary>
    public ScalarType ElementType { get; }

    /// <summary>Bytes of what this rank keeps of the parameters beside the memory.</summary>
    public long MasterBytes => _master is null ? 0 : Layout.SliceLength * sizeof(float);

    /// <summary>Where parameters lie.</summary>
    public FlatLayout Layout { get; }

    /// <summary>The whole run of elements.</summary>
    public Tensor Whole => _memory.Whole;

    /// <summary>What this rank owns of it.</summary>
    public Tensor Slice => _memory.Slice;

    /// <summary>What this rank owns of each parameter, in the order of the unit's parameters.</summary>
    public (string Name, Parameter Parameter, FlatLayout.Piece Place)[] Pieces { get; }

    /// <summary>The same, with the shapes of the unit's parameters.</summary>
    public IEnumerable<OwnedParameter> Owned =>
        Pieces.Select((piece, i) => new OwnedParameter(piece.Name, piece.Parameter, _shapes[i], piece.Place.InParameter));

    /// <summary>Whether it is released between uses.</summary>
    public bool IsReleased { get; }

    /// <summary>Whether the module's parameters are empty now.</summary>
    public bool IsHidden { get; private set; }

    /// <summary>Bytes of parameters that this rank holds now: its share of memory that ranks share.</summary>
    public long HeldBytes => _memory.Elements * _elementSize;

    /// <summary>The part of them that lies in memory which ranks share.</summary>
    public long HeldSharedBytes => _isShared ? HeldBytes : 0;

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

    /// <summary>Rounds what the optimizer has made of the pieces to what the module computes with, where that is something else.</summary>
    public void Publish() => _master?.Publish();

    /// <summary>Makes room for what other ranks own, before it is gathered.</summary>
    public void Renew() => _memory.Renew();

    /// <summary>Makes the module's parameters views of the memory.</summary>
    public void Show()
    {
        IsHidden = false;
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        for (var i = 0; i < _shapes.Length; i++)
            TensorData.Set(Unit.Parameters[i].Parameter, Whole.narrow(0, Layout.OffsetOf(i), Layout.LengthOf(i)).view(_shapes[i]));
    }

    /// <summary>
    /// Gives the memory of what other ranks own back to the system, and makes the module's parameters empty, so that computing with them is an
    /// error. What autograd saved keeps looking at the memory, and will find the values there when they have been gathered again.
    /// </summary>
    public void Hide()
    {
        IsHidden = true;
        using var scope = NewDisposeScope();
        var nothing = empty(0, ElementType, Whole.device);
        foreach (var (_, parameter) in Unit.Parameters)
            TensorData.Set(parameter, nothing);
        _memory.Release();
    }

    /// <summary>Frees the memory; the module's parameters must not be used any more.</summary>
    public void Dispose()
    {
        foreach (var (_, piece, _) in Pieces)
            piece.Dispose();
        _master?.Dispose();
        _memory.Dispose();
    }
}
