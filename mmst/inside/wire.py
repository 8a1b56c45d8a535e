"""What zygote and supervisor say to each other. Standard library only; used inside the sandbox."""

from __future__ import annotations

import struct

ORDER = struct.Struct("=IIQ?")
"""To the zygote, with stdin, stdout and stderr attached: user id, CPU seconds, bytes of memory, whether it is
a bundle of harmless programs."""
END = struct.Struct("=iQ")
"""To the supervisor: exit status (negative: signal), peak resident KiB."""
LENGTH = struct.Struct("=Q")
"""Stands before every source in a bundle."""
RESULT = struct.Struct("=idQQ")
"""Of every program of a bundle: exit status, seconds, bytes of stdout and of stderr that follow."""
UNCONFINED = 126
"""The exit status of a child that could not give up its rights; no program was run in it."""
