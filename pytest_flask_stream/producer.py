"""What a response asks for chunks: the app in this process, or a socket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from .body import Body
from .record import StreamRecord
from .tape import Tape


class Producer(Protocol):
    """What gives a response its chunks, and writes the tape."""

    @property
    def tape(self) -> Tape:
        """What the app handed to the server."""

    @property
    def body(self) -> Body:
        """What arrived."""

    @property
    def record(self) -> StreamRecord:
        """The tape, as users read it."""

    @property
    def next_chunk(self) -> Callable[[], bytes]:
        """Gives the next chunk, or raises what ended the stream."""

    @property
    def busy(self) -> bool:
        """Whether a chunk is being produced at this moment."""

    @property
    def timeout(self) -> float | None:
        """Seconds that the app may keep the test waiting."""

    def set_timeout(self, timeout: float | None) -> None:
        """Change the timeout, also of a pull that has begun."""

    def pull(self, count: int) -> None:
        """Pull at most ``count`` chunks; nothing once the stream has ended."""

    def take(self, count: int) -> list[bytes]:
        """Pull at most ``count`` chunks and give them."""

    def start(self, until: Callable[[], bool] | None) -> None:
        """Begin the first pull in a thread."""

    def close(self) -> None:
        """Close; harmless when repeated."""

    def context_left(self) -> str | None:
        """Name the Flask context that the stream has left behind, if one is."""
