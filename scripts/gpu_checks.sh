#!/usr/bin/env bash
# What of sampling and training wants a GPU, with peers beside, in under eight minutes of one.
#
#   scripts/gpu_checks.sh [--cpu] [MODEL]
#
# MODEL is a folder (default: the shipped small model; better one of 0.5 to 7 billion parameters). --cpu is a dry run:
# the same commands where no GPU is, much smaller. TRL is the folder of TRL (bench/train.py), without it there is no
# peer in training; vLLM is one in sampling where it is installed. Fails if one check does, after all have been tried.
set -u
cd "$(dirname "$0")/.." || exit 1
PATH=$PWD/.venv/bin:$PATH
export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false

gpu=(--gpu) patience=1 steps=12 tokens=4096 problems=16 length=128
if [ "${1:-}" = --cpu ]; then
    shift
    gpu=() patience=4 steps=3 tokens=256 problems=1 length=8
    export CUDA_VISIBLE_DEVICES=
elif ! python -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
    echo "gpu checks: torch sees no GPU here; --cpu is a dry run"
    exit 1
fi
model=${1:-$(python -c 'from mmst.models import model_folder; print(model_folder("mmst:tiny"))')}
peers=()
[ -n "${TRL:-}" ] && peers=(--trl "$TRL")

failed=()
check() {  # check NAME SECONDS COMMAND…
    echo "== $1"
    timeout --kill-after=5 $(($2 * patience)) "${@:3}" 2>"$log" || { failed+=("$1"); tail -n 15 "$log"; }
}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

[ ${#gpu[@]} != 0 ] && nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader
python -c 'import torch, transformers; print("torch", torch.__version__, "transformers", transformers.__version__)'
train=(python -m bench.train --model "$model" --steps "$steps" --tokens "$tokens" --held-out 8 --rounds 1)
check "training, all weights" 110 "${train[@]}" "${peers[@]}" "${gpu[@]}"
check "training, LoRA" 100 "${train[@]}" --lora 16 "${peers[@]}" "${gpu[@]}"
check "ZeRO and offloading" 130 python -m bench.offload --model "$model" --steps "$steps" --tokens "$tokens"
sample=(python -m bench.sample --model "$model" --problems "$problems" --max-tokens "$length")
[ ${#gpu[@]} != 0 ] || sample+=(--engines transformers.generate "ours, local")
check "sampling, four a prompt" 70 "${sample[@]}" --n 4 "${gpu[@]}"
check "sampling, greedy" 50 "${sample[@]}" --n 1 "${gpu[@]}"
if [ ${#failed[@]} != 0 ]; then
    printf 'gpu checks: failed: %s\n' "${failed[@]}"
    exit 1
fi
echo "gpu checks: all fine"
