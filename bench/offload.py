"""ZeRO with optimiser and parameters in the GPU's memory or in main memory: speed, memory, and the same losses.

    python -m bench.offload [--model FOLDER] [--steps 6] [--tokens 2048]

One rank each, in bfloat16 on a GPU (float32 without one, where nothing is really moved). Seconds are those of the
steps after the first. Exit code 1 where the losses of the last steps differ by more than `NEAR`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.train import generated, spec, write
from mmst.core.config import TrainConfig
from mmst.models import model_folder
from mmst.training.providers.torchrun import Torchrun

NEAR = 0.02
ARMS: dict[str, dict[str, Any]] = {
    "ZeRO-2": {"zero": 2},
    "ZeRO-2, optimizer": {"zero": 2, "offload": "optimizer"},
    "ZeRO-3": {"zero": 3},
    "ZeRO-3, optimizer": {"zero": 3, "offload": "optimizer"},
    "ZeRO-3, parameters": {"zero": 3, "offload": "parameters"},
}


def gpu_mib() -> float:
    """What is in use of the first GPU's memory; 0 without one."""
    if not shutil.which("nvidia-smi"):
        return 0.0
    asked = ["nvidia-smi", "--id=0", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    done = subprocess.run(asked, stdout=subprocess.PIPE, text=True, check=False)
    return float(done.stdout.strip()) if done.returncode == 0 else 0.0


def main() -> int:
    """Train with each setting in turn, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(model_folder("mmst:tiny")), metavar="FOLDER")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--tokens", type=int, default=2048)
    arguments = parser.parse_args()
    last = dict[str, float]()
    print(f"{'':20}{'s / step':>10}{'GPU MiB':>10}{'loss':>10}")
    with tempfile.TemporaryDirectory(prefix="mmst-bench-") as temporary:
        rows = Path(temporary) / "rows.jsonl"
        write(generated(400), rows)
        for number, (name, settings) in enumerate(ARMS.items()):
            seconds, memory, last[name] = trained(arguments, rows, Path(temporary) / f"{number}", settings)
            print(f"{name:20}{seconds:>10.3f}{memory:>10.0f}{last[name]:>10.4f}", flush=True)
    low, high = min(last.values()), max(last.values())
    print(json.dumps({"losses differ by": round(high - low, 6)}))
    return int(high - low > NEAR)


def trained(
    arguments: argparse.Namespace, rows: Path, folder: Path, settings: dict[str, Any]
) -> tuple[float, float, float]:
    """Seconds a step, the most of the GPU's memory that was seen, and the last loss."""
    import torch

    s = TrainConfig(
        steps=arguments.steps,
        batch_tokens=arguments.tokens,
        lr=1e-4,
        warmup=0.0,
        spike=0.0,
        checkpoint_every=10**6,
        precision="bfloat16" if torch.cuda.is_available() else "float32",
        **settings,
    )
    folder.mkdir()
    marks, memory, losses = list[float](), list[float](), list[float]()

    def on_step(step: int, loss: float) -> None:
        marks.append(time.monotonic())
        memory.append(gpu_mib())
        losses.append(loss)

    Torchrun(1).train(spec(arguments.model, rows, folder, s), on_step)
    return (marks[-1] - marks[0]) / max(1, len(marks) - 1), max(memory), losses[-1]


if __name__ == "__main__":
    sys.exit(main())
