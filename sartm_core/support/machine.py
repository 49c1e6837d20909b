"""Errors that are the machine's, not the user's or ours: no room on the disk, no right to write, no memory.

Every command ends with exit code 1 and one line for them; 2 is for wrong usage or input.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from pathlib import Path

EXIT = 1
"""Exit code of a command that the machine stopped."""
ADVICE = {
    errno.ENOSPC: "free some space there, or write elsewhere",
    errno.EDQUOT: "free some space there, or write elsewhere",
    errno.EFBIG: "a file may not be so large here (ulimit -f)",
    errno.EROFS: "that place cannot be written to; give another",
    errno.EIO: "the disk fails; look at dmesg",
    errno.EMFILE: "too many open files (ulimit -n)",
    errno.ENOMEM: "there is too little memory, or address space (ulimit -v)",
}
WORDS = {
    "allocate memory": errno.ENOMEM, "failed to map segment": errno.ENOMEM, "bad_alloc": errno.ENOMEM,
    "start new thread": errno.ENOMEM, "out of memory": errno.ENOMEM, "failed writing file": errno.ENOSPC,
}  # fmt: skip
"""What libraries say in errors of other types."""
NEARLY_NOTHING = 1 << 16
"""Bytes; a disk with less is full, whatever a library says went wrong with its file."""


def advice(error: BaseException) -> str:
    """What to do about an error of the machine, "" for any other."""
    for one in chain(error):
        if isinstance(one, OSError) and one.errno in ADVICE:
            return ADVICE[one.errno]
        if isinstance(one, MemoryError):
            return ADVICE[errno.ENOMEM]
        if found := [number for words, number in WORDS.items() if words in str(one)]:
            return ADVICE[found[0]]
    return ""


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it came from."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def named(error: BaseException, path: Path) -> BaseException:
    """The error of writing `path`, with the path in it; a full disk where a library did not understand that it is."""
    if isinstance(error, OSError):
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        return error
    if isinstance(error, Exception) and shutil.disk_usage(path.parent).free < NEARLY_NOTHING:
        return OSError(errno.ENOSPC, "No space left on device", str(path))
    return error
