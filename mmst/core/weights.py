"""A checkpoint's folder on this machine, every file of which is what its manifest says."""

from __future__ import annotations

from pathlib import Path

from mmst.core.errors import DamagedError, ModelError
from mmst.core.hashes import known_sha256s
from mmst.core.manifest import BESIDE, ENTRY, Manifest
from mmst.core.ports import Store
from mmst.core.sealed import READS

LOADED = (".safetensors", ".json", ".jinja", ".model", ".py")
VOCABULARIES = {"merges.txt", "vocab.txt"}
"""What loaders of models look for in a folder by themselves: such a file decides what the model says."""
ADAPTER = "adapter"
"""The folder, in a checkpoint's, of the LoRA adapter by itself (`train.export`)."""
NAMED = 5


def checkpoint_folder(store: Store, manifest: Manifest, fetch_to: Path | None = None) -> Path:
    """A local folder that holds a checkpoint's files; fetched from a bucket.

    Every file is read and has the hash that the manifest states, unless it was before and is the
    same file still (`mmst.core.hashes`). `DamagedError` names those that are not, and what to do.

    Example:
        model = AutoModelForCausalLM.from_pretrained(checkpoint_folder(store, manifest))
    """
    if manifest.files and all(e.name.startswith(f"{ADAPTER}/") for e in manifest.files):
        raise ModelError(
            f"{manifest.ref} holds a LoRA adapter alone, and no checkpoint to go on with",
            remedy="train with train.export=both; or give it to PEFT, with the model that it was trained from",
        )
    if manifest.location:
        return _checked(
            Path(manifest.location),
            manifest,
            "put the model's files back as they were; or run with the folder as it is, which is another model",
        )
    folder = store.folder(manifest.ref)
    if folder is not None:
        again = f"delete {folder}/manifest.json and that file: the same run then makes it again"
        return _checked(folder, manifest, again)
    return _fetched(store, manifest, fetch_to or store.scratch(manifest.ref) / "files")


def _fetched(store: Store, manifest: Manifest, folder: Path) -> Path:
    for _ in range(READS):
        wrong = {name for name, _ in _differing(folder, manifest)}
        if not wrong:
            break
        for name in sorted(wrong):
            store.get_file(f"{manifest.ref}/{name}", folder / name)
    again = f"delete {store.uri}/{manifest.ref}/manifest.json and that file: the same run then makes it again"
    try:
        return _checked(folder, manifest, again)
    except DamagedError as e:
        for name, _ in _differing(folder, manifest):
            (folder / name).unlink(missing_ok=True)
        raise DamagedError(f"{store.uri}/{manifest.ref} arrived with another hash than its manifest states: {e}") from e


def _checked(folder: Path, manifest: Manifest, remedy: str) -> Path:
    differing = _differing(folder, manifest)
    if differing:
        listed = "; ".join(f"{folder / name} {what}" for name, what in differing[:NAMED])
        more = f"; and {len(differing) - NAMED} more" if len(differing) > NAMED else ""
        raise DamagedError(f"{listed}{more}", remedy=remedy)
    if strange := _strangers(folder, manifest):
        raise DamagedError(
            f"{folder / strange[0]} is no part of the checkpoint {manifest.ref}, and what loads a model would read it",
            remedy="move it out of that folder",
        )
    return folder


def _differing(folder: Path, manifest: Manifest) -> list[tuple[str, str]]:
    """The files that are not as the manifest says, each with what is wrong with it."""
    wrong, whole = [], []
    for entry in manifest.files:
        path = folder / entry.name
        size = _size(path)
        if size is None:
            wrong.append((entry.name, "is missing"))
        elif size != entry.bytes:
            wrong.append((entry.name, f"has {size} bytes, and {manifest.ref} states {entry.bytes}"))
        else:
            whole.append(entry)
    found = known_sha256s([folder / e.name for e in whole])
    other = f"does not have the hash that {manifest.ref} states"
    wrong += [(e.name, other) for e, sha256 in zip(whole, found, strict=True) if sha256 != e.sha256]
    return sorted(wrong)


def _size(path: Path) -> int | None:
    """The size of a file; None when there is none, or a folder in its place."""
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:
        return None


def _strangers(folder: Path, manifest: Manifest) -> list[str]:
    """Files of the folder that are not the manifest's and that would be loaded with it."""
    if not manifest.files:
        return []
    ours = {e.name for e in manifest.files} | BESIDE
    return sorted(
        p.name
        for p in folder.iterdir()
        if p.name not in ours
        and p.name[:1] != "."
        and (p.suffix in LOADED or p.name in VOCABULARIES)
        and not p.name.endswith(ENTRY)
        and p.is_file()
    )
