"""The optional parts of MMST: what is not installed is named with the command that installs it."""

from __future__ import annotations

import contextlib
import functools
import json
import shlex
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from urllib.parse import unquote, urlsplit

from mmst.core.errors import SetupError

EXTRAS: Mapping[str, tuple[str, tuple[str, ...]]] = MappingProxyType(
    {
        "pipeline": (
            "the graph of a run, and the metrics of its stages",
            ("kfp", "kfp_server_api", "prometheus_client"),
        ),
        "model": (
            "tokenizers, sampling and training",
            ("torch", "transformers", "safetensors", "peft", "tokenizers", "huggingface_hub"),
        ),
        "gguf": ("models in GGUF files", ("gguf",)),
        "ctranslate2": ("sampling.backend=ctranslate2", ("ctranslate2",)),
        "deepspeed": ("train.zero_stage", ("deepspeed",)),
        "serve": ("mmst serve", ("kserve", "starlette", "uvicorn", "prometheus_client", "httptools", "orjson")),
        "registry": ("tracking and the model registry", ("mlflow", "pandas")),
        "s3": ("runs in a bucket", ("boto3", "botocore")),
        "http": ("sampling from a server", ("httptools", "orjson")),
        "cluster": ("Kubernetes", ("kubernetes", "urllib3")),
        "grade": ("answers that take algebra to compare", ("sympy",)),
        "parquet": ("Parquet files", ("pyarrow",)),
        "view": ("mmst view", ("duckdb", "jinja2", "markupsafe", "starlette", "uvicorn")),
    }
)
"""pyproject.toml's extras: what each is for, and the packages of it that MMST imports."""

_OF = {
    **{package: "serve" for package in EXTRAS["serve"][1]},
    **{package: extra for extra, (_, packages) in EXTRAS.items() for package in packages if extra != "serve"},
}
"""The extra that is asked for where a package is missing; what several have is of the one that more commands need."""


def install(extra: str) -> str:
    """The command that adds one of pyproject.toml's extras to the MMST that runs here.

    It names the checkout or the wheel that MMST was installed from, because MMST is on no package index.
    """
    source, editable = _source()
    if source:
        return f"pip install {'-e ' if editable else ''}{shlex.quote(f'{source}[{extra}]')}"
    return f"pip install 'WHEEL[{extra}]', where WHEEL is the mmst-….whl file (or the checkout) of this version"


def lacking(error: ImportError) -> SetupError | None:
    """The error for people where a package of an extra is missing or does not load; None for any other import.

    >>> lacking(ModuleNotFoundError("No module named 'kfp.dsl'", name="kfp.dsl")).what
    'kfp is not installed'
    """
    package = _blamed(error)
    if package is None:
        return None
    extra = _OF[package]
    purpose, _ = EXTRAS[extra]
    if isinstance(error, ModuleNotFoundError) and _top(error.name) == package:
        return SetupError(f"{package} is not installed", why=f"needed for {purpose}", remedy=install(extra))
    return SetupError(f"{package} cannot be loaded", why=str(error), remedy=install(extra))


@contextlib.contextmanager
def named() -> Iterator[None]:
    """`SetupError` for a package of an extra that is imported within and is not there."""
    try:
        yield
    except ImportError as e:
        error = lacking(e)
        if error is None:
            raise
        raise error from e


@contextlib.contextmanager
def needed(extra: str, what: str) -> Iterator[None]:
    """`SetupError` that says `what` is lacking when an import within fails, and which extra has it.

    Where a package of another extra fails, that one is named.

    >>> with needed("cluster", "the Kubernetes client is missing"):
    ...     import a_client_that_is_not_there
    Traceback (most recent call last):
    mmst.core.errors.SetupError: the Kubernetes client is missing (No module named 'a_client_that_is_not_there'). \
Remedy: pip install ...[cluster]...
    """
    try:
        yield
    except ImportError as e:
        package = _blamed(e)
        other = lacking(e) if package not in EXTRAS[extra][1] else None
        raise other or SetupError(what, why=str(e), remedy=install(extra)) from None


def _blamed(error: ImportError) -> str | None:
    """The package of an extra that is not there, or the innermost one that was being loaded."""
    if _top(error.name) in ("mmst", *_OF):
        return _top(error.name) if _top(error.name) in _OF else None
    frames = [_top(frame.f_globals.get("__name__")) for frame, _ in traceback.walk_tb(error.__traceback__)]
    return next((name for name in reversed(frames) if name in _OF), None)


def _top(module: str | None) -> str:
    return (module or "").partition(".")[0]


@functools.cache
def _source() -> tuple[str, bool]:
    """The checkout, wheel or address that MMST was installed from ("" where that is gone); whether it is editable."""
    from importlib import metadata

    root = Path(__file__).resolve().parents[2]
    if (root / "pyproject.toml").is_file():
        return str(root), True
    try:
        said = json.loads(metadata.distribution("mmst").read_text("direct_url.json") or "{}")
    except (metadata.PackageNotFoundError, ValueError):
        said = {}
    place = urlsplit(str(said.get("url", "")))
    path = unquote(place.path)
    return (path, False) if place.scheme == "file" and Path(path).exists() else ("", False)
