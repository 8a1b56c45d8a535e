"""What was looked at before a run, how it stands, why it matters and the exact remedy."""

from __future__ import annotations

from dataclasses import dataclass

from mmst.core.redaction import redacted


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """One thing looked at; `needed` is false for what only some recipes use.

    Example:
        {"what": "gVisor", "ok": false, "found": "no runsc on PATH", "why": "runs the model's
         programs", "remedy": "apt-get install runsc", "needed": true}
    """

    what: str
    ok: bool
    found: str
    why: str
    remedy: str = ""
    needed: bool = True

    def __post_init__(self) -> None:
        for name in ("found", "why", "remedy"):
            object.__setattr__(self, name, redacted(getattr(self, name)))
