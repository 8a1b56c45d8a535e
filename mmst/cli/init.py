"""`mmst init`: a recipe for one's own files and model."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmst.cli.options import Json, emit

if TYPE_CHECKING:
    from mmst.datasets.detect import Detected


def init(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help="Problems to learn from: files or folders of any format.")
    ],
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="The recipe to write; it must not exist yet.")],
    test: Annotated[
        list[Path],
        typer.Option(
            "--test", metavar="FILE", default_factory=list, show_default="a part of FILE…", help="Held-out problems."
        ),
    ],
    related: Annotated[
        list[Path],
        typer.Option(
            "--related", metavar="FILE", default_factory=list, show_default="none", help="Problems of a related task."
        ),
    ],
    model: Annotated[str, typer.Option("--model", metavar="MODEL", help="As model.base.")] = "mmst:tiny",
    json: Json = False,
) -> None:
    """Write a recipe with comments for problem files and a model: formats are found by reading the files.

    Problems without answers are taken as unlabelled ones; then held-out problems must be given.

    Examples:

      mmst init gsm8k/train.jsonl --test gsm8k/test.jsonl --to mine.yaml

      mmst init gsm8k/train.jsonl --model hub:Qwen/Qwen2.5-0.5B@main --to mine.yaml
    """
    from mmst.core import output, yaml
    from mmst.core.config import check_name, parse
    from mmst.core.errors import ConfigError, DataError
    from mmst.datasets.detect import detect
    from mmst.observe.console import escape
    from mmst.recipes.draft import Sources, draft

    if to.exists():
        raise ConfigError("the recipe exists already", value=str(to), remedy="give another --to, or delete it")
    check_name(to.stem, "the recipe's name (--to, without .yaml)")
    learnt, held, others = ([detect(file.expanduser()) for file in given] for given in (files, test, related))
    labelled = [found for found in learnt if found.answers]
    for found in (*held, *others):
        if not found.answers:
            raise DataError(f"{found.path} has no answers, and held-out problems need them", remedy="give another file")
    if not labelled and not held:
        what = "the problems have no answers, so that nothing can be measured by them"
        raise DataError(what, value=str(files[0]), remedy="give held-out problems with answers: --test FILE")
    sources = Sources(
        train=_named(labelled),
        test=_named(held),
        related=_named(others),
        unlabelled=_named(found for found in learnt if not found.answers),
        solved=_named(found for found in labelled if found.solutions),
    )
    style, context, missing = _asked(model)
    text = draft(to.stem, sources, model, style, context)
    parse(yaml.parse(text, str(to)))
    place = output.find(to, option="--to")
    with place.writing() as sink:
        sink.write(text.encode())
    if not held:
        missing.append("no --test: a part of the problems is held out, and the others are learnt from")
    if not others:
        missing.append("no --related: nothing says whether a new champion is worse at another task")
    listed = [{"file": str(f.path), "format": f.format, "answers": f.answers} for f in (*learnt, *held, *others)]
    said = [f"{f['file']}: {f['format']}{'' if f['answers'] else ', without answers'}" for f in listed]
    said += [f"note: {note}" for note in missing]
    said += [f"written to {to}; next: mmst plan --recipe {to}, then mmst run --recipe {to}"]
    emit({"recipe": str(to), "files": listed, "notes": missing}, json, escape("\n".join(said)))


def _named(found: Iterable[Detected]) -> list[tuple[str, str]]:
    return [(str(f.path), f.format) for f in found]


def _asked(model: str) -> tuple[str, int, list[str]]:
    """How the model is best asked, its context, and what to know of it. A model of the hub is not fetched."""
    from mmst.models.sources import describe

    if model == "mmst:tiny":
        note = "mmst:tiny is the demo's model of 1.6 million parameters: --model names yours"
        return "plain", describe(model)[0].context, [note]
    if model.startswith("hub:"):
        return "few-shot", 0, [f"{model} was not fetched: `mmst model show` says whether it has a chat template"]
    found, _ = describe(model)
    return ("chat" if found.chat_template else "few-shot"), found.context, []
