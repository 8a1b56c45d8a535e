"""How the optional parts of MMST are installed, as a remedy says it."""


def install(extra: str) -> str:
    """The command for one of pyproject.toml's extras. MMST is on no package index, so a checkout is installed.

    >>> install("model")
    "in the checkout of MMST: pip install '.[model]'"
    """
    return f"in the checkout of MMST: pip install '.[{extra}]'"
