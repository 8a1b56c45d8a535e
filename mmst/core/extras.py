"""The optional parts of MMST: what is not installed is named with the command that installs it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from mmst.core.errors import SetupError


def install(extra: str) -> str:
    """The command for one of pyproject.toml's extras. MMST is on no package index, so a checkout is installed.

    >>> install("model")
    "in the checkout of MMST: pip install '.[model]'"
    """
    return f"in the checkout of MMST: pip install '.[{extra}]'"


@contextlib.contextmanager
def needed(extra: str, what: str) -> Iterator[None]:
    """`SetupError` that says `what` is lacking when an import within fails, and which extra has it.

    >>> with needed("cluster", "the Kubernetes client is missing"):
    ...     import a_client_that_is_not_there
    Traceback (most recent call last):
    mmst.core.errors.SetupError: the Kubernetes client is missing (No module named 'a_client_that_is_not_there'). \
Remedy: in the checkout of MMST: pip install '.[cluster]'
    """
    try:
        yield
    except ImportError as e:
        raise SetupError(what, why=str(e), remedy=install(extra)) from None
