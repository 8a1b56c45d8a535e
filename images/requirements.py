"""`python3 requirements.py EXTRA…`: what pyproject.toml requires, with these extras, one requirement a line.

A stage of the images prints it, so that other changes of pyproject.toml do not cost the layers of packages.
"""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
extras = [requirement for name in sys.argv[1:] for requirement in project["optional-dependencies"][name]]
print("\n".join([*project["dependencies"], *extras]))
