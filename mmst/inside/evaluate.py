"""Stub until the evaluator is merged."""

STEPS = 50000
SOURCE = 4000
OUTPUT = 20 << 10


def evaluate(source: str) -> str | None:
    """What a program of one `print` of digits prints."""
    if source.startswith("print(") and source[6:-1].isdigit():
        return source[6:-1] + chr(10)
    return None
