namespace ShardSharp.HuggingFace.Configuration;

/// <summary>The keys of any <c>config.json</c> that change nothing in what a model computes from tokens.</summary>
internal static class InertKeys
{
    /// <summary>Where the file comes from, how outputs are packed, what tokens mean, classification heads, and defaults of generation.</summary>
    public static IReadOnlyList<string> All { get; } =
    [
        "_name_or_path", "_commit_hash", "_attn_implementation_autoset", "_attn_implementation", "attn_implementation", "auto_map",
        "transformers_version", "dtype", "torch_dtype", "torchscript", "use_bfloat16", "tf_legacy_loss", "use_cache", "return_dict",
        "output_hidden_states", "output_attentions", "gradient_checkpointing", "chunk_size_feed_forward", "tie_encoder_decoder",
        "tokenizer_class", "prefix", "bos_token_id", "eos_token_id", "sep_token_id", "unk_token_id", "cls_token_id", "mask_token_id",
        "decoder_start_token_id", "pad_token_id", "id2label", "label2id", "num_labels", "problem_type", "finetuning_task",
        "task_specific_params", "classifier_dropout", "initializer_range",
        "max_length", "min_length", "max_new_tokens", "do_sample", "early_stopping", "num_beams", "num_beam_groups", "diversity_penalty",
        "temperature", "top_k", "top_p", "typical_p", "repetition_penalty", "length_penalty", "no_repeat_ngram_size",
        "encoder_no_repeat_ngram_size", "bad_words_ids", "num_return_sequences", "output_scores", "return_dict_in_generate",
        "forced_bos_token_id", "forced_eos_token_id", "remove_invalid_values", "exponential_decay_length_penalty", "suppress_tokens",
        "begin_suppress_tokens",
    ];
}
