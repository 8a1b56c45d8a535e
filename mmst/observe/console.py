"""Rich's console with every string made safe to show: all tables, panels, progress bars and messages use it.

>>> Console(file=...).print(f"[bold]{escape(name)}[/]")     # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import rich.console
from rich import markup
from rich.errors import MarkupError
from rich.segment import Segment
from rich.text import Text

from mmst.core.redaction import redacted
from mmst.core.visible import clean


class Console(rich.console.Console):
    """A console that only shows text from outside and never interprets it."""

    def render_str(self, text: str, **how: Any) -> Text:
        """A string as text. Anything that is not our markup is shown as it is."""
        shown = clean(redacted(text))
        try:
            return super().render_str(shown, **how)
        except MarkupError:
            return super().render_str(markup.escape(shown), **how)

    def render(
        self, renderable: rich.console.RenderableType, options: rich.console.ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """The pieces to write. Rich's own control codes pass; links, and control characters in text, do not."""
        for piece in super().render(renderable, options):
            yield piece if piece.control else _plain(piece)


def escape(text: str) -> str:
    """Escape text from outside for a string with markup."""
    return markup.escape(clean(text))


def _plain(piece: Segment) -> Segment:
    text, style = clean(piece.text), piece.style
    if style is not None and style.link:
        style = style.update_link(None)
    return piece if text is piece.text and style is piece.style else Segment(text, style)
