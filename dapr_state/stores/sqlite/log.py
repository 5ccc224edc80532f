"""Whether the log still holds what SQLite wrote into it, as its index (the file `-shm`) tells.

SQLite keeps its place in the log in memory. Where the file was cut, it goes on behind a hole, and whoever opens the
database next reads as far as the hole. What no checkpoint has brought into the database is lost, with all that follows.
Formats: https://sqlite.org/walformat.html and https://sqlite.org/fileformat2.html#walformat
"""

from __future__ import annotations

import mmap
import os
import struct
import threading
from pathlib import Path
from typing import Final

import msgspec

_VERSION: Final = 3007000  # of the index, the only one there is
# version, -, changes, is it valid, -, page size, frames, pages of the database, checksum, salt, checksum
_HEADER: Final = struct.Struct("=III??HII8s8s8s")
_COPY: Final = _HEADER.size
_COPIES: Final = 2 * _COPY  # SQLite writes it twice: they differ while it does
# and, behind the copy: frames that are in the database, locks, frames that shall come there
_FIELDS: Final = struct.Struct(f"{_HEADER.format}{_HEADER.size}xI28xI")
_LOG_HEADER: Final = 32  # octets before the first frame
_FRAME_HEADER: Final = 24  # octets before each page
_SALT: Final = 8  # where the salt stands in it
_CHECKS: Final = 8  # at an index that others write: they may begin the log anew, with all that it had in the database
_OCTETS_AT_ONCE: Final = 1 << 16  # of frames that are looked at: those of some usual commits


class State(msgspec.Struct, frozen=True):
    """What the index says. Frames are taken away only where a checkpoint has begun, which `begun` or `salt` tells."""

    changes: int
    page: int  # octets of one
    frames: int  # in the log, of this salt
    pages: int  # of the database, with what is in the log
    salt: bytes
    copied: int  # frames that are in the database
    begun: int

    @property
    def octets(self) -> int:
        """The least that the log has."""
        return _LOG_HEADER + self.frames * (_FRAME_HEADER + self.page) if self.frames else 0


class Log:
    """Open it after the connections of this process, and close it after them."""

    def __init__(self, path: bytes) -> None:
        self._index = _open(path + b"-shm")
        self._log = os.open(path + b"-wal", os.O_RDONLY)  # SQLite has no locks on it, which closing would take away
        self._seen = self.state()  # what this process has written is in there

    def state(self) -> State | None:
        """None where it is being written."""
        return self._index.state()

    @property
    def is_deleted(self) -> bool:
        return not os.fstat(self._log).st_nlink

    def is_whole(self) -> bool:
        """Whether each frame that came since the last look is in its place; the last of those before it is one."""
        for _ in range(_CHECKS):
            state, seen = self._index.state(), self._seen
            if state is None:
                continue
            first = seen.frames if seen and seen.salt == state.salt else 1
            if self._has(first or 1, state):
                self._seen = state
                return True
            if self._index.state() == state:
                return False
        return True

    def _has(self, first: int, state: State) -> bool:
        frames, salt, step = state.frames, state.salt, _FRAME_HEADER + state.page
        at_once = _OCTETS_AT_ONCE // step or 1
        while first <= frames:
            length = min(at_once, frames + 1 - first) * step
            octets = os.pread(self._log, length, _LOG_HEADER + (first - 1) * step)
            if len(octets) < length:
                return False
            for start in range(_SALT, length, step):
                if not octets.startswith(salt, start):
                    return False
            first += at_once
        return True

    def close(self) -> None:
        os.close(self._log)
        _release(self._index)


class _Index:
    """The index, in memory.

    To close a file takes away all locks that the process has on it: it is open once for all stores, and until it is
    deleted, as the last connection to the database does.
    """

    def __init__(self, file: int) -> None:
        self._file = file
        self._octets = mmap.mmap(file, _FIELDS.size, mmap.MAP_SHARED, mmap.PROT_READ)
        self.users = 0

    @property
    def is_deleted(self) -> bool:
        return not os.fstat(self._file).st_nlink

    def state(self) -> State | None:
        octets = self._octets[:]
        if octets[:_COPY] != octets[_COPY:_COPIES]:
            return None
        version, _, changes, is_valid, _, page, frames, pages, _, salt, _, copied, begun = _FIELDS.unpack_from(octets)
        if version != _VERSION or not is_valid:
            return None
        return State(changes, 1 << 16 if page == 1 else page, frames, pages, salt, copied, begun)

    def close(self) -> None:
        self._octets.close()
        os.close(self._file)


_indexes: Final[dict[tuple[int, int], _Index]] = {}  # those that are open, by device and inode
_lock: Final = threading.Lock()  # stores are opened and closed in threads


def _open(name: bytes) -> _Index:
    with _lock:
        found = Path(os.fsdecode(name)).stat()
        identity = found.st_dev, found.st_ino
        index = _indexes.get(identity)
        if index is None:
            index = _indexes[identity] = _Index(os.open(name, os.O_RDONLY))
        index.users += 1
        return index


def _release(used: _Index) -> None:
    with _lock:
        used.users -= 1
        for identity, index in list(_indexes.items()):
            if not index.users and index.is_deleted:
                del _indexes[identity]
                index.close()
