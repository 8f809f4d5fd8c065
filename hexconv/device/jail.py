"""Starts the emulator with minimal privileges. Run as a script of its own, never imported.

`python -I -S jail.py SPEC` with SPEC a JSON object: `command` (list), `directory` (where
it runs and reads), `write` (the files there that it may write), `read` (files and directories it
may read), `limits` (rlimit name to value),
`report` (where to write, as JSON, which privileges could be dropped on this machine).

It isolates, as far as the kernel allows: no network, no view of other processes (and none of its
own left behind: when the first process of a PID namespace ends, the kernel kills the
rest), no file outside the lists (Landlock), no sockets and no
change of modes, owners or attributes (seccomp), limits on time, memory, file sizes. It uses the
standard library only, so that starting it costs 20 ms.
"""

import ctypes
import json
import os
import resource
import signal
import struct
import sys
from pathlib import Path
from typing import Any

CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER = 0x04000000, 0x08000000, 0x10000000
CLONE_NEWPID, CLONE_NEWNET = 0x20000000, 0x40000000
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
SYS_LANDLOCK_CREATE, SYS_LANDLOCK_ADD, SYS_LANDLOCK_RESTRICT = 444, 445, 446
LANDLOCK_QUERY_VERSION = 1
LANDLOCK_RULE_PATH = 1
# linux/landlock.h: bits 0 execute, 1 write file, 2 read file, 3 read directory, 4.. make and remove
READ = 1 << 0 | 1 << 2 | 1 << 3
READ_ONE_FILE = 1 << 0 | 1 << 2
WRITE = READ_ONE_FILE | 1 << 1 | 1 << 14  # bit 14: truncate. None of them makes a file.
ALL_BY_VERSION = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1}
NEWEST_KNOWN = 3
O_PATH = 0o10000000

# What Landlock does not hold: sockets found by path, modes, owners, times and attributes of files;
# and what could lift the rest. Numbers of the kernel's calls by machine.
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
ALLOW, DENY = 0x7FFF0000, 0x00050001  # the second is an error: EPERM
EVERYWHERE = (*range(425, 434), 442, 452, 463, 466, 469)  # io_uring, mounts, fchmodat2, ...at
MACHINES = {
    "x86_64": (
        0xC000003E,
        *(41, 42, 49, 53),  # socket, connect, bind, socketpair
        *(76, 90, 91, 92, 93, 94, 132, 235, 260, 261, 268, 280),  # truncate, modes, owners, times
        *(188, 189, 190, 197, 198, 199),  # attributes
        *(101, 165, 166, 248, 249, 250, 272, 304, 308, 311, 321),  # ptrace, mount, keys, bpf, ...
    ),
    "aarch64": (
        0xC00000B7,
        *(198, 199, 200, 203),
        *(45, 52, 53, 54, 55, 88),
        *(5, 6, 7, 14, 15, 16),
        *(39, 40, 97, 117, 217, 218, 219, 265, 268, 271, 280),
    ),
}

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


def unshare() -> dict[str, bool]:
    """Leave the namespaces of network, processes, IPC and host name."""
    away = CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS
    for flags in (away | CLONE_NEWUSER, away):
        if libc.unshare(flags) == 0:
            return {"network": True, "processes": True}
    return {"network": False, "processes": False}


def add_path(ruleset: int, path: str, access: int) -> None:
    """Allow `access` at and below `path`; one that does not exist needs no rule."""
    try:
        fd = os.open(path, O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    if not Path(path).is_dir():
        access &= WRITE
    rule = struct.pack("<Qi", access, fd)
    libc.syscall(SYS_LANDLOCK_ADD, ruleset, LANDLOCK_RULE_PATH, rule, 0)
    os.close(fd)


def restrict_files(write: list[str], read: list[str]) -> bool:
    """Allow the files `write`, and `read` for reading; nothing else of the file system."""
    version = libc.syscall(SYS_LANDLOCK_CREATE, None, 0, LANDLOCK_QUERY_VERSION)
    if version < 1:
        return False
    everything = ALL_BY_VERSION[min(version, NEWEST_KNOWN)]
    attributes = struct.pack("<Q", everything)
    ruleset = libc.syscall(SYS_LANDLOCK_CREATE, attributes, len(attributes), 0)
    if ruleset < 0:
        return False
    for path in write:
        add_path(ruleset, path, WRITE & everything)
    for path in read:
        add_path(ruleset, path, READ)
    return bool(libc.syscall(SYS_LANDLOCK_RESTRICT, ruleset, 0) == 0)


def restrict_calls() -> bool:
    """Deny the system calls listed above, and those of another machine's ABI (seccomp)."""
    if os.uname().machine not in MACHINES:
        return False
    abi, *denied = MACHINES[os.uname().machine]
    denied += EVERYWHERE
    load, equal, at_least, end = 0x20, 0x15, 0x35, 0x06  # BPF: ld [k], jeq, jge, ret
    last = len(denied) + 1  # of the comparisons, after which ALLOW and DENY come
    program = [(load, 0, 0, 4), (equal, 0, last + 2, abi), (load, 0, 0, 0)]
    program += [(at_least, last, 0, 0x40000000)]  # x32
    program += [(equal, last - 1 - k, 0, number) for k, number in enumerate(denied)]
    program += [(end, 0, 0, ALLOW), (end, 0, 0, DENY)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *line) for line in program))
    header = struct.pack("@HP", len(program), ctypes.addressof(code))
    return bool(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, header, 0, 0) == 0)


def set_limits(limits: dict[str, int]) -> None:
    """Apply the resource limits, each at most at what this process has itself."""
    for name, value in limits.items():
        which = getattr(resource, name)
        hard = resource.getrlimit(which)[1]
        least = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (least, least))


def die_with_parent() -> None:
    """Be killed when the process that started this one ends."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def pass_on(pid: int) -> None:
    """Wait for `pid` and end as it ended (128 + n for signal n)."""
    status = os.waitpid(pid, 0)[1]
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)


def start(spec: dict[str, Any], taken_away: dict[str, bool]) -> None:
    """In the last process: drop everything else, then become the emulator."""
    die_with_parent()
    for ignored in (signal.SIGXFSZ, signal.SIGPIPE):  # by Python, and exec would inherit that
        signal.signal(ignored, signal.SIG_DFL)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    os.chdir(spec["directory"])
    set_limits(spec["limits"])
    with Path(spec["report"]).open("w") as report:  # opened while that is still allowed
        taken_away["files"] = restrict_files(spec["write"], [spec["directory"], *spec["read"]])
        taken_away["calls"] = restrict_calls()
        json.dump(taken_away, report)
    program = spec["command"][0]
    try:
        os.execve(program, spec["command"], {"PATH": "/usr/bin:/bin", "LC_ALL": "C"})
    except OSError as error:  # a script: its interpreter is out of reach
        sys.exit(f"{program} cannot be started as the emulator: {error.strerror}")


def main() -> None:
    """Three processes: this one outside, the first of the new PID namespace, the emulator."""
    spec = json.loads(sys.argv[1])
    die_with_parent()
    taken_away = unshare()
    outer = os.fork()
    if outer:
        pass_on(outer)
    die_with_parent()
    inner = os.fork()  # the first process of a PID namespace would not die of its own abort()
    if inner:
        pass_on(inner)
    start(spec, taken_away)


if __name__ == "__main__":
    main()
