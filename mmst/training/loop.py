"""The main loop of the fine-tuning worker, from batches to the exported folder."""

from __future__ import annotations

import itertools
import json
import math
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean

import torch
import transformers

from mmst.core.config import TrainConfig
from mmst.core.errors import ModelError, TrainingError
from mmst.core.ports import TrainSpec
from mmst.core.records import from_data
from mmst.core.weights import ADAPTER
from mmst.training import checkpoints
from mmst.training.adapter import export_adapter
from mmst.training.budget import tokens_at_once
from mmst.training.data import Plan, TokenizedExample, parts
from mmst.training.engine import Engine
from mmst.training.guard import MEASURED, Guard
from mmst.training.loss import pad
from mmst.training.model import check_adapters
from mmst.training.plain import Plain
from mmst.training.zero import Zero


def learning_rate(step: int, s: TrainConfig) -> float:
    """Linear warm-up, then a cosine to (almost) zero; `step` counts from 0."""
    warm = round(s.warmup * s.steps)
    if step < warm:
        return s.lr * (step + 1) / warm
    return s.lr * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, s.steps - warm)))


Batch = Sequence[TokenizedExample]


class Steps:
    """What a step is: its batch in parts, dealt to the ranks, the loss averaged over the batch's tokens."""

    def __init__(self, engine: Engine, s: TrainConfig, rank: int, ranks: int) -> None:
        self._engine, self._rank, self._ranks = engine, rank, ranks
        self._most = tokens_at_once(s)

    def learn(self, batch: Batch) -> float:
        """Add up the gradients of a batch; its loss over all ranks. Called by every rank.

        Engines average gradients over ranks; with the factor here the average is over tokens.
        """
        mine, share = self._mine(batch), self._ranks / learnt(batch)
        value = 0.0
        for i, (rows, weight) in enumerate(mine, 1):
            loss = self._engine.loss(rows) * (weight * share)
            self._engine.learn(loss, last=i == len(mine))
            value += loss.item()
        return self._engine.total(value) / self._ranks

    def measured(self, batches: Sequence[Batch]) -> float:
        """The mean loss of some batches with the model as it is; called by every rank."""
        return fmean(
            self._engine.total(sum(self._engine.measured(rows) * weight for rows, weight in self._mine(batch)))
            / learnt(batch)
            for batch in batches
        )

    def _mine(self, batch: Batch) -> list[tuple[Batch, float]]:
        """This rank's parts, with their weight: where it has fewer than others, some count for nothing."""
        all_parts = parts(batch, self._most, self._ranks, packed=self._engine.packs)
        return [(rows or batch[:1], float(bool(rows))) for rows in all_parts[self._rank :: self._ranks]]


def learnt(batch: Batch) -> int:
    """The tokens that a batch teaches."""
    return sum(len(row.ids) - row.first for row in batch)


def train(spec: TrainSpec, rank: int, ranks: int, on_step: Callable[[int, float], None]) -> None:
    """Train from the newest checkpoint, if any, and export a loadable folder to `spec.out`."""
    s = from_data(TrainConfig, spec.settings, "train")
    transformers.utils.logging.disable_progress_bar()
    work, first = Path(spec.scratch), rank == 0
    work.mkdir(parents=True, exist_ok=True)
    tokenizer = transformers.AutoTokenizer.from_pretrained(spec.model, trust_remote_code=spec.trust_remote_code)
    if tokenizer.eos_token_id is None:
        raise ModelError("the tokenizer has no end token, so no completion would end", remedy="set its eos_token")
    model_config = transformers.AutoConfig.from_pretrained(spec.model, trust_remote_code=spec.trust_remote_code)
    context = getattr(model_config, "max_position_embeddings", None) or s.batch_tokens
    plan = Plan(Path(spec.examples), tokenizer, min(context, s.batch_tokens, s.micro_tokens or context), s.batch_tokens)
    check_adapters(Path(spec.model), s, trust=spec.trust_remote_code)
    stream = plan.batches()
    stream = itertools.chain([next(stream)], stream)  # unusable examples are found before a model is loaded

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or max(1, len(os.sched_getaffinity(0)) // ranks)))
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    engine: Engine = Zero(spec, s) if s.zero or ranks > 1 else Plain(spec, s)
    steps = Steps(engine, s, rank, ranks)
    first_batches = [next(stream) for _ in range(min(MEASURED, s.steps))]
    stream = itertools.chain(first_batches, stream)
    losses: list[float] = []
    tokens = 0
    resumed = checkpoints.latest(work)
    if resumed is not None:
        step, folder = resumed
        engine.load(folder)
        state = json.loads((folder / checkpoints.PROGRESS).read_text())
        losses, tokens = state["losses"], state["tokens"]
        guard = Guard(s, state.get("start", losses[0]), losses)
        on_step(step, losses[-1])
    else:
        guard = Guard(s, steps.measured(first_batches))
    batches = itertools.islice(stream, len(losses), None)
    for step in range(len(losses), s.steps):
        batch = next(batches)
        value = steps.learn(batch)
        guard.check(value)
        engine.update(learning_rate(step, s))
        losses.append(value)
        tokens += sum(len(row.ids) for row in batch)
        on_step(step + 1, value)
        if (step + 1) % s.checkpoint_every == 0 and step + 1 < s.steps:
            progress = json.dumps({"losses": losses, "tokens": tokens, "start": guard.start})
            checkpoints.write(work, step + 1, progress, engine.save, first=first, wait=engine.wait)
    guard.check_end(steps.measured(first_batches))
    figures = {
        "loss": round(fmean(losses[-max(1, s.steps // 10) :]), 6),
        "steps": s.steps,
        "tokens": tokens,
        "dropped": plan.dropped,
        "threads": torch.get_num_threads(),
    }
    probe, _ = pad(next(batches)[:4], engine.device)
    expected = engine.probe(probe)
    folder = work / "out"
    if first:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    engine.wait()
    if s.export != "adapter":
        engine.export(folder)
    if s.export != "merged":
        export_adapter(engine.model, engine.weight, folder / ADAPTER, rank)
    engine.wait()
    if s.export != "adapter":
        compare(engine.reloaded(folder, probe), expected)
    if first:
        checkpoints.finish(work, folder, Path(spec.out), json.dumps(figures))
    engine.close()


EXACT = {torch.float32: 1e-3, torch.bfloat16: 5e-2, torch.float16: 1e-2}
"""How far the exported model's logits may be from the trained one's, as a share, by the dtype that it is stored in."""


def compare(exported: tuple[torch.Tensor, torch.dtype] | None, expected: torch.Tensor) -> None:
    """`TrainingError` unless the exported folder's logits are those of the trained model."""
    if exported is None:
        return  # another rank has loaded it
    found, stored = exported
    exact = max(EXACT[stored], EXACT[expected.dtype])
    difference = float((found - expected).norm() / expected.norm())
    if not difference <= exact:
        raise TrainingError(f"the exported model's logits differ by {difference:.2%} from the trained one's")
