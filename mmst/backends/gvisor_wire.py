"""What zygote and supervisor say to each other. Standard library only; used inside the sandbox."""

from __future__ import annotations

import struct

ORDER = struct.Struct("=IIQ")
"""To the zygote, with stdin, stdout and stderr attached: user id, CPU seconds, bytes of memory."""
END = struct.Struct("=iQ")
"""To the supervisor: exit status (negative: signal), peak resident KiB."""
UNCONFINED = 126
"""The exit status of a child that could not give up its rights; no program was run in it."""
