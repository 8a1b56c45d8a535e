"""GGUF files: a folder of Hugging Face made of one, and what one says of itself.

The weights are dequantised and saved as bfloat16; the tokenizer and chat template are those of the file.
Nothing in a GGUF file is code.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from mmst.core import disk, locks, private
from mmst.core.errors import ModelError
from mmst.core.extras import needed
from mmst.core.hashes import known_sha256
from mmst.models import gguf_header
from mmst.models.description import Description, whole
from mmst.models.loading import UNREADABLE, first_line

MAGIC, ENDING = b"GGUF", ".gguf"


def folder_of(file: Path) -> tuple[Path, str]:
    """The folder made of a GGUF file, once, in the user's cache; and the file's hash."""
    check(file)
    sha256 = known_sha256(file)
    # Named as the file is, since folders name models; no name of a file may lead elsewhere.
    name = re.sub(r"[^\w.-]", "-", file.stem).strip(".") or "model"
    target = private.cache() / f"gguf-{sha256.removeprefix('sha256:')[:32]}" / name
    private.folder(target.parent)
    with locks.held(target.parent / ".lock"):
        if not target.is_dir():
            convert(file, target)
    return target, sha256


def convert(file: Path, to: Path) -> None:
    """Write a GGUF file as a folder of Hugging Face; whole or not at all. `ModelError` when it cannot be one."""
    check(file)
    gguf_header.check(file)
    to = Path(os.path.realpath(to))
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise ModelError("the folder to write is not empty", value=str(to), remedy="--to a new folder")
    with needed("gguf", "GGUF files need the package gguf"):
        import gguf  # noqa: F401
    with disk.trouble("write", to):
        private.folder(to.absolute().parent)
        aside = Path(tempfile.mkdtemp(prefix=".gguf-", dir=to.absolute().parent))
        try:
            _save(file, aside)
            aside.chmod(0o777 & ~private.umask())
            with contextlib.suppress(OSError):
                to.rmdir()
            aside.rename(to)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def describe(file: Path) -> Description:
    """What a GGUF file says of itself; no weight is read."""
    check(file)
    gguf_header.check(file)
    with needed("gguf", "GGUF files need the package gguf"):
        import gguf
    try:
        reader = gguf.GGUFReader(os.fspath(file))
        said = {
            name: field.contents() for name, field in reader.fields.items() if not name.startswith("tokenizer.ggml")
        }
        count = sum(int(tensor.n_elements) for tensor in reader.tensors)
        kinds = sorted({tensor.tensor_type.name for tensor in reader.tensors})
    except UNREADABLE as e:
        raise ModelError(f"{file} cannot be read as GGUF ({e})", remedy="download it again") from e
    kind = str(said.get("general.architecture", ""))
    return Description(
        name=str(said.get("general.name", file.stem)),
        architecture=kind,
        parameters=count,
        dtypes=tuple(kinds),
        context=whole(said.get(f"{kind}.context_length")),
        chat_template="tokenizer.chat_template" in said,
        licence=str(said.get("general.license", "")),
    )


def check(file: Path) -> None:
    """`ModelError` for what is no GGUF file."""
    try:
        with file.open("rb") as f:
            begins = f.read(len(MAGIC))
    except OSError as e:
        remedy = "check the path of the .gguf file"
        raise ModelError(
            "the GGUF file cannot be read", value=str(file), why=e.strerror or str(e), remedy=remedy
        ) from e
    if begins != MAGIC:
        raise ModelError("this is no GGUF file", value=str(file), remedy="download it again, or give a model folder")


def _save(file: Path, to: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    where: dict[str, Any] = {"gguf_file": file.name, "local_files_only": True}
    try:
        tokenizer = AutoTokenizer.from_pretrained(file.absolute().parent, **where)
        model = AutoModelForCausalLM.from_pretrained(file.absolute().parent, dtype=torch.bfloat16, **where)
    except UNREADABLE as e:
        said = first_line(e)
        remedy = "take the model's own folder of Hugging Face (safetensors) as model.base"
        raise ModelError(f"{file.name} cannot be made a model folder", why=said, remedy=remedy) from e
    # It was quantised; what is saved is not, and `save_pretrained` refuses a model that says that it is.
    model.hf_quantizer, model.is_quantized = None, False
    for owner, name in ((model, "quantization_method"), (model.config, "quantization_config")):
        with contextlib.suppress(AttributeError):
            delattr(owner, name)
    model.save_pretrained(to)
    tokenizer.save_pretrained(to)
