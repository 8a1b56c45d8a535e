"""Makes the packages of MMST_TEST_HIDDEN look as if they were not installed, in this process and those it starts."""

import os
import sys
from collections.abc import Iterator
from typing import Any

HIDDEN = frozenset(os.environ.get("MMST_TEST_HIDDEN", "").split(","))


class Finder:
    """Another finder that knows no hidden package."""

    def __init__(self, other: Any) -> None:
        self._other = other

    def __getattr__(self, name: str) -> Any:
        return getattr(self._other, name)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """See `importlib.abc.MetaPathFinder`."""
        return None if name.partition(".")[0] in HIDDEN else self._other.find_spec(name, path, target)

    def find_distributions(self, *context: Any) -> Iterator[Any]:
        """See `importlib.metadata.DistributionFinder`."""
        find = getattr(self._other, "find_distributions", lambda *_: ())
        for distribution in find(*context):
            tops = (distribution.read_text("top_level.txt") or distribution.name.replace("-", "_")).split()
            if not HIDDEN & set(tops):
                yield distribution


if "".join(HIDDEN):
    sys.meta_path[:] = [Finder(finder) for finder in sys.meta_path]
