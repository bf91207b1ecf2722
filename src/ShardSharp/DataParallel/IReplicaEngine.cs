using ShardSharp.Communication;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.DataParallel;

/// <summary>What makes the copies of a model on several ranks train as one: it takes part in every backward and in the optimizer's step.</summary>
internal interface IReplicaEngine : IDisposable
{
    /// <summary>Ranks that hold the same parameters, sharding apart.</summary>
    ProcessGroup Group { get; }

    /// <summary>Ranks among which the averaged gradients are divided, each element on one of them; null when this rank has all.</summary>
    ProcessGroup? Shards { get; }

    /// <summary>Whether it communicates while backward computes.</summary>
    bool Overlaps { get; }

    /// <summary>What an optimizer updates on this rank, with names in the model.</summary>
    IEnumerable<(string Name, Parameter Parameter)> Parameters { get; }

    /// <summary>The same, with what each is of its parameter.</summary>
    IEnumerable<OwnedParameter> Owned { get; }

    /// <summary>What it holds of the model now.</summary>
    HeldState Held { get; }

    /// <summary>Called directly before each backward.</summary>
    /// <param name="last">Whether the optimizer's step follows this backward.</param>
    /// <param name="lossScale">By what the loss is multiplied, which gradients are divided by; 1 where nothing is cast.</param>
    void Arm(bool last, double lossScale);

    /// <summary>Called directly after each backward; after the last one the gradients are averages over all ranks.</summary>
    /// <param name="last">As in <see cref="Arm"/>.</param>
    void Finish(bool last);

    /// <summary>Lets go of all gradients.</summary>
    void ZeroGradients();

    /// <summary>Throws where an optimizer does not update what it should, or cannot.</summary>
    void RequireSuitable(optim.Optimizer optimizer);

    /// <summary>Runs the optimizer's update of the parameters of this rank.</summary>
    /// <param name="update">The update.</param>
    void Update(Action update);

    /// <summary>Says in words of this library what made a model's computation fail; null where the failure is the program's own.</summary>
    Exception? Explain(Exception failure);

    /// <summary>Makes all parameters of the module readable on every rank until the result is disposed.</summary>
    IDisposable GatherParameters();
}
