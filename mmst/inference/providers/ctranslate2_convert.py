"""Checkpoints in CTranslate2's own format: converted once, kept in the user's cache by what their files hold."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import shutil
import tempfile
from pathlib import Path

from mmst.core import locks
from mmst.core.errors import ModelError, SetupError, StoreError
from mmst.core.extras import needed
from mmst.core.hashes import files_of
from mmst.core.private import cache
from mmst.core.records import digest
from mmst.models.loading import first_line

KEPT = 4
"""Converted checkpoints that are kept, those used last."""
LIKE = "ctranslate2-"
SEAL = "mmst.sha256"
"""The file of a conversion that says what the others hold."""


def converted(folder: Path, dtype: str) -> Path:
    """The folder of a checkpoint as CTranslate2 loads it, made when it is not there yet.

    `ModelError` for an architecture that it does not take; `SetupError` when it is not installed, or there is no room.
    """
    with needed("ctranslate2", "sampling.backend=ctranslate2 needs CTranslate2"):
        import ctranslate2  # noqa: F401
    version = importlib.metadata.version("ctranslate2")
    content = digest([[e.name, e.sha256] for e in files_of(folder)]).removeprefix("sha256:")
    target = cache() / f"{LIKE}{version}-{dtype}-{content[:32]}"
    with locks.held(cache() / "ctranslate2.lock"):
        if not _whole(target):
            _convert(folder, target, dtype)
        os.utime(target)
        _forget(target)
    return target


def _convert(folder: Path, target: Path, dtype: str) -> None:
    """Made aside and renamed, so that a killed process leaves no half of it in use."""
    from ctranslate2.converters import TransformersConverter

    aside = Path(tempfile.mkdtemp(prefix=f".{LIKE}", dir=target.parent))
    try:
        made = TransformersConverter(str(folder), low_cpu_mem_usage=True)
        made.convert(str(aside / "model"), quantization=None if dtype == "float32" else dtype)
        _name_specials(aside / "model")
        (aside / "model" / SEAL).write_text(_seal(aside / "model"), encoding="utf-8")
        _remove(target)  # what is there is damaged
        (aside / "model").rename(target)
    except OSError as e:
        remedy = f"free some space, or set XDG_CACHE_HOME to a larger disk (now {target.parent})"
        raise SetupError(f"{folder} could not be converted for CTranslate2", why=str(e), remedy=remedy) from e
    except (ValueError, NotImplementedError, AttributeError, KeyError, TypeError) as e:
        raise ModelError(
            f"CTranslate2 does not take the model in {folder}",
            why=first_line(e),
            remedy="--set sampling.backend=local",
        ) from e
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _name_specials(made: Path) -> None:
    """Give special tokens that the tokenizer lacks some name: CTranslate2 wants one, and is never asked for them."""
    file, (some, *_) = made / "config.json", json.loads((made / "vocabulary.json").read_bytes())
    config = json.loads(file.read_bytes())
    missing = {key: some for key, value in config.items() if key.endswith("_token") and value is None}
    file.write_text(json.dumps(config | missing, indent=2), encoding="utf-8")


def _seal(made: Path) -> str:
    """The digest of a conversion's files. A file is read once a process, and again when it has changed."""
    return digest([[e.name, e.sha256] for e in files_of(made) if e.name != SEAL])


def _whole(target: Path) -> bool:
    """Whether a conversion is there as it was made."""
    try:
        return (target / SEAL).read_text(encoding="utf-8") == _seal(target)
    except (OSError, ValueError, StoreError):
        return False


def _remove(there: Path) -> None:
    if there.is_dir() and not there.is_symlink():
        shutil.rmtree(there)
    else:
        there.unlink(missing_ok=True)


def _forget(used: Path) -> None:
    """Remove the converted checkpoints that were not among the last ones used, and what killed conversions left."""
    # The one in use is apart: two that are used within a tick of the file system's clock have the same time.
    others = [path for path in used.parent.glob(f"{LIKE}*-*") if path != used]
    others.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for folder in (*others[KEPT - 1 :], *used.parent.glob(f".{LIKE}*")):
        with contextlib.suppress(OSError):
            shutil.rmtree(folder)
