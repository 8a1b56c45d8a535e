"""The read-only root folder of the sandbox: this machine's Python and its libraries, nothing else."""

from __future__ import annotations

import compileall
import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmst.core import private
from mmst.core.errors import SetupError
from mmst.sandbox import guest
from mmst.sandbox.guest import archive
from mmst.sandbox.guest.cleanup import TMP_MIB
from mmst.sandbox.guest.packages import DEFAULT, FOLDER
from mmst.sandbox.guest.wire import EVALUATOR_UID
from mmst.sandbox.providers import gvisor_packages

_GUEST = Path(guest.__file__).parent
_LEFT_OUT = (
    "site-packages", "dist-packages", "test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3",
    "config-*", "*_test*.so", "_testcapi*", "_tkinter*", "__phello__*", "pydoc_data", "*.opt-?.pyc",
    "_xxtestfuzz*", "nis.*",
)  # fmt: skip
_ZONES = "tzdata"
_VERSION = 3
_KEPT = 7 * 24 * 3600


def cache() -> Path:
    """`$XDG_CACHE_HOME/mmst`, created if need be."""
    folder = private.cache_path()
    folder.mkdir(parents=True, exist_ok=True, mode=0o755)
    return folder


def bundle(packages: Sequence[str] = DEFAULT) -> Path:
    """An OCI bundle (`rootfs` and `config.json`) with these packages, built once per machine.

    The folder `evaluator` in it is another, on the same root folder.

    Built aside and renamed, so that two processes may build it at once and a killed one leaves
    no half of it in use.
    """
    target = cache() / f"sandbox-{_fingerprint(packages)}"
    if target.is_dir():
        with contextlib.suppress(OSError):  # it may be in an image
            os.utime(target)
        return target
    _remove_unused()
    aside = Path(tempfile.mkdtemp(prefix="building-", dir=cache()))
    try:
        fill(aside / "rootfs", packages)
        (aside / "evaluator").mkdir()
        for folder, config in ((aside, _oci_config()), (aside / "evaluator", _evaluator_config())):
            (folder / "config.json").write_text(json.dumps(config, indent=1))
        aside.chmod(0o755)
        try:
            aside.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    except (OSError, subprocess.CalledProcessError) as e:
        remedy = f"free some space, or set XDG_CACHE_HOME to a writable folder (now {cache()})"
        raise SetupError("the sandbox's root folder could not be built", why=str(e), remedy=remedy) from e
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return target


def _remove_unused() -> None:
    """Remove bundles that no run has used for a week, and the remains of unfinished ones."""
    for folder in (*cache().glob("sandbox-*"), *cache().glob("building-*")):
        with contextlib.suppress(FileNotFoundError):
            if folder.stat().st_mtime < time.time() - _KEPT:
                shutil.rmtree(folder, ignore_errors=True)


def _base_python() -> Path:
    return Path(getattr(sys, "_base_executable", None) or sys.executable).resolve()


def _stdlib() -> Path:
    return Path(sysconfig.get_path("stdlib")).resolve()


def _dynload() -> Path:
    return next((Path(p) for p in sys.path if p.endswith("lib-dynload")), _stdlib() / "lib-dynload")


