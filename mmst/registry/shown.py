"""What MLflow's pages show of a run beside its figures: the program that it is of, and its data sets."""

from __future__ import annotations

import json
from typing import Any

from mmst.core import checkout
from mmst.core.ports import DataSet
from mmst.version import __version__

_DIGEST = 36
"""The characters of a digest that MLflow takes."""


def code() -> dict[str, str]:
    """The tags that MLflow reads a run's source, and the version of it, from."""
    program = {"mlflow.source.name": f"mmst {__version__}", "mlflow.source.type": "LOCAL"}
    return program | ({"mlflow.source.git.commit": found} if (found := checkout.commit()) else {})


def description(text: str) -> dict[str, str]:
    """The tag that MLflow shows as a run's description."""
    return {"mlflow.note.content": text}


def data_set(data: DataSet) -> Any:
    """The input of a run that a data set is."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    made = Dataset(
        name=data.name,
        digest=data.digest.removeprefix("sha256:")[:_DIGEST],
        source_type="s3" if data.source.startswith("s3://") else "local",
        source=json.dumps({"uri": data.source}),
        profile=json.dumps({"num_rows": data.records}),
    )
    return DatasetInput(made, [InputTag("mlflow.data.context", data.context)])
