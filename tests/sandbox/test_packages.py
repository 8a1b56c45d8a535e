# ruff: noqa: E501  programs, one a line
"""Packages of the sandbox, its root folder and what is done after a program: the parts that need no gVisor."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmst.core.config import Config, identity, parse
from mmst.core.errors import ConfigError, SetupError
from mmst.core.records import digest
from mmst.sandbox.guest import cleanup
from mmst.sandbox.guest.packages import DEFAULT, KNOWN, Seeds, wanted
from mmst.sandbox.providers import gvisor_packages, gvisor_root


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import numpy", ("numpy",)),
        ("import numpy as np\nimport math", ("numpy",)),
        ("    from numpy.linalg import solve", ("numpy",)),
        ("import math,numpy", ("numpy",)),
        ("x = __import__('numpy')", ("numpy",)),
        ("import numpy, sympy", ("numpy", "sympy")),
        ("from sympy import *", ("sympy",)),
        ("import mpmath", ("sympy",)),
        ("import pandas", ()),
        ("import pandas, numpy", ("numpy",)),
        ("import numpyro", ()),
        ("mysympy = 3", ()),
        ("print(1)", ()),
        ("", ()),
    ],
)
def test_what_a_text_names_is_imported_ahead(source: str, names: tuple[str, ...]) -> None:
    assert wanted(source.encode(), DEFAULT) == names


def test_nothing_is_imported_ahead_that_is_not_there() -> None:
    assert wanted(b"import numpy, sympy, scipy", ()) == ()
    assert wanted(b"import mpmath, numpy", ("numpy",)) == ("numpy",)
    assert wanted(b"import scipy", KNOWN) == KNOWN


def test_what_a_package_requires_comes_with_it() -> None:
    names = {d.name.lower() for d in gvisor_packages.installed(["sympy"])}
    assert names == {"sympy", "mpmath"}
    assert {d.name.lower() for d in gvisor_packages.installed(["pandas"])} >= {
        "pandas",
        "numpy",
        "six",
        "python-dateutil",
    }
    assert f"numpy {importlib.metadata.version('numpy')}" in gvisor_packages.versions(["scipy"])
    assert gvisor_packages.versions([]) == []


@pytest.mark.parametrize(
    ("missing", "asked", "remedy"),
    [
        ("sympy", "sympy", r"pip install sympy, or name other packages"),
        ("mpmath", "sympy", r"mpmath is not installed here.*sympy needs it.*pip install mpmath"),
        ("scipy", "scipy", r"scipy is not installed here.*pip install scipy"),
        ("numpy", "scipy", r"numpy is not installed here.*scipy needs it"),
    ],
)
def test_a_package_that_is_not_installed_is_an_error_with_its_remedy(
    missing: str, asked: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.metadata.distribution

    def without(name: str) -> importlib.metadata.Distribution:
        if name == missing:
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "distribution", without)
    with pytest.raises(SetupError, match=remedy):
        gvisor_packages.versions([asked])


def test_copies_are_without_tests_and_headers_and_with_licenses(tmp_path: Path) -> None:
    binaries = gvisor_packages.copy(["numpy"], tmp_path)
    found = [p.relative_to(tmp_path) for p in tmp_path.rglob("*")]
    assert not [p for p in found if "tests" in p.parts or p.suffix in (".h", ".pyi", ".pyc", ".a")]
    assert [p for p in found if "openblas" in p.name]
    assert [p for p in found if "LICENSE" in p.name]
    assert Path("numpy/testing/__init__.py") in found
    assert binaries
    assert all(".so" in p.suffixes for p in binaries)


def test_the_root_folder_follows_the_packages_and_their_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    prints = {gvisor_root._fingerprint(names) for names in ((), ("numpy",), ("numpy", "sympy"), ("sympy",))}
    assert len(prints) == 4
    before = gvisor_root._fingerprint(DEFAULT)
    monkeypatch.setattr(gvisor_packages, "versions", lambda names: [f"{name} 0.1" for name in names])
    assert gvisor_root._fingerprint(DEFAULT) not in {before, *prints}


def test_packages_are_a_key_of_the_recipe() -> None:
    assert parse({}).check.packages == ("numpy", "sympy")
    assert parse({"check": {"packages": []}}).check.packages == ()
    assert parse({"check": {"packages": ["pandas", "scipy"]}}).check.packages == ("pandas", "scipy")
    for wrong in ("requests", "Numpy", "mpmath", ""):
        with pytest.raises(ConfigError, match=r"check\.packages\[1\] must be one of numpy, sympy, scipy, pandas"):
            parse({"check": {"packages": ["numpy", wrong]}})


def test_other_packages_are_another_stage() -> None:
    keys = {digest(identity(parse({"check": {"packages": p}}).check)) for p in (["numpy", "sympy"], ["numpy"], [])}
    assert len(keys) == 3
    assert digest(identity(Config().check)) in keys


def fresh(code: str) -> str:
    """What a Python of its own prints for this, as the twin of the fork server would be."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_modules_imported_by_use_alone_are_hidden_until_they_are_asked_for() -> None:
    code = """
import sys
from mmst.sandbox.guest import preload
preload.load(("sympy",))
import sympy
print(hasattr(sympy, "physics"), "sympy.physics" in sys.modules, sympy.Dummy(), end=" ")
import sympy.physics.units
print(sympy.physics.units.meter, sympy.physics.__spec__.name, type(sympy.physics.__spec__.loader).__name__)
"""
    plain = "import sympy; print(hasattr(sympy, 'physics'), sympy.Dummy())"
    assert fresh(code) == f"False False {fresh(plain).split()[1]} meter sympy.physics SourceFileLoader"


