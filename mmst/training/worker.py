"""The fine-tuning worker: `torchrun --nproc-per-node R -m mmst.training.worker SPEC.json`.

    SPEC.json     a `ports.TrainSpec`; its settings are a `config.TrainConfig`
    one rank      plain torch (torchrun may be left out)
    more, or zero > 0   DeepSpeed ZeRO (gloo on CPUs)

It reports to its parent process in lines `MMST {"step": 7, "loss": 0.52}`, and on failure
`MMST {"failed": RANK, "kind": "diverged", "message": …, "trace": …}`; everything else is log.
The exit codes are those of `mmst.core.errors`; torchrun's own is 1.

The same specification gives the same bytes for the same number of ranks and threads
(`OMP_NUM_THREADS`), even if the run was killed and resumed.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

from mmst.core.errors import DivergedError, MmstError, UserError
from mmst.core.ports import TrainSpec
from mmst.core.process import die_with_parent, end_with_owner
from mmst.core.records import from_json
from mmst.observe import terminal


def main(path: str) -> int:
    """Train as described in a specification file; returns the exit code."""
    die_with_parent()
    end_with_owner()
    rank, ranks = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    terminal.guard()
    os.umask(0o077)  # checkpoints and logs of this process are its owner's alone
    warnings.simplefilter("ignore", FutureWarning)  # DeepSpeed's use of torch: several lines a step
    try:
        spec = from_json(TrainSpec, Path(path).read_bytes())
        leave_out_unused(zero=ranks > 1 or bool(spec.settings.get("zero")), lora=bool(spec.settings.get("lora_rank")))
        from mmst.training.loop import train

        train(spec, rank, ranks, lambda step, loss: None if rank else say(step=step, loss=loss))
        return 0
    except Exception as error:
        kind = "diverged" if isinstance(error, DivergedError) else "user" if isinstance(error, UserError) else "failed"
        say(failed=rank, kind=kind, message=str(error) or repr(error), trace=traceback.format_exc())
        code = error.exit_code if isinstance(error, MmstError) else 1
    if ranks > 1:
        os._exit(code)  # the others wait in a collective that this rank will not join
    return code


def leave_out_unused(zero: bool, lora: bool) -> None:
    """Hide installed packages that would be imported only because they are installed.

    transformers, accelerate and DeepSpeed look for them; together they cost several seconds.
    """
    unused = ["mlflow", "boto3", "scipy"]
    if not zero:
        unused += ["deepspeed"] if lora else ["deepspeed", "accelerate"]
    modules: dict[str, Any] = sys.modules
    for name in unused:
        modules[name] = None


def say(**event: object) -> None:
    """Report to the process that started this worker."""
    print("MMST " + json.dumps(event), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
