"""The image that every component runs in."""

import os

from mmst import __version__

IMAGE = os.environ.get("MMST_IMAGE", f"mmst/pipeline-python:{__version__}")
"""Set `MMST_IMAGE` when compiling for a cluster; `kfp.local` runs in this environment instead."""
