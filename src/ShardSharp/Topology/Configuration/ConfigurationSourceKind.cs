namespace ShardSharp.Topology;

/// <summary>The layers of a configuration; a later one overrides the ones before it.</summary>
public enum ConfigurationSourceKind
{
    /// <summary>The library's default.</summary>
    Default,

    /// <summary>The <see cref="ParallelConfiguration"/> the program passed.</summary>
    Code,

    /// <summary>The JSON file named by <c>--config</c> or <c>SHARDSHARP_CONFIG</c>.</summary>
    File,

    /// <summary>The parameters SageMaker passes in <c>SM_HP_MP_PARAMETERS</c>.</summary>
    SageMaker,

    /// <summary>An environment variable <c>SHARDSHARP_</c> + the key in upper case.</summary>
    Environment,

    /// <summary>An option of the command line.</summary>
    CommandLine,
}
