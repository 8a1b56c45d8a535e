"""A small fine-tuning task: a tiny random model, examples, and the specification."""

from pathlib import Path
from typing import Any

from mmst.core.config import TrainConfig
from mmst.core.hashes import file_sha256
from mmst.core.ports import TrainSpec
from mmst.core.records import Example, to_data, to_json
from tests.support.tiny_models import tiny_model

DEFAULTS: dict[str, Any] = {"steps": 8, "batch_tokens": 512, "checkpoint_every": 3, "lr": 3e-3}


def examples(count: int = 60) -> list[Example]:
    """Sums of two numbers by both methods."""
    made = []
    for n in range(count):
        a, b = n % 7, n % 5
        method, label, solution = [
            ("code", "Python", f"print({a} + {b})"),
            ("text", "Text", f"{a} + {b} = {a + b} .\nThe answer is {a + b}"),
        ][n % 2]
        prompt = f"Question: Ann has {a} apples and {b} more.\n{label}:\n"
        made.append(Example(problem_id=f"p-{n}", method=method, prompt=prompt, completion=solution, origin="own"))
    return made


def task(folder: Path, name: str = "run", architecture: str = "llama", **settings: Any) -> TrainSpec:
    """The specification of a run in `folder/name`; all runs in a folder share model and examples."""
    model, order = folder / architecture, folder / "order.jsonl"
    if not model.exists():
        tiny_model(model, architecture)
        order.write_text("".join(to_json(e) + "\n" for e in examples()))
    return TrainSpec(
        model=str(model),
        examples=str(order),
        out=str(folder / name / "out"),
        scratch=str(folder / name / "work"),
        seed=7,
        settings=to_data(TrainConfig(**DEFAULTS | settings)),
    )


def digests(spec: TrainSpec) -> dict[str, str]:
    """The hash of every file of the exported folder."""
    files = [path for path in Path(spec.out).rglob("*") if path.is_file()]
    return {path.relative_to(spec.out).as_posix(): file_sha256(path) for path in files}
