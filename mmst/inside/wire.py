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
THREADS = 32
"""Of one program. The guest counts a thread that could run as running, so CPU time is bounded for all of them."""
UNCONFINED = 256
"""In place of an exit status, which is less: the child could not give up its rights; no program was run in it."""
LOG_MOST = 4 << 20
"""Bytes of answers after which a pod's shard ends, done or not: kubelets keep 10 MiB of a log by default."""
