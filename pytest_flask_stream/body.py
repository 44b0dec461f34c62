"""The bytes of a body, as many as are to be kept."""

from __future__ import annotations

from array import array

from .errors import ChunksNotKept

_MANY = 1 << 18
_NOTHING_LOST = array("q")


class Body:
    """The bytes of a body: every size, and the first ``keep_bytes`` bytes themselves.

    To subtract the size of each chunk from what room there is takes a while for a small chunk. So
    half of the room is set aside for chunks that are so ``small`` that a great many of them fit in
    there, and these need not be counted. ``room`` is what is left of the other half, until either
    is used up: from then on each chunk is counted, and no chunk is small.
    """

    __slots__ = ("_lost_sizes", "keep_bytes", "kept", "room", "small")

    def __init__(self, keep_bytes: int) -> None:
        self.keep_bytes: int = keep_bytes
        self.small: int = keep_bytes // (2 * _MANY)
        self.room: int = keep_bytes - self.small * _MANY
        self.kept: list[bytes] = []
        self._lost_sizes: array[int] = _NOTHING_LOST

    def add(self, chunk: bytes) -> None:
        """Take the next chunk: keep it whole, or only its size."""
        if len(chunk) <= self.small_among(1):
            self.kept.append(chunk)
        else:
            self.room -= len(chunk)
            if self.room >= 0:
                self.kept.append(chunk)
            else:
                self.squeeze(chunk)

    def small_among(self, count: int) -> int:
        """Give the size up to which the next ``count`` chunks are kept without being counted."""
        if self.small >= 0 and len(self.kept) + count > _MANY:
            self._count_each()
        return self.small

    def squeeze(self, chunk: bytes) -> None:
        """Take a chunk for which ``room`` is too small. After one that is lost none is kept."""
        if self.small >= 0:
            self._count_each()
            self.room -= len(chunk)
        if self.room >= 0:
            self.kept.append(chunk)
        else:
            if self._lost_sizes is _NOTHING_LOST:
                self._lost_sizes = array("q")
            self._lost_sizes.append(len(chunk))

    def _count_each(self) -> None:
        self.room = self.keep_bytes - sum(map(len, self.kept))
        self.small = -1

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
