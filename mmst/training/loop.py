"""The main loop of the fine-tuning worker, from batches to the exported folder."""

from __future__ import annotations

import itertools
import json
import math
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
import transformers

from mmst.core.config import TrainConfig
from mmst.core.errors import ModelError, TrainingError
from mmst.core.ports import TrainSpec
from mmst.core.records import from_data
from mmst.training import checkpoints
from mmst.training.data import Plan, TokenizedExample
from mmst.training.engines import Engine, Plain, Zero, fill, load_model, trainable
from mmst.training.guard import MEASURED, Guard


def learning_rate(step: int, s: TrainConfig) -> float:
    """Linear warm-up, then a cosine to (almost) zero; `step` counts from 0."""
    warm = round(s.warmup * s.steps)
    if step < warm:
        return s.lr * (step + 1) / warm
    return s.lr * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, s.steps - warm)))


def pad(rows: Sequence[TokenizedExample], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids (rows, tokens), padded on the right, and a mask of the tokens to learn.

    A causal model needs no attention mask for padding on the right, because no token attends to it.
    """
    width = max(len(row.ids) for row in rows)
    ids = torch.tensor([row.ids + row.ids[-1:] * (width - len(row.ids)) for row in rows])
    at = torch.arange(width)
    starts, ends = (torch.tensor([[n] for n in ns]) for ns in zip(*((r.start, len(r.ids)) for r in rows), strict=True))
    return ids.to(device), ((at >= starts) & (at < ends)).to(device)


def completion_loss(logits: torch.Tensor, ids: torch.Tensor, learnt: torch.Tensor) -> torch.Tensor:
    """Cross entropy summed over the completions' tokens, in fp32."""
    wanted = learnt[:, 1:]
    return torch.nn.functional.cross_entropy(logits[:, :-1][wanted].float(), ids[:, 1:][wanted], reduction="sum")


def part_loss(
    logits: Callable[[torch.Tensor], torch.Tensor],
    part: Sequence[Sequence[TokenizedExample]],
    rank: int,
    device: torch.device,
) -> torch.Tensor:
    """This rank's share of the loss of a step with the batches `part`, one per rank.

    Gradients are averaged over ranks: with the factor here the average is over tokens.
    """
    learnt = sum(len(row.ids) - row.start for rows in part for row in rows)
    ids, mask = pad(part[rank], device)
    return completion_loss(logits(ids), ids, mask) * (len(part) / learnt)


def measured(engine: Engine, parts: Sequence[Sequence[Sequence[TokenizedExample]]], rank: int) -> float:
    """The mean loss of some steps' batches with the current model; called by every rank."""
    return fmean(
        engine.total(part_loss(engine.evaluated, part, rank, engine.device).item()) / len(part) for part in parts
    )


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
    plan = Plan(Path(spec.examples), tokenizer, min(context, s.batch_tokens), s.batch_tokens, spec.seed)
    stream = plan.batches()
    stream = itertools.chain([next(stream)], stream)  # unusable examples are found before a model is loaded

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or max(1, len(os.sched_getaffinity(0)) // ranks)))
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    engine: Engine = Zero(spec, s) if s.zero or ranks > 1 else Plain(spec, s)
    first_parts = [[next(stream) for _ in range(ranks)] for _ in range(min(MEASURED, s.steps))]
    stream = itertools.chain(itertools.chain.from_iterable(first_parts), stream)
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
        guard = Guard(s, measured(engine, first_parts, rank))
    batches = itertools.islice(stream, len(losses) * ranks, None)
    for step in range(len(losses), s.steps):
        part = [next(batches) for _ in range(ranks)]
        loss = part_loss(engine.logits, part, rank, engine.device)
        value = engine.total(loss.item()) / ranks
        guard.check(value)
        engine.update(loss, learning_rate(step, s))
        losses.append(value)
        tokens += sum(len(row.ids) for rows in part for row in rows)
        on_step(step + 1, value)
        if (step + 1) % s.checkpoint_every == 0 and step + 1 < s.steps:
            progress = json.dumps({"losses": losses, "tokens": tokens, "start": guard.start})
            checkpoints.write(work, step + 1, progress, engine.save, first=first, wait=engine.wait)
    guard.check_end(measured(engine, first_parts, rank))
    figures = {
        "loss": round(fmean(losses[-max(1, s.steps // 10) :]), 6),
        "steps": s.steps,
        "tokens": tokens,
        "dropped": plan.dropped,
        "threads": torch.get_num_threads(),
    }
    probe, _ = pad(next(batches)[:4], engine.device)
    expected, weights = engine.probe(probe), engine.trained()
    if first:
        export(spec, s, weights, tokenizer, work / "out", probe, expected)
        checkpoints.finish(work, work / "out", Path(spec.out), json.dumps(figures))
    engine.close()


def export(
    spec: TrainSpec,
    s: TrainConfig,
    weights: Mapping[str, torch.Tensor],
    tokenizer: Any,
    folder: Path,
    probe: torch.Tensor,
    expected: torch.Tensor,
) -> None:
    """Write a Hugging Face folder in fp32 with merged adapters; load it again to check that it computes the same."""
    shutil.rmtree(folder, ignore_errors=True)
    model = trainable(spec, s)
    fill(model, weights)
    if s.lora_rank:
        model = model.merge_and_unload()
    model.save_pretrained(folder)
    save_tokenizer(tokenizer, folder)
    del model  # one copy at a time: a large model fills the memory of a node
    again = load_model(folder, expected.dtype, spec.trust_remote_code).eval()
    device = with_room(probe.device, again)
    with torch.no_grad():
        found = again.to(device)(input_ids=probe.to(device), use_cache=False).logits.to(probe.device)
    exact = 2e-2 if expected.dtype is torch.bfloat16 else 1e-3
    difference, scale = float((found - expected).abs().max()), float(expected.abs().max())
    if not difference <= exact * max(1.0, scale):
        raise TrainingError(f"the exported model's logits differ by {difference:g} from the trained one's ({scale:g})")


def with_room(device: torch.device, model: torch.nn.Module) -> torch.device:
    """The device, or the CPU if a whole model does not fit beside the sharded one on the device."""
    if device.type != "cuda":
        return device
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info(device)
    wanted = sum(p.numel() * p.element_size() for p in model.parameters())
    return device if free > 1.25 * wanted else torch.device("cpu")


def save_tokenizer(tokenizer: Any, folder: Path) -> None:
    """The tokenizer's files, without transformers' notes on how it was loaded, which differ by environment."""
    tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    kept = {k: v for k, v in settings.items() if k not in ("is_local", "local_files_only")}
    path.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