def test_a_package_that_starts_threads_is_not_forked_from(tmp_path: Path) -> None:
    (tmp_path / "busy.py").write_text(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(9,), daemon=True).start()"
    )
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nfrom mmst.sandbox.guest import preload\npreload.load(('busy',))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "importing busy started threads"


def test_generators_are_seeded_wherever_they_are_imported() -> None:
    code = "import sys\nfrom mmst.sandbox.guest.packages import Seeds\nsys.meta_path.insert(0, Seeds)\n{}"
    draw = code.format("import numpy\nfrom sympy.core.random import random\nprint(numpy.random.rand(), random())")
    assert fresh(draw) == fresh(draw) == "0.5488135039273248 0.8444218515250481"
    assert Seeds.find_spec("numpy") is None


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    for folder in (tmp_path, *tmp_path.parents):
        if folder != Path("/tmp") and folder.is_relative_to("/tmp"):
            folder.chmod(0o755)
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o1777)
    return folder


def as_user(uid: int, code: str, folder: Path) -> None:
    """What a program of this user leaves in the folder."""
    if (pid := os.fork()) == 0:
        status = 1
        try:
            os.chdir(folder)
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            exec(code, {})
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0


@needs_root
@pytest.mark.parametrize(
    "code",
    [
        "pass",
        "for n in range(50): open(str(n), 'w')",
        "import os; os.makedirs('a/b/c'); open('a/b/c/d', 'w'); os.chmod('a/b/c', 0); os.chmod('a/b', 0o100); os.chmod('a', 0o400)",
        "import os; os.mkdir('e', 0); os.symlink('/etc', 'l'); os.mkfifo('f'); os.link('f', 'g'); os.symlink('e', 'm')",
        "import os\nfor n in range(400): os.mkdir('x' * 200); os.chdir('x' * 200)",
        "import os\nfor n in range(40): os.makedirs(f'{n}/{n}/{n}'); os.chmod(f'{n}/{n}', 0); os.chmod(f'{n}', 0o500)",
        "open(b'\\xff', 'w'); open('-rf', 'w'); open('a\\nb', 'w'); open('x' * 255, 'w')",
        "import socket; s = socket.socket(socket.AF_UNIX); s.bind('s')",
    ],
)
def test_a_folder_is_emptied_of_all_that_a_user_left(shared: Path, code: str) -> None:
    as_user(54321, code, shared)
    assert cleanup.empty(54321, os.fsencode(shared))
    assert list(shared.iterdir()) == []
    assert os.geteuid() == 0


@needs_root
def test_links_are_removed_and_never_followed(shared: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    kept.chmod(0o777)
    (kept / "file").write_text("x")
    as_user(
        54321, f"import os; os.symlink({str(kept)!r}, 'l'); os.mkdir('d'); os.symlink({str(kept)!r}, 'd/l')", shared
    )
    assert cleanup.empty(54321, os.fsencode(shared))
    assert (kept / "file").read_text() == "x"


@needs_root
def test_too_much_is_said_and_bounded(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleanup, "MOST", 20)
    as_user(54321, "for n in range(50): open(str(n), 'w')", shared)
    assert not cleanup.empty(54321, os.fsencode(shared))
    as_user(54321, "import os\nos.makedirs('/'.join('d' * 60))", shared)
    assert not cleanup.empty(54321, os.fsencode(shared))


@needs_root
def test_what_another_user_left_is_not_passed_over(shared: Path) -> None:
    as_user(54322, "open('other', 'w')", shared)
    assert not cleanup.empty(54321, os.fsencode(shared))
