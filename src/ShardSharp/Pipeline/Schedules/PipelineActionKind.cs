namespace ShardSharp.Pipeline.Schedules;

/// <summary>What a rank of a pipeline computes for one microbatch on one stage.</summary>
public enum PipelineActionKind
{
    /// <summary>The stage's forward, <c>F</c>: needs the outputs of the stage before.</summary>
    Forward,

    /// <summary>The stage's whole backward, <c>B</c>: gradients of its inputs and of its parameters; needs the gradients that the next stage
    /// computed for its inputs.</summary>
    Backward,

    /// <summary>The part of backward that the stage before waits for, <c>I</c>: gradients of the inputs.</summary>
    InputBackward,

    /// <summary>The part of backward that nobody waits for, <c>W</c>: gradients of the parameters. It follows the other part at any time
    /// (Qi et al., "Zero Bubble Pipeline Parallelism", arXiv:2401.10241).</summary>
    WeightBackward,
}
