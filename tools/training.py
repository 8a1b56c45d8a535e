"""What the base models are trained by: documents → rows of tokens → batches → a Llama's weights.

The same recipe on the same device, with `THREADS` threads, gives the same weights.
"""

from __future__ import annotations

import itertools
import os
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM

from tools.documents import Document
from tools.muon import Muon

THREADS = 2
"""Sums are rounded otherwise with another number of threads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """Every choice that the weights depend on, apart from the documents."""

    seed: int = 0
    steps: int = 1_000
    rows: int = 48
    parts: int = 2
    """A batch is worked on in so many parts, each of documents of similar length, to pad little."""
    mix: tuple[tuple[str, float], ...] = ()
    """Kinds of documents, each with its share of a batch."""
    layers: int = 4
    width: int = 160
    inner: int = 448
    heads: int = 5
    muon_lr: float = 0.02
    adam_lr: float = 3e-3


Lesson = tuple[list[int], list[bool]]
"""Token ids, and for each whether there is loss on it."""


def encode(tok: Any, documents: Sequence[Document]) -> list[Lesson]:
    """Documents as tokens; see `Document` for where the loss is."""
    equals = tok.convert_tokens_to_ids(tok.tokenize(" ="))[0]
    prompts = tok([d.prompt for d in documents])["input_ids"]
    completions = tok([d.completion for d in documents])["input_ids"]
    rows = []
    for d, prompt, completion in zip(documents, prompts, completions, strict=True):
        if d.kind == "facts":
            ids = prompt + completion
            rows.append((ids, [i > 0 and ids[i - 1] == equals for i in range(len(ids))]))
        else:
            ids = [*prompt, *completion, tok.eos_token_id]
            rows.append((ids, [i >= len(prompt) for i in range(len(ids))]))
    return rows


Part = tuple[torch.Tensor, torch.Tensor]
"""Token ids and labels (-100: no loss), both [rows, longest]."""


def batches(rows: dict[str, list[Lesson]], recipe: Training, pad: int) -> Iterator[list[Part]]:
    """Every batch has the recipe's mix."""
    rng = random.Random(f"batches/{recipe.seed}")
    for _ in range(recipe.steps):
        chosen = [r for kind, share in recipe.mix for r in rng.choices(rows[kind], k=round(share * recipe.rows))]
        chosen.sort(key=lambda row: len(row[0]))
        bounds = [len(chosen) * i // recipe.parts for i in range(recipe.parts + 1)]
        yield [part(chosen[low:high], pad) for low, high in itertools.pairwise(bounds)]


def part(rows: Sequence[Lesson], pad: int) -> Part:
    """Rows padded on the right to the longest."""
    longest = max(len(ids) for ids, _ in rows)
    ids = torch.full((len(rows), longest), pad)
    labels = torch.full((len(rows), longest), -100)
    for i, (tokens, loss) in enumerate(rows):
        ids[i, : len(tokens)] = torch.tensor(tokens)
        labels[i, : len(tokens)] = torch.tensor([t if on else -100 for t, on in zip(tokens, loss, strict=True)])
    return ids, labels


def new_model(recipe: Training, tok: Any) -> LlamaForCausalLM:
    """A Llama with random weights."""
    torch.manual_seed(recipe.seed)
    config = LlamaConfig(
        vocab_size=-(-len(tok) // 16) * 16,
        hidden_size=recipe.width,
        intermediate_size=recipe.inner,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tok.eos_token_id,
        pad_token_id=tok.pad_token_id,
        attn_implementation="sdpa",
    )
    return LlamaForCausalLM(config)


def train(model: Any, rows: dict[str, list[Lesson]], recipe: Training, pad: int) -> None:
    """Muon on the layers' matrices, AdamW on embeddings and norms; the rate falls to 0 in the last 40 %."""
    matrices = [p for p in model.model.layers.parameters() if p.ndim == 2]
    others = [p for p in model.parameters() if not any(p is m for m in matrices)]
    optimisers = [
        Muon(matrices, lr=recipe.muon_lr),
        torch.optim.AdamW(others, lr=recipe.adam_lr, betas=(0.9, 0.95), weight_decay=0.0),
    ]
    schedules = [
        torch.optim.lr_scheduler.LambdaLR(o, lambda n: min((n + 1) / 50, 1, (recipe.steps - n) / (0.4 * recipe.steps)))
        for o in optimisers
    ]
    model.train()
    started = time.monotonic()
    for step, parts in enumerate(batches(rows, recipe, pad), 1):
        learnt = sum(int((labels[:, 1:] >= 0).sum()) for _, labels in parts)
        loss = 0.0
        for ids, labels in parts:
            ids, labels = ids.to(model.device), labels.to(model.device)
            hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
            on = labels[:, 1:] >= 0
            share = cross_entropy(model.lm_head(hidden[on]).float(), labels[:, 1:][on], reduction="sum") / learnt
            share.backward()  # type: ignore[no-untyped-call]
            loss += share.item()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser in optimisers:
            optimiser.step()
        for schedule in schedules:
            schedule.step()
        model.zero_grad()
        if step % 100 == 0 or step == recipe.steps:
            print(f"step {step} of {recipe.steps}, loss {loss:.3f}, {time.monotonic() - started:.0f} s", flush=True)
    model.eval()


def trained(documents: Mapping[str, Sequence[Document]], tok: Any, recipe: Training, device: str) -> Any:
    """A model trained from random weights; its weights rounded to bfloat16, held in float32."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(THREADS)
    rows = {kind: encode(tok, ds) for kind, ds in documents.items() if ds}
    model = new_model(recipe, tok).to(device)
    train(model, rows, recipe, tok.pad_token_id)
    return model.bfloat16().float()


def save(tok: Any, model: Any, folder: Path) -> None:
    """The folder that `from_pretrained` loads; what stood in it is written over."""
    folder.mkdir(parents=True, exist_ok=True)
    model.bfloat16().save_pretrained(folder)
    tok.save_pretrained(folder)
    model.float()
    for file in folder.iterdir():
        file.chmod(0o644)
