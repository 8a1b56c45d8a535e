"""The image that every component runs in, unless the recipe's `cluster.pipeline_image` names another."""

from mmst.version import __version__

IMAGE = f"mmst/pipeline:{__version__}"
