"""The system calls that a program inside the sandbox may make, as a seccomp filter (x86-64).

Standard library only: it runs inside the sandbox. Everything that is not listed fails with
EPERM: no processes, no exec, no signals to others, no sockets but an unnamed pair (asyncio
needs one), no links, no shared memory, no namespaces, no tracing. See seccomp(2).
"""

from __future__ import annotations

import ctypes
import errno
import struct

_ALLOWED = {
    "read": 0, "write": 1, "close": 3, "stat": 4, "fstat": 5, "lstat": 6, "poll": 7, "lseek": 8, "mmap": 9,
    "mprotect": 10, "munmap": 11, "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15,
    "ioctl": 16, "pread64": 17, "readv": 19, "writev": 20, "access": 21, "pipe": 22, "select": 23,
    "sched_yield": 24, "mremap": 25, "madvise": 28, "dup": 32, "dup2": 33, "pause": 34, "nanosleep": 35,
    "getitimer": 36, "alarm": 37, "setitimer": 38, "getpid": 39, "sendto": 44, "recvfrom": 45,
    "getsockname": 51, "socketpair": 53, "exit": 60, "uname": 63, "fcntl": 72, "getdents": 78, "getcwd": 79,
    "chdir": 80, "readlink": 89, "umask": 95, "gettimeofday": 96, "getrlimit": 97, "getrusage": 98,
    "sysinfo": 99, "times": 100, "getuid": 102, "getgid": 104, "geteuid": 107, "getegid": 108, "getppid": 110,
    "getpgrp": 111, "getgroups": 115, "getresuid": 118, "getresgid": 120,
    "rt_sigpending": 127, "sigaltstack": 131, "gettid": 186, "time": 201,
    "futex": 202, "sched_getaffinity": 204, "getdents64": 217, "restart_syscall": 219, "clock_gettime": 228,
    "clock_getres": 229, "clock_nanosleep": 230, "exit_group": 231, "epoll_wait": 232, "epoll_ctl": 233,
    "tgkill": 234, "openat": 257, "newfstatat": 262, "readlinkat": 267, "faccessat": 269, "pselect6": 270,
    "ppoll": 271, "set_robust_list": 273, "epoll_pwait": 281, "eventfd2": 290, "epoll_create1": 291,
    "dup3": 292, "pipe2": 293, "getrandom": 318, "membarrier": 324, "statx": 332,
    "rseq": 334, "faccessat2": 439,
}  # fmt: skip
_FILES = {
    "pwrite64": 18, "fsync": 74, "fdatasync": 75, "truncate": 76, "ftruncate": 77, "rename": 82, "mkdir": 83,
    "rmdir": 84, "unlink": 87, "chmod": 90, "fchmod": 91, "mkdirat": 258, "unlinkat": 263, "renameat": 264,
    "fchmodat": 268, "utimensat": 280, "renameat2": 316,
}  # fmt: skip
_CLONE, _CLONE3, _THREAD, _PRLIMIT = 56, 435, 0x00010000, 302
_X86_64 = 0xC000003E

_LOAD, _JEQ, _JSET, _RET = 0x20, 0x15, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NR, _ARCH, _ARG0 = 0, 4, 16  # offsets in struct seccomp_data


class _Fprog(ctypes.Structure):
    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def bpf(files: bool = False) -> bytes:
    """The filter; with `files`, one that lets a program create, change and remove its own files.

    8 bytes an instruction (code, jump if true, jump if false, operand).
    """
    allowed = [*_ALLOWED.values(), *(_FILES.values() if files else ())]
    n = len(allowed)
    body = [
        (_LOAD, 0, 0, _ARCH),
        (_JEQ, 1, 0, _X86_64),
        (_RET, 0, 0, _KILL),
        (_LOAD, 0, 0, _NR),
        *((_JEQ, n - i + 10, 0, number) for i, number in enumerate(allowed)),
        (_JEQ, 0, 3, _PRLIMIT),
        (_LOAD, 0, 0, _ARG0),
        (_JEQ, 8, 0, 0),  # its own limits, never those of whoever has the same user id
        (_RET, 0, 0, _ERRNO | errno.EPERM),
        (_JEQ, 0, 3, _CLONE),
        (_LOAD, 0, 0, _ARG0),
        (_JSET, 4, 0, _THREAD),
        (_RET, 0, 0, _ERRNO | errno.EPERM),
        (_JEQ, 0, 1, _CLONE3),
        (_RET, 0, 0, _ERRNO | errno.ENOSYS),
        (_RET, 0, 0, _ERRNO | errno.EPERM),
        (_RET, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in body)


_libc = ctypes.CDLL(None, use_errno=True)
_FILTERS = {files: ctypes.create_string_buffer(bpf(files)) for files in (False, True)}
_FPROGS = {files: _Fprog(len(f.raw) // 8, ctypes.addressof(f)) for files, f in _FILTERS.items()}


def install(files: bool) -> None:
    """Restrict this process for good, see `bpf`; raises `OSError` if the kernel refuses."""
    no_new_privs, set_seccomp, mode_filter = 38, 22, 2
    for arguments in ((no_new_privs, 1, 0, 0, 0), (set_seccomp, mode_filter, ctypes.byref(_FPROGS[files]), 0, 0)):
        if _libc.prctl(*arguments) != 0:
            raise OSError(ctypes.get_errno(), "seccomp could not be installed")
