using ShardSharp.Modules;
using ShardSharp.Pipeline.Runtime;
using ShardSharp.TensorParallel;

namespace ShardSharp.Pipeline;

/// <summary>What this rank has of a model that ranks divide.</summary>
/// <param name="Tensor">How a plan spread it over tensor-parallel ranks; null where none did.</param>
/// <param name="Layouts">Which part of each parameter of the whole model this rank's is.</param>
/// <param name="Pipeline">The stages of a pipeline; null where this rank has all of the model.</param>
internal sealed record ModelDivision(TensorParallelModule? Tensor, ParameterLayouts Layouts, PipelinedModel? Pipeline);
