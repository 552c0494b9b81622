"""Prepared transactions in local files, for targets that cannot hold one open over a crash.

    <directory>/
      lock
      life               who writes here: a random name, new whenever a job starts from its beginning
      open               the transaction that is being written
      0000000008         a prepared one: synced, then renamed from `open`

A file is `MARTLET-OUTBOX-1\\n`, then frames: length (u32, little endian), CRC-32 of the payload (u32), payload. The
last frame has the length 2³²−1, and its CRC is of the number of frames (u64), which follows it. Without it, or with a
wrong checksum, the file is damaged: SinkError, which names it.
"""

from __future__ import annotations

import re
import struct
import uuid
import zlib
from collections.abc import Iterator
from io import BufferedWriter
from pathlib import Path

from ..errors import SinkError
from . import storage

__all__ = ["Outbox"]

_MAGIC = b"MARTLET-OUTBOX-1\n"
_HEAD = struct.Struct("<II")
_COUNT = struct.Struct("<Q")
_END = 2**32 - 1


class Outbox:
    """The transactions of one sink of one job."""

    def __init__(self, directory: Path, words: str) -> None:
        storage.make_directory(directory)
        self._directory = directory
        self._lock = storage.Lock(directory, words)
        self._file: BufferedWriter | None = None
        self._frames = 0
        life = directory / "life"
        self.life = life.read_text() if life.exists() else ""

    def renew_life(self) -> None:
        """What was committed before is none of this life's business."""
        self.life = uuid.uuid4().hex
        storage.write_durably(self._directory / "life", self.life.encode())

    @property
    def is_empty(self) -> bool:
        """Whether nothing was appended since the last prepare."""
        return self._file is None

    def append(self, payload: bytes) -> None:
        if self._file is None:
            self._file = storage.create(self._directory / "open")
            self._file.write(_MAGIC)
            self._frames = 0
        with storage.naming(self._file.name):
            self._file.write(_HEAD.pack(len(payload), zlib.crc32(payload)))
            self._file.write(payload)
        self._frames += 1

    def prepare(self, checkpoint: int) -> None:
        """Makes what was appended durable; without any, there is nothing to do."""
        if self._file is None:
            return
        count = _COUNT.pack(self._frames)
        with storage.naming(self._file.name):
            self._file.write(_HEAD.pack(_END, zlib.crc32(count)) + count)
            # 1. The content is on disk.
            storage.sync(self._file)
            self._file.close()
        self._file = None
        # 2. From here on the transaction is prepared.
        storage.rename(self._directory / "open", self._directory / f"{checkpoint:010d}")
        storage.sync_directory(self._directory)

    def prepared(self) -> list[int]:
        return sorted(int(entry.name) for entry in self._directory.iterdir() if re.fullmatch(r"\d{10}", entry.name))

    def frames(self, checkpoint: int) -> Iterator[bytes]:
        path = self._directory / f"{checkpoint:010d}"
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise _damaged(path, "it does not begin as one")
            number = 0
            while True:
                head = file.read(_HEAD.size)
                if len(head) < _HEAD.size:
                    raise _damaged(path, f"it ends after {number} parts")
                length, checksum = _HEAD.unpack(head)
                payload = file.read(_COUNT.size if length == _END else length)
                if zlib.crc32(payload) != checksum:
                    raise _damaged(path, f"the checksum of part {number} is wrong")
                if length == _END:
                    if _COUNT.unpack(payload)[0] != number:
                        raise _damaged(path, f"it has {number} parts of {_COUNT.unpack(payload)[0]}")
                    return
                yield payload
                number += 1

    def drop(self, checkpoint: int) -> None:
        storage.remove(self._directory / f"{checkpoint:010d}")
        storage.sync_directory(self._directory)

    def discard_after(self, checkpoint: int) -> None:
        """Gives up what is not prepared, and what is prepared after `checkpoint`."""
        self._discard_open()
        for number in self.prepared():
            if number > checkpoint:
                self.drop(number)

    def _discard_open(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()
        storage.remove(self._directory / "open")

    def close(self) -> None:
        self._discard_open()
        self._lock.release()


def _damaged(path: Path, how: str) -> SinkError:
    return SinkError(
        f"{path} is damaged: {how}. It holds output that was not delivered yet; restore it from a backup, or restore "
        "the job from an earlier checkpoint"
    )
