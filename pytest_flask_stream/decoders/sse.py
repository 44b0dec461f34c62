r"""Server-sent events, by the rules of WHATWG HTML, section 9.2.6 "Interpreting an event stream".

Line ends are made equal first, so that an event ends where two line feeds meet. The last such
place of a chunk is found by one search; up to there whole blocks are split off, and what is behind
waits, unlooked-at, for the chunk that ends its block. Hence a field of ten megabytes in pieces of
one byte costs no more per byte than a short one.

Nothing here can fail: bytes that are not UTF-8 are replaced, and what is no field is passed over.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .base import Decoder, shown

_MAX_DIGITS = 640  # Python converts as many whatever its limit is set to


@dataclass(frozen=True, init=False)
class ServerSentEvent:
    """One event of an event stream.

    ``event`` is its type, ``data`` its data lines joined by newlines, ``id`` the last event ID as
    of this event (an ID stays until another is sent), ``retry`` the reconnection time in
    milliseconds if this event's block sets it.

    .. versionadded:: 0.1
    """

    event: str = "message"
    data: str = ""
    id: str = ""
    retry: int | None = None

    def __init__(
        self,
        event: str = "message",
        data: str = "",
        id: str = "",  # noqa: A002 - the field's name in the specification
        retry: int | None = None,
    ) -> None:
        # Streams have many events, and what a frozen class would generate takes half as long again.
        fields = self.__dict__
        fields["event"] = event
        fields["data"] = data
        fields["id"] = id
        fields["retry"] = retry

    def json(self) -> Any:
        """Give the data as JSON.

        :raises ValueError: if it is none; it is a ``json.JSONDecodeError``.
        """
        __tracebackhide__ = True
        try:
            return json.loads(self.data)
        except json.JSONDecodeError as error:
            reason = f"the event's data {shown(self.data)} is not JSON: {error.msg}"
            raise json.JSONDecodeError(reason, error.doc, error.pos) from None


class SSEDecoder(Decoder[ServerSentEvent]):
    """The events of an event stream (``text/event-stream``).

    Follows WHATWG HTML, section 9.2.6, to the letter: always UTF-8, invalid bytes replaced, one
    byte order mark dropped at the start; lines end at LF, CRLF or CR; comments are no events, and
    neither is a block without data; an ID that contains NUL and a ``retry`` that is not digits
    only are ignored; an unfinished last block is dropped.

    An event is given as soon as the line end that finishes its block is there. Never raises
    :class:`~pytest_flask_stream.DecodeError`.

    .. versionadded:: 0.1
    """

    _awaited = "an event is data lines, and an empty line behind them"

    def __init__(self) -> None:
        super().__init__()
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._within_character = False
        self._parts: list[str] = []  # of the block that has no end yet
        self._at_start = True
        self._at_line_start = True
        self._between_blocks = False
        self._after_cr = False
        self._id = ""

    def _decode(self, data: bytes) -> Sequence[ServerSentEvent]:
        if self._between_blocks and _is_one_data_line(data):
            try:
                event = ServerSentEvent("message", data[6:-2].decode(), self._id)
            except UnicodeDecodeError:
                pass
            else:
                self._record += 1
                return [event]
        self._between_blocks = False
        text = self._text(data)
        if text and self._at_start:
            self._at_start = False
            text = text.removeprefix("\ufeff")
        if text and (self._after_cr or "\r" in text):
            text = self._equal_line_ends(text)
        return self._events(text) if text else []

    def _finish(self) -> Sequence[ServerSentEvent]:
        return []

    def _text(self, data: bytes) -> str:
        if not self._within_character:
            try:
                return data.decode()  # five times as fast
            except UnicodeDecodeError:
                pass
        text = self._utf8.decode(data)
        self._within_character = bool(self._utf8.getstate()[0])
        return text

    def _equal_line_ends(self, text: str) -> str:
        if self._after_cr and text[0] == "\n":
            text = text[1:]
        self._after_cr = text.endswith("\r")
        return text.replace("\r\n", "\n").replace("\r", "\n")

    def _events(self, text: str) -> Sequence[ServerSentEvent]:
        cut = text.rfind("\n\n") + 2
        if cut == 1:  # there is none; but the line end before may meet one
            cut = int(self._at_line_start and text[0] == "\n")
        self._at_line_start = text[-1] == "\n"
        self._parts.append(text[:cut] if cut else text)
        if not cut:
            return []
        blocks = "".join(self._parts).split("\n\n")
        self._parts = [text[cut:]]
        self._between_blocks = not (self._parts[0] or self._after_cr or self._within_character)
        event = self._event
        events = [found for block in blocks if block and (found := event(block)) is not None]
        self._record += len(events)
        return events

    def _event(self, block: str) -> ServerSentEvent | None:
        """Interpret a block. An empty line in it can only be its first, and does nothing there."""
        if block[:6] == "data: " and "\n" not in block:
            return ServerSentEvent("message", block[6:], self._id)
        data: list[str] = []
        kind = ""
        retry = None
        for line in block.split("\n"):
            field, _, value = line.partition(":")
            if value[:1] == " ":
                value = value[1:]
            if field == "data":
                data.append(value)
            elif field == "event":
                kind = value
            elif field == "id" and "\0" not in value:
                self._id = value
            elif field == "retry" and _is_number(value):
                retry = int(value)
        if not data:
            return None
        return ServerSentEvent(kind or "message", "\n".join(data), self._id, retry)


def _is_one_data_line(data: bytes) -> bool:
    """Whether a chunk is one block of one data line, which most chunks of most streams are."""
    return (
        data.find(b"\n") == len(data) - 2
        and data[:6] == b"data: "
        and data[-1:] == b"\n"
        and b"\r" not in data
    )


def _is_number(value: str) -> bool:
    return value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS
