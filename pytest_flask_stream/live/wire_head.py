"""h11's part in one HTTP/1.1 exchange: the request, the heads, the trailers. No I/O.

The only module that imports h11. What it is given to read is complete, ends with a blank line and
is bounded in size: :mod:`.wire_reader` sees to that.

Rules that are stricter than h11's are those of RFC 9112: no ``Transfer-Encoding`` together with a
``Content-Length`` (6.3), and none over HTTP/1.0 (6.1).
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

import h11

from .wire_events import BadWire, Head, shown

_MAX_LENGTH_DIGITS = 20
_SHOWN_REASON = 120
_SHOWN_FIELDS = 4

Fields = list[tuple[str, str]]


class Answer(NamedTuple):
    """The final head, what body follows it, and whether the connection may be used again."""

    head: Head
    body: Literal["none", "chunked", "length", "until close"]
    length: int
    keep_alive: bool


class HeadReader:
    """Writes a request, and reads the heads that answer it.

    :raises ValueError: if this is no request that can be sent.
    """

    def __init__(self, method: str, target: str, headers: Fields, body: bytes) -> None:
        self._h11 = h11.Connection(h11.CLIENT)
        self.request: bytes = _write_request(self._h11, method, target, headers, body)
        self._method = method
        self._keep_alive = not _says_close(headers)

    def read_head(self, block: bytes) -> Answer | None:
        """Read one head; ``None`` if it is a 1xx one, which another follows.

        :raises BadWire: if it is none.
        """
        if block[8:12] == b" 101":
            raise BadWire("101 Switching Protocols, after which no HTTP follows")
        event = self._parse(block)
        return self._answer(event) if isinstance(event, h11.Response) else None

    def read_trailers(self, block: bytes) -> Fields:
        """Read the final frame of a chunked body, with its trailers.

        :raises BadWire: if they are none.
        """
        event = self._parse(block)
        return _fields(event) if isinstance(event, h11.EndOfMessage) else []

    def _parse(self, block: bytes) -> object:
        self._h11.receive_data(block)
        try:
            return self._h11.next_event()
        # h11 0.14 has no limit for the digits of a Content-Length, but Python has one.
        except (h11.RemoteProtocolError, ValueError) as error:
            raise BadWire(_why(error, block)) from error

    def _answer(self, response: h11.Response) -> Answer:
        version = response.http_version.decode("ascii")
        headers = _fields(response)
        encoded = _values(headers, "transfer-encoding") != []
        length = next(iter(_values(headers, "content-length")), None)
        _check_framing(version, length, encoded=encoded)
        body: Literal["none", "chunked", "length", "until close"] = "until close"
        if self._method == "HEAD" or response.status_code in {204, 304}:
            body = "none"
        elif encoded:
            body = "chunked"
        elif length is not None:
            body = "length"
        status = f"{response.status_code} {response.reason.decode('latin-1')}".rstrip()
        head = Head(status, response.status_code, version, headers, body == "chunked")
        keep_alive = self._keep_alive and version >= "1.1" and not _says_close(headers)
        return Answer(head, body, int(length or 0), keep_alive)


def _check_framing(version: str, length: str | None, *, encoded: bool) -> None:
    if not version.startswith("1."):
        raise BadWire(f"a response of HTTP/{version}")
    if encoded and version < "1.1":
        raise BadWire("a Transfer-Encoding in a response of HTTP/1.0, which has none")
    if encoded and length is not None:
        raise BadWire(f"a Transfer-Encoding together with Content-Length: {length[:20]}")
    if length is not None and len(length) > _MAX_LENGTH_DIGITS:
        raise BadWire(f"a Content-Length of {len(length)} digits")


def _write_request(
    connection: h11.Connection, method: str, target: str, headers: Fields, body: bytes
) -> bytes:
    if method == "CONNECT":
        raise ValueError("CONNECT cannot be sent: it asks for a tunnel and not for a response")
    if body and not (_values(headers, "content-length") or _values(headers, "transfer-encoding")):
        raise ValueError("a body needs a Content-Length, or Transfer-Encoding: chunked")
    try:
        request = h11.Request(
            method=method.encode("latin-1"),
            target=target.encode("latin-1"),
            headers=[(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers],
        )
        events = (request, h11.Data(data=body), h11.EndOfMessage())
        return b"".join(connection.send(event) or b"" for event in events)
    except (h11.LocalProtocolError, ValueError) as error:
        reason = str(error)[:_SHOWN_REASON]
        raise ValueError(f"{method} {target[:80]} is no HTTP/1.1 request: {reason}") from error


def _why(error: Exception, head: bytes) -> str:
    """Say in one line why h11 does not take a head, with the fields that it speaks of."""
    reason = re.sub(r"bytearray\((.*)\)", r"\1", str(error), flags=re.DOTALL)
    if isinstance(error, ValueError):
        reason = "bad Content-Length"
    reason = f"a head that is no HTTP: {reason[:_SHOWN_REASON]}"
    field = re.search("Content-Length|Transfer-Encoding", reason)
    if field is None or "illegal" in reason:
        return reason
    lines = re.findall(rb"(?im)^%s:[^\r\n]*" % field[0].encode(), head)
    return f"{reason}: {', '.join(shown(line) for line in lines[:_SHOWN_FIELDS])}"


def _fields(event: h11.Response | h11.EndOfMessage) -> Fields:
    items = event.headers.raw_items()  # the names as they were sent
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in items]


def _values(headers: Fields, name: str) -> list[str]:
    return [value for field, value in headers if field.lower() == name]


def _says_close(headers: Fields) -> bool:
    tokens = ",".join(_values(headers, "connection")).lower().split(",")
    return "close" in [token.strip(" \t") for token in tokens]
