using ShardSharp.DataParallel;
using ShardSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Checkpoints;

/// <summary>What a rank has of a model: its parameters, in float32 where an optimizer updates them so, and the buffers.</summary>
/// <param name="owned">The parameters.</param>
/// <param name="buffers">The buffers, by their names in the model.</param>
/// <param name="layouts">What this rank's tensors are of those of the undivided model.</param>
/// <param name="prefix">What names in the checkpoint begin with.</param>
internal sealed class ModelState(
    IEnumerable<OwnedParameter> owned, IEnumerable<(string Name, Tensor Buffer)> buffers, ParameterLayouts layouts, string prefix)
{
    private readonly List<OwnedParameter> _owned = [.. owned];
    private readonly List<(string Name, Tensor Buffer)> _buffers = [.. buffers.Where(named => named.Buffer.numel() > 0).DistinctBy(named => named.Name)];

    /// <summary>What names in the checkpoint begin with.</summary>
    public string Prefix => prefix;

    /// <summary>Which elements of which undivided parameter the optimizer's parameters are.</summary>
    public IEnumerable<(OwnedParameter Owned, TensorPart Part)> Parts => _owned.Select(parameter => (parameter, PartOf(parameter)));

    /// <summary>Everything to be loaded.</summary>
    public IEnumerable<HeldTensor> Wanted => Parameters.Concat(Buffers);

    /// <summary>What this rank saves.</summary>
    /// <param name="choice">Which buffers.</param>
    public IEnumerable<HeldTensor> Held(BufferChoice choice) => Parameters.Where(parameter => parameter.Part.Count > 0).SelectMany(parameter => parameter.Separated)
        .Concat(Buffers.Where(buffer => choice == BufferChoice.All || (choice == BufferChoice.Divided && buffer.Part.Dimension is not null)));

    private IEnumerable<HeldTensor> Parameters =>
        Parts.Select(entry => new HeldTensor(prefix + entry.Owned.Name, entry.Part, entry.Owned.Parameter));

    private IEnumerable<HeldTensor> Buffers => _buffers.Select(named => new HeldTensor(
        prefix + named.Name, TensorPart.Of(layouts.Of(named.Name, named.Buffer), 0, named.Buffer.numel()), named.Buffer));

    private TensorPart PartOf(OwnedParameter parameter) =>
        TensorPart.Of(layouts.Of(parameter.Name, parameter.Shape), parameter.Start, parameter.Parameter.numel());
}
