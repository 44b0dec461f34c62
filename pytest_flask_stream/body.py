"""The bytes of a body, as many as are to be kept."""

from __future__ import annotations

from array import array

from .errors import ChunksNotKept


class Body:
    """The bytes of a body: every size, and the first ``keep_bytes`` bytes themselves."""

    __slots__ = ("_lost_sizes", "keep_bytes", "kept", "room")

    def __init__(self, keep_bytes: int) -> None:
        self.keep_bytes: int = keep_bytes
        self.room: int = keep_bytes
        self.kept: list[bytes] = []
        self._lost_sizes: array[int] = array("q")

    def add(self, chunk: bytes) -> None:
        """Take the next chunk: keep it whole, or only its size."""
        self.room -= len(chunk)
        if self.room >= 0:
            self.kept.append(chunk)
        else:
            self.lose(len(chunk))

    def lose(self, size: int) -> None:
        """Take the size of a chunk that is not kept. Nothing after it is kept either."""
        self.room = -1
        self._lost_sizes.append(size)

    @property
    def complete(self) -> bool:
        """Whether every byte is kept."""
        return not self._lost_sizes

    @property
    def size(self) -> int:
        """The bytes of all chunks together."""
        return sum(map(len, self.kept)) + sum(self._lost_sizes)

    def __len__(self) -> int:
        return len(self.kept) + len(self._lost_sizes)

    def size_of(self, index: int) -> int:
        """The bytes of one chunk."""
        kept = len(self.kept)
        return len(self.kept[index]) if index < kept else self._lost_sizes[index - kept]

    def kept_chunk(self, index: int) -> bytes | None:
        """One chunk, or ``None`` where only its size is kept."""
        return self.kept[index] if index < len(self.kept) else None

    def chunk(self, index: int, wanted: str) -> bytes:
        """One chunk; :class:`ChunksNotKept` for ``wanted`` where only its size is kept."""
        __tracebackhide__ = True
        if index >= len(self.kept):
            raise ChunksNotKept(wanted, self.keep_bytes)
        return self.kept[index]

    def whole(self, wanted: str) -> list[bytes]:
        """All chunks, not to be changed; :class:`ChunksNotKept` where some are only counted."""
        __tracebackhide__ = True
        if self._lost_sizes:
            raise ChunksNotKept(wanted, self.keep_bytes)
        return self.kept
