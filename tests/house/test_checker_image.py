"""The checker image: what its Containerfile copies is enough to make the root folder."""

import re
import shutil
import subprocess
import sys
from pathlib import Path


def test_what_is_copied_into_the_image_can_be_imported_there(repo_root: Path, tmp_path: Path) -> None:
    lines = (repo_root / "images/checker/Containerfile").read_text(encoding="utf-8").splitlines()
    copied = [line.split()[1:] for line in lines if re.match(r"COPY mmst/", line)]
    assert copied
    for *sources, target in copied:
        for source in sources:
            at = tmp_path / target if (repo_root / source).is_dir() else tmp_path / target / Path(source).name
            if (repo_root / source).is_dir():
                shutil.copytree(repo_root / source, at)
            else:
                at.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(repo_root / source, at)
    run = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        "import sys; sys.path.insert(0, '.'); import mmst.sandbox.providers.gvisor_root",
    ]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
