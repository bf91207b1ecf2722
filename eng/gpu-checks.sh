#!/usr/bin/env bash
# Runs what is to be seen on real GPUs (docs/testing.md) and prints one line for each check; the logs stay in a folder.
# usage: eng/gpu-checks.sh COMMAND...     such as: eng/gpu-checks.sh dotnet publish/ShardSharp.Tests.RankProgram.dll
# With one GPU set NCCL_MULTI_RANK_GPU_ENABLE=1 NCCL_SOCKET_IFNAME=lo: the ranks share it.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.."
program=("$@")
logs=$(mktemp -d)
failed=0
models=tests/data/huggingface

check() {
    local log=$logs/$((++number)).log start=$SECONDS
    if timeout "${CHECK_SECONDS:-60}" "${program[@]}" nccl "$@" >"$log" 2>&1; then
        echo "ok      $((SECONDS - start)) s  $*  $(grep -v '^stage\|^ \|^$' "$log" | tail -n 1)"
    else
        failed=$((failed + 1))
        echo "FAILED  $((SECONDS - start)) s  $*  ($log)"
        grep -m 3 'failed\|xception\|rror' "$log"
    fi
}

number=0
shards=(--set sharded_data_parallel_degree=2 --set sdp_param_persistence_threshold=0)
layers=(--set tensor_parallel_degree=2 --set prescaled_batch=true)
stages=(--set pipeline_parallel_degree=2 --set microbatches=2 --set split_tied_parameters=true)
check --ranks 1
for model in gpt2 llama; do
    check curve $models/$model 1e-5 --ranks 1
    check curve $models/$model 1e-5 --ranks 2
    check curve $models/$model 1e-5 --ranks 2 "${layers[@]}"
    check curve $models/$model 1e-5 --ranks 2 "${shards[@]}"
    check curve $models/$model 1e-5 --ranks 2 "${stages[@]}"
done
check curve $models/gpt2 1e-5 --ranks 2 --set delayed_parameter_initialization=true
check curve $models/gpt2 2e-2 --ranks 2 "${shards[@]}" --set bf16=true
check curve $models/gpt2 1e-5 --ranks 4 "${stages[@]}" "${layers[@]}"
check curve $models/llama 1e-5 --ranks 4 "${shards[@]}" "${layers[@]}"
check curve $models/llama 1e-5 --ranks 4 "${stages[@]}" --set pipeline=zero_bubble_h1
check continue $models/gpt2 "$logs/checkpoints" 10 --ranks 2 "${shards[@]}"
check continue $models/gpt2 "$logs/checkpoints" 5 --ranks 1
check continue $models/gpt2 "$logs/checkpoints" 5 --ranks 2 "${layers[@]}"
check activations --ranks 1
check activations --ranks 1 --set activation_checkpointing='*'
check activations --ranks 1 --set activation_checkpointing='*' --set offload_activations=true
check --ranks 2
echo "$number checks, $failed failed; logs in $logs"
[ "$failed" = 0 ]
