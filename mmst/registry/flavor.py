"""What makes a checkpoint a model of MLflow's: `MLmodel`, with what it takes and gives, an example, requirements."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mmst.core import plugin_keys
from mmst.core.records import to_json
from mmst.registry.reference import FILE, Reference
from mmst.version import __version__

LOADER = "mmst.pyfunc"
ASKED: Mapping[str, bool] = MappingProxyType({"question": True, "method": False})
"""The columns of a question, all of them text, and whether each must be there."""
ANSWERED: Mapping[str, bool] = MappingProxyType(
    {"question": True, "method": True, "solution": True, "answer": False, "reason": True}
)
"""The columns of an answer, all of them text, and whether each always has a value."""
EXAMPLE = "Ann has 3 apples and buys 4 . How many now ?"


def write(folder: Path, answering: Mapping[str, Any], reference: Reference | None) -> None:
    """Make `folder`, with all files of a pyfunc model but the weights, which are to be put into `checkpoint/`.

    Where there is a `reference`, that is in their place. `answering` is the recipe's part that `mmst.pyfunc` is given.
    """
    from mlflow import pyfunc
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from pandas import DataFrame

    def schema(columns: Mapping[str, bool]) -> Any:
        return Schema([ColSpec(DataType.string, name, required=required) for name, required in columns.items()])

    filed = [file["name"] for file in answering.get("method_files", ())]
    model = Model()
    pyfunc.save_model(
        folder,
        loader_module=LOADER,
        mlflow_model=model,
        model_config=dict(answering),
        signature=ModelSignature(schema(ASKED), schema(ANSWERED)),
        input_example=DataFrame({"question": [EXAMPLE]}),
        pip_requirements=[
            f"mmst[model,registry]=={__version__}",
            *plugin_keys.requirements(answering.get("methods", ()), filed),
        ],
    )
    model.flavors["python_function"]["data"] = FILE if reference else "checkpoint"
    model.save(folder / "MLmodel")
    if reference:
        (folder / FILE).write_text(to_json(reference), encoding="utf-8")
