"""What arrives in one HTTP/1.1 exchange: events, and the error for what is no HTTP.

Frozen values without behaviour, which need nothing installed. :mod:`.wire_reader` makes them.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

_SHOWN_BYTES = 40


class BadWire(Exception):
    """What the server sent is no HTTP response.

    Its text says what was seen, as the end of a sentence such as "the server sent …", with the
    first bytes of it.
    """


@dataclass(frozen=True, slots=True)
class Head:
    """The status line and the header fields of the final response; 1xx ones are passed over.

    ``chunked`` says whether a body in chunked frames follows: never behind a response to ``HEAD``,
    a 204 or a 304, whatever its fields say.
    """

    status: str
    status_code: int
    http_version: str
    headers: list[tuple[str, str]]
    chunked: bool


@dataclass(frozen=True, slots=True)
class Frame:
    """One whole chunked frame or, where the body has no frames, the bytes as they arrived.

    It is never empty.
    """

    data: bytes


@dataclass(frozen=True, slots=True)
class End:
    """How the response ended.

    * ``"clean"``: with its final frame, or with as many bytes as its ``Content-Length`` says, or
      with its head where no body follows.
    * ``"undelimited"``: with the connection, which is the only end that such a body has: nobody
      can know whether it was complete.
    * ``"truncated"``: the connection ended before the response did, also before its head.

    ``partial`` is what had arrived of a frame that was cut off. ``trailers`` are the fields behind
    the final frame.
    """

    how: Literal["clean", "undelimited", "truncated"]
    partial: bytes
    trailers: list[tuple[str, str]]


class NeedData(enum.Enum):
    """The type of :data:`NEED_DATA`."""

    NEED_DATA = "NEED_DATA"

    def __repr__(self) -> str:
        return self.name


NEED_DATA: Final = NeedData.NEED_DATA
"""There is no further event before more was fed."""

Event: TypeAlias = Head | Frame | End


def shown(data: bytes | bytearray) -> str:
    """Give the first bytes of something as they are written in Python."""
    return f"{bytes(data[:_SHOWN_BYTES])!r}{'…' if len(data) > _SHOWN_BYTES else ''}"
