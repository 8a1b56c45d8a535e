"""Fine-tuning: our worker beside TRL's SFTTrainer, on the same model, rows, steps and tokens a step.

    python -m bench.train --trl FOLDER [--model FOLDER] [--rows FILE] [--steps 20] [--tokens 2048] [--lora 16] [--gpu]

FOLDER is a `pip install --no-deps --target FOLDER trl datasets dill multiprocess xxhash`. The rows are a JSONL file
of {prompt, completion}; without one, generated word problems by both methods. One process and one thread each,
float32, AdamW at a constant rate without warm-up or decay, engines in turn, medians of `--rounds`. TRL is run as it
comes, with its batches grouped by length, and packed (its rows then see their neighbours, since it packs apart only
with flash attention). Its batch has as many rows as hold `--tokens` on average.

Counted are real tokens, without padding, a CPU second of the training loop: loading and the export are left out. The
loss is that of the trained model on rows that none has seen, by the same function. With `--gpu` both train there, in
bfloat16 over float32 weights, and counted are tokens a second and the GPU's memory.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from mmst.core.config import TrainConfig
from mmst.core.ports import TrainSpec
from mmst.core.records import Example, to_data, to_json
from mmst.models import model_folder

SEED, RATE = 1, 1e-4
ENGINES = ("ours", "TRL", "TRL, grouped", "TRL, packed")


def generated(count: int) -> list[dict[str, str]]:
    """Word problems with their annotated solutions."""
    from mmst.datasets.generated import generate
    from mmst.methods import method
    from mmst.methods.prompts import solve_prompt

    rows = []
    for p in generate(count, SEED):
        for name, solution in p.solutions.items():
            rows.append({"prompt": solve_prompt(method(name), p.question, "plain", 0, None, 1), "completion": solution})
    return rows


def spec(model: str, examples: Path, folder: Path, settings: TrainConfig) -> TrainSpec:
    """A training run that writes below `folder`."""
    return TrainSpec(
        model=model,
        examples=str(examples),
        out=str(folder / "out"),
        scratch=str(folder / "work"),
        seed=SEED,
        settings=to_data(settings),
    )


def ours(arguments: argparse.Namespace, rows: list[dict[str, str]], folder: Path) -> dict[str, float]:
    from mmst.training import loop

    examples = folder / "rows.jsonl"
    write(rows, examples)
    s = TrainConfig(
        steps=arguments.steps,
        batch_tokens=arguments.tokens,
        lr=RATE,
        warmup=0.0,
        weight_decay=0.0,
        lora_rank=arguments.lora,
        checkpoint_every=10**6,
        spike=0.0,
        precision="bfloat16" if arguments.gpu else "float32",
    )
    marks: list[float] = []
    loop.learning_rate = lambda step, s: s.lr  # as TRL's constant rate
    loop.train(spec(arguments.model, examples, folder, s), 0, 1, lambda step, loss: marks.append(clock()))
    figures = json.loads((folder / "work/figures.json").read_text())
    share = (arguments.steps - 1) / arguments.steps  # the first step's end is the first mark
    return {"tokens": figures["tokens"] * share, "spent": marks[-1] - marks[0]}


def trl(arguments: argparse.Namespace, rows: list[dict[str, str]], folder: Path, engine: str) -> dict[str, float]:
    sys.path.append(arguments.trl)
    import torch
    from datasets import Dataset  # type: ignore[import-not-found]
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import SFTConfig, SFTTrainer  # type: ignore[import-not-found]

    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(arguments.model)
    model = AutoModelForCausalLM.from_pretrained(arguments.model, dtype=torch.float32)
    each = statistics.fmean(len(tokenizer(r["prompt"] + r["completion"])["input_ids"]) + 1 for r in rows)
    packed = engine.endswith("packed")
    grouped = {"train_sampling_strategy": "group_by_length"} if engine.endswith("grouped") else {}
    marks: list[tuple[float, int]] = []

    class Mark(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, a: Any, state: Any, control: Any, **kwargs: Any) -> None:
            marks.append((clock(), int(state.num_input_tokens_seen)))

    settings = SFTConfig(
        output_dir=str(folder / "trl"),
        max_steps=arguments.steps,
        per_device_train_batch_size=1 if packed else max(1, round(arguments.tokens / each)),
        learning_rate=RATE,
        lr_scheduler_type="constant",
        weight_decay=0.0,
        adam_beta2=0.95,
        max_grad_norm=1.0,
        max_length=arguments.tokens,
        packing=packed,
        completion_only_loss=True,
        include_num_input_tokens_seen="non_padding",
        use_cpu=not arguments.gpu,
        bf16=arguments.gpu,
        gradient_checkpointing=False,
        save_strategy="no",
        report_to=[],
        logging_steps=10**6,
        seed=SEED,
        disable_tqdm=True,
        **grouped,
    )
    adapters = None
    if arguments.lora:
        from peft import LoraConfig

        adapters = LoraConfig(r=arguments.lora, lora_alpha=16.0, target_modules="all-linear", task_type="CAUSAL_LM")
    trainer = SFTTrainer(
        model=model,
        args=settings,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=adapters,
        callbacks=[Mark()],
    )
    trainer.train()
    trained = trainer.model.merge_and_unload() if arguments.lora else trainer.model
    trained.save_pretrained(folder / "out")
    (first, before), (last, after) = marks[0], marks[-1]
    return {"tokens": after - before, "spent": last - first}


def held_out_loss(folder: Path, model: str, rows: list[dict[str, str]]) -> float:
    """Mean loss of the completions' tokens."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from mmst.training.data import encode
    from mmst.training.loss import CompletionLoss

    trained = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokens = encode(
        AutoTokenizer.from_pretrained(model),
        [example(row) for row in rows],
    )
    loss = CompletionLoss(trained, trained, torch.device("cpu"), torch.float32)
    with torch.no_grad():
        summed = sum(loss([row]).item() for row in tokens)
    return summed / sum(len(row.ids) - row.start for row in tokens)


