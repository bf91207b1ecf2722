namespace ShardSharp.Topology;

/// <summary>
/// A key of SMP that is known but has no counterpart here: values that ask for nothing pass, others are rejected with the reason.
/// </summary>
/// <param name="Name">The key.</param>
/// <param name="Reason">Why it has no counterpart, and what to use instead.</param>
/// <param name="Harmless">The values that ask for nothing, as JSON.</param>
internal sealed record ForeignKey(string Name, string Reason, params string[] Harmless)
{
    private const string Undocumented = "is an SMP key without public documentation";

    /// <summary>Every such key.</summary>
    public static IReadOnlyList<ForeignKey> All { get; } =
    [
        // TensorFlow.
        new("horovod", "is for TensorFlow; data parallelism is ddp here", "false"),
        new("contiguous", "is for TensorFlow graphs; a pipeline stage is always a run of consecutive modules here", "false"),

        // What ShardSharp does anyway: schedules are fixed in advance.
        new("deterministic_server", "must be true or false: requests always come in the same order here", "true", "false"),

        // Undocumented.
        new("load_partition", $"{Undocumented}; SMP's SDK checks only that it is a boolean", "false"),
        new("partition_file", $"{Undocumented}; SMP's SDK checks only that it is a string", "null"),
        new("tensor_parallel_seed", $"{Undocumented}; seed covers tensor-parallel layers here", "0"),
        new("static_mode", $"{Undocumented}; published examples set it to false", "false"),
        new("fast_mode", $"{Undocumented}; published examples set it to false", "false"),
        new("checkpoint_attentions", $"{Undocumented}; activation checkpointing is asked for in the program", "false"),
        new("_match_weights", $"{Undocumented}, for debugging", "false"),
        new("_fp32_grad_accumulation", $"{Undocumented}, for debugging", "false"),

        // SMP v2.
        new("sm_activation_offloading", "picks SMP v2's implementation of offloading; offload_activations turns it on here", "false"),
        new("fsdp_cache_flush_warnings", "is not supported: it is about the allocator of PyTorch's FSDP", "false"),
        new("allow_empty_shards", "is not supported yet; it is an experiment of SMP v2", "false"),
    ];

    private static readonly Dictionary<string, ForeignKey> ByName = All.ToDictionary(key => key.Name, StringComparer.Ordinal);

    /// <summary>The foreign key of that name; null when there is none.</summary>
    public static ForeignKey? Find(string name) => ByName.GetValueOrDefault(name);

    /// <summary>Whether the value asks for nothing.</summary>
    public bool Accepts(RawValue value)
    {
        // Python's spelling of a boolean is as good as JSON's where values are text.
        var literal = value.Literal switch
        {
            "True" => "true",
            "False" => "false",
            var other => other,
        };
        return literal is not null && Harmless.Contains(literal);
    }
}
