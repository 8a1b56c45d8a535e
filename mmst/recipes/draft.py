"""A recipe for somebody's own files and model, with comments: where to start from. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import yaml


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Problem files by their roles, each as (path, format).

    `solved` are those of `train` that have annotated solutions.
    """

    train: Sequence[tuple[str, str]]
    test: Sequence[tuple[str, str]] = ()
    related: Sequence[tuple[str, str]] = ()
    unlabelled: Sequence[tuple[str, str]] = ()
    solved: Sequence[tuple[str, str]] = ()


def draft(name: str, sources: Sources, model: str, style: str, context: int) -> str:
    """The recipe's text. `context` is the model's, in tokens, 0 where it is not known."""
    apart = not sources.test
    split = {"split": "train"} if apart or sources.solved else {}
    lines = [
        f"# Start with `mmst plan --recipe {name}.yaml`: time, memory and bytes. Then `mmst run --recipe {name}.yaml`.",
        "# `mmst recipes --keys` lists all keys; --set KEY=VALUE sets one for a single run.",
        f"name: {_value(name)}",
        f"title: {_value(f'{name}: own problems, one round')}",
        "problems:",
        *_role(
            "train", sources.train, "sampled; what is verified is learnt from. Answers only, no solutions needed", split
        ),
        *_role("unlabelled", sources.unlabelled, "no answers: the samples vote for them (docs/labels.md)", {}),
    ]
    if apart:
        said = "held out: a part that the questions' hashes choose, never trained on"
        lines += _role("test", sources.train or sources.unlabelled, said, {"split": "test"})
    else:
        lines += _role("test", sources.test, "held out: what the model is measured and promoted by", {})
    lines += _role("related", sources.related, "another task, on which a new champion must not be worse", {})
    said = "annotated solutions, replayed while training; a part apart from those that are sampled"
    lines += _role("annotated", sources.solved, said, {"split": "dev"})
    tokens = 256 if not context or context >= 1024 else max(context // 4, 32)
    return "\n".join(
        [
            *lines,
            f"model: {{base: {_value(model)}}}",
            f"prompt: {{style: {style}}}    # plain, instruct, few-shot (worked examples) or chat (a template)",
            f"sampling: {{k: 8, temperature: 0.8, max_tokens: {tokens}}}    # k: samples a problem and method",
            "check: {timeout: 3.0}    # seconds of CPU time for a program, in gVisor",
            "train: {steps: 200, batch_tokens: 8192, lr: 1.0e-4, lora_rank: 16}    # lora_rank: 0 trains all weights",
            "loop: {rounds: 1, controls: [annotated-only, no-translation]}    # arms to compare with"
            if sources.solved
            else "loop: {rounds: 1, controls: [no-translation]}    # arms to compare with",
            "",
        ]
    )


def _role(role: str, files: Sequence[tuple[str, str]], comment: str, more: Mapping[str, str]) -> list[str]:
    if not files:
        return []
    lines = [f"  {role}:    # {comment}"]
    for path, format in files:
        keys = {"format": format, "path": path, **more}
        lines.append(f"    - {{{', '.join(f'{key}: {_value(value)}' for key, value in keys.items())}}}")
    return lines


def _value(text: str) -> str:
    """A string as it may stand in YAML's flow style, on one line."""
    written = yaml.safe_dump([text], default_flow_style=True, width=1 << 20, allow_unicode=True)
    return written.strip().removeprefix("[").removesuffix("]")
