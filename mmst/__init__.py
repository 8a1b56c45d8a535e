"""Multi-Method Self-Training: a language model that teaches itself by several methods.

    mmst.grade("1/2", "0.5").equal                      # True
    mmst.extract("so the answer is 7.")                 # '7'
    mmst.check_programs(["print(6 * 7)"])[0].stdout     # '42\\n', from gVisor
    mmst.run(mmst.load_recipe("demo")).rounds           # a whole run on this machine

docs/python.md shows each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmst.version import __version__ as __version__

if TYPE_CHECKING:
    from mmst.api import Sandbox, check_programs, extract, grade, load_recipe, load_run, run
    from mmst.core.config import Config
    from mmst.core.errors import MmstError
    from mmst.core.ports import Execution
    from mmst.core.records import Report
    from mmst.grading import Comparison
    from mmst.runs.summary import RunSummary

__all__ = [
    "Comparison",
    "Config",
    "Execution",
    "MmstError",
    "Report",
    "RunSummary",
    "Sandbox",
    "check_programs",
    "extract",
    "grade",
    "load_recipe",
    "load_run",
    "run",
]


def __getattr__(name: str) -> Any:
    """Loaded when first asked for: `import mmst` alone costs nothing, and needs no other package."""
    if name in __all__:
        from mmst import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