def write(rows: list[dict[str, str]], file: Path) -> None:
    """Rows as the worker reads examples."""
    file.write_text("".join(to_json(example(row)) + "\n" for row in rows))


def example(row: dict[str, str]) -> Example:
    return Example(problem_id="p", method="text", origin="own", prompt=row["prompt"], completion=row["completion"])


def clock() -> float:
    """CPU seconds of this process; seconds where a GPU works for it."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()
        return time.perf_counter()
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak_mib() -> float:
    """This process's peak memory; the GPU's where there is one."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run_one(arguments: argparse.Namespace) -> None:
    rows = [json.loads(line) for line in Path(arguments.rows).read_text(encoding="utf-8").splitlines()]
    seen, unseen = rows[: -arguments.held_out], rows[-arguments.held_out :]
    with tempfile.TemporaryDirectory(prefix="mmst-bench-") as temporary:
        folder = Path(temporary)
        if arguments.one == "ours":
            took = ours(arguments, seen, folder)
        else:
            took = trl(arguments, seen, folder, arguments.one)
        peak = peak_mib()  # before the model is loaded once more
        took |= {"peak": peak, "loss": held_out_loss(folder / "out", arguments.model, unseen)}
    print(json.dumps(took))


def main() -> None:
    """Run all engines in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trl", default="", metavar="FOLDER")
    parser.add_argument("--model", default=str(model_folder("mmst:tiny")), metavar="FOLDER")
    parser.add_argument("--rows", default="", metavar="FILE")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--lora", type=int, default=0, metavar="RANK")
    parser.add_argument("--held-out", type=int, default=64, metavar="ROWS")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument("--one", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        run_one(arguments)
        return
    with tempfile.TemporaryDirectory(prefix="mmst-bench-") as temporary:
        if not arguments.rows:
            arguments.rows = f"{temporary}/rows.jsonl"
            rows = generated(2000)
            random.Random(SEED).shuffle(rows)
            Path(arguments.rows).write_text("".join(json.dumps(row) + "\n" for row in rows))
        engines = ENGINES if arguments.trl else ENGINES[:1]
        found: dict[str, list[dict[str, float]]] = {engine: [] for engine in engines}
        for _ in range(arguments.rounds):
            for engine in engines:
                found[engine].append(one(arguments, engine))
    unit = "tokens / s" if arguments.gpu else "tokens / CPU-s"
    print(f"{'':16}{unit:>15}{'peak MiB':>10}{'loss after':>12}{'ours is':>9}")
    rates = {e: statistics.median(f["tokens"] / f["spent"] for f in runs) for e, runs in found.items()}
    for engine, runs in found.items():
        peak, loss = (statistics.median(f[key] for f in runs) for key in ("peak", "loss"))
        print(f"{engine:16}{rates[engine]:>15.0f}{peak:>10.0f}{loss:>12.4f}{rates['ours'] / rates[engine]:>8.2f}x")


def one(arguments: argparse.Namespace, engine: str) -> dict[str, float]:
    """One engine's run, in a process of its own."""
    given = ["trl", "model", "rows", "steps", "tokens", "lora", "held-out"]
    flags = [f"--{name}={getattr(arguments, name.replace('-', '_'))}" for name in given]
    flags += ["--gpu"] if arguments.gpu else []
    command = [sys.executable, "-m", "bench.train", f"--one={engine}", *flags]
    threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    threads |= {} if arguments.gpu else {"CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=os.environ | threads)
    return dict(json.loads(done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    main()
