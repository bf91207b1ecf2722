using ShardSharp.Communication;

namespace ShardSharp.Tests.Communication;

/// <summary>What every backend owes its callers, as programs that every rank of a group runs.</summary>
public static class Conformance
{
    /// <summary>The programs by name.</summary>
    public static IReadOnlyDictionary<string, Action<ProcessGroup>> Programs { get; } = new Action<ProcessGroup>[]
    {
        ReductionPrograms.All_reduce_sums_in_rank_order,
        ReductionPrograms.Large_tensors_take_many_steps,
        SharePrograms.Large_shares_take_many_steps,
        ReductionPrograms.All_reduce_of_many_tensors_is_one_operation,
        ReductionPrograms.Every_reduction_of_every_type_agrees_with_libtorch,
        ReductionPrograms.Max_and_min_pass_on_NaN,
        ReductionPrograms.Bool_elements_reduce_as_logic,
        ReductionPrograms.Complex_elements_have_sum_and_mean,
        SharePrograms.All_gather_collects_in_rank_order,
        SharePrograms.All_gather_may_gather_into_the_tensor_that_holds_its_own_share,
        SharePrograms.Reduce_scatter_leaves_each_rank_its_share,
        SharePrograms.All_to_all_transposes_shares,
        SharePrograms.Rooted_operations_work_from_every_root,
        MessagePrograms.Messages_of_a_pair_keep_their_order,
        MessagePrograms.A_send_does_not_wait_behind_a_send_to_another_rank,
        BackgroundPrograms.Background_operations_complete_in_order_and_blocking_ones_do_not_overtake,
        BackgroundPrograms.Background_operations_outlive_their_tensors,
        GroupPrograms.Strided_tensors_are_communicated_like_dense_ones,
        MessagePrograms.Objects_travel,
        ReductionPrograms.Numbers_reduce_without_tensors,
        GroupPrograms.Groups_split_and_work_side_by_side,
        MemoryPrograms.Memory_of_a_group_is_the_same_for_all_its_ranks,
        MemoryPrograms.Memory_of_a_part_is_its_own_and_outlives_whoever_leaves,
        MemoryPrograms.Memory_is_viewed_within_its_bounds,
        InPlacePrograms.Reductions_of_tensors_in_shared_memory_have_the_same_bits,
        InPlacePrograms.Data_in_shared_memory_travels_like_any_other,
        InPlacePrograms.Shares_that_lie_where_they_belong_are_gathered_in_place,
        InPlacePrograms.Ranks_whose_tensors_lie_elsewhere_get_the_same_results,
        InPlacePrograms.A_part_uses_memory_of_the_whole_in_place,
        BackgroundPrograms.Overlapping_operations_of_random_sizes,
    }.ToDictionary(program => program.Method.Name);
}
