"""Real data that is not in the checkout: in the folder that `MMST_TEST_DATA` names."""

import os
from pathlib import Path

FOLDER = Path(os.environ.get("MMST_TEST_DATA") or "/nowhere")
DATA = FOLDER / "data"
"""The published problem sets, a folder each."""
CASES = FOLDER / "cases"
NO_DATA = "no real problem files: MMST_TEST_DATA does not name a folder that has them"