def _fingerprint(packages: Sequence[str]) -> str:
    """A digest of the interpreter and of everything that we add to it."""
    stat = _base_python().stat()
    parts = [str(_VERSION), str(_base_python()), sys.version, str(stat.st_size), str(stat.st_mtime_ns), str(_stdlib())]
    parts += [module.read_text() for module in sorted(_GUEST.glob("*.py"))]
    parts += map(json.dumps, (_oci_config(), _evaluator_config()))
    parts += gvisor_packages.versions((*packages, _ZONES))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def fill(root: Path, packages: Sequence[str] = DEFAULT) -> None:
    """Build the root folder with these packages; `images/checker` contains the same one."""
    for folder in (
        "usr/bin",
        "proc",
        "dev",
        "sys",
        "tmp",
        "in",  # where a pod finds its programs; a mount point that runsc would make in here otherwise
        "etc",
        "opt/mmst/sandbox/guest",
        "usr/lib/shared",
        "usr/share",
    ):
        (root / folder).mkdir(parents=True)
    (root / "tmp/read-only").touch()  # over an empty /tmp runsc would mount a writable one, shared by all programs
    shutil.copy2(_base_python(), root / "usr/bin/python3")
    lib = root / "usr" / sys.platlibdir / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    ignore = shutil.ignore_patterns(*_LEFT_OUT)
    shutil.copytree(_stdlib(), lib, ignore=ignore)
    if not (lib / "lib-dynload").is_dir():
        shutil.copytree(_dynload(), lib / "lib-dynload", ignore=ignore)
    for module in _GUEST.glob("*.py"):
        shutil.copy2(module, root / "opt/mmst/sandbox/guest")
    for package in ("opt/mmst", "opt/mmst/sandbox"):
        (root / package / "__init__.py").touch()
    binaries = gvisor_packages.copy(packages, root / FOLDER.lstrip("/"))
    _copy_data(root)
    for source in (lib, root / "opt"):
        compileall.compile_dir(source, quiet=2, stripdir=str(root), prependdir="/")
    archive.write(root / FOLDER.lstrip("/"), root / archive.FILE.lstrip("/"))
    copied = {p.name for p in (lib / "lib-dynload").iterdir()}
    _copy_libraries(root, [_base_python(), *(p for p in _dynload().glob("*.so") if p.name in copied), *binaries])
    for path in root.rglob("*"):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & 0o755 | (0o555 if path.is_dir() else 0o444))


def _copy_data(root: Path) -> None:
    """Time zones, and the locale in LANG if the C library does not include it."""
    with tempfile.TemporaryDirectory() as folder:
        gvisor_packages.copy([_ZONES], Path(folder))
        shutil.copytree(Path(folder) / "tzdata/zoneinfo", root / "usr/share/zoneinfo")
    for locale in Path("/usr/lib/locale").glob("C.[uU][tT][fF]*8"):
        shutil.copytree(locale, root / "usr/lib/locale" / locale.name)


def _copy_libraries(root: Path, binaries: list[Path]) -> None:
    """Copy every shared library that they need into one folder, and the loader to its expected place."""
    listed = subprocess.run(["ldd", *map(str, binaries)], capture_output=True, text=True, check=False).stdout
    for name, path in re.findall(r"^\s+(?:(\S+) => )?(/\S+) \(0x", listed, re.MULTILINE):
        target = root / "usr/lib/shared" / name if name else root / path.lstrip("/")
        if not target.exists() and Path(path).resolve() not in binaries:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)


def _evaluator_config() -> dict[str, Any]:
    """The sandbox in which programs are evaluated: the same root folder, no rights at all, another process 1."""
    config = _oci_config()
    config["root"]["path"] = "../rootfs"
    config["process"] |= {
        "user": {"uid": EVALUATOR_UID, "gid": EVALUATOR_UID},
        "args": ["/usr/bin/python3", "-s", "-P", "/opt/mmst/sandbox/guest/evaluator.py"],
        "capabilities": {},
    }
    return config


def _oci_config() -> dict[str, Any]:
    rights = ["CAP_SETUID", "CAP_SETGID", "CAP_KILL"]
    return {
        "ociVersion": "1.0.2",
        "hostname": "box",
        "root": {"path": "rootfs", "readonly": True},
        "process": {
            "cwd": "/",
            "user": {"uid": 0, "gid": 0},
            "args": ["/usr/bin/python3", "-s", "-P", "/opt/mmst/sandbox/guest/zygote.py"],
            "env": [
                "PATH=/usr/bin", "HOME=/", "LANG=C.UTF-8", "TZ=UTC", "PYTHONHOME=/usr", "PYTHONPATH=/opt",
                "PYTHONHASHSEED=0", "PYTHONDONTWRITEBYTECODE=1", "PYTHONUTF8=1", "PYTHONIOENCODING=utf-8:strict",
                "LD_LIBRARY_PATH=/usr/lib/shared", "MALLOC_ARENA_MAX=1", "OPENBLAS_NUM_THREADS=1",
                "OMP_NUM_THREADS=1", "USER=user",
            ],
            "capabilities": {kind: rights for kind in ("bounding", "effective", "permitted")},
            "noNewPrivileges": True,
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": [
                "nosuid", "nodev", "noexec", "mode=1777", f"size={TMP_MIB}m",
            ]},
        ],
        "linux": {"namespaces": [{"type": t} for t in ("pid", "network", "ipc", "uts", "mount")]},
    }  # fmt: skip
