"""The response of live mode: what arrived, and what came out of the socket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_flask_stream.stream import StreamedResponse
from pytest_flask_stream.tape import Tape
from pytest_flask_stream.transcript import counted

from .facts import WireEnd, WireFacts

if TYPE_CHECKING:  # it needs h11, which is an extra
    from .exchange import LiveExchange


class Wire:
    """What came out of the socket so far; read-only. It goes on while the stream does.

    .. versionadded:: 0.1
    """

    __slots__ = ("_facts", "_tape")

    def __init__(self, facts: WireFacts, tape: Tape) -> None:
        self._facts = facts
        self._tape = tape

    @property
    def http_version(self) -> str | None:
        """The version of the response, ``"1.1"`` or ``"1.0"``; ``None`` before its head came."""
        return self._facts.http_version

    @property
    def chunked(self) -> bool | None:
        """Whether the body comes in frames: ``Transfer-Encoding: chunked`` (RFC 9112, 7.1).

        ``None`` before the head came, which most servers send with the first chunk only.
        """
        return self._facts.chunked

    @property
    def frames(self) -> int:
        """How many frames have come, without the empty one that ends a body."""
        return self._facts.frames

    @property
    def head_sent_first(self) -> bool | None:
        """Whether the head came before the app had given its first chunk.

        ``None`` as long as that is open: there is neither a head nor a chunk.
        """
        came = self._facts.head_at
        first = self._tape.at[0] if self._tape.delivered else None
        if came is None:
            return None if first is None else False
        return first is None or came < first

    @property
    def end(self) -> WireEnd | None:
        """How the response ended; ``None`` while it has not, and where the test has left before.

        ``"clean"``: as its head had told, with the last frame or the last byte.
        ``"truncated"``: the server closed the connection before that.
        ``"reset"``: it did so with a reset.
        ``"undelimited"``: with the end of the connection, where that is how a body ends (HTTP/1.0;
        RFC 9112, section 6.3): whether it is complete cannot be known.
        """
        return self._facts.end

    def __repr__(self) -> str:
        head = "no head yet"
        if self.http_version is not None:
            head = f"HTTP/{self.http_version} {'chunked' if self.chunked else 'not chunked'}"
        return f"<Wire {head}: {counted(self.frames, 'frame')}, {self.end or 'no end'}>"


class LiveStreamedResponse(StreamedResponse):
    """A :class:`StreamedResponse` that is read from a socket.

    Iteration gives the frames of a chunked body, and the bytes as they arrive of any other. The
    server pulls by itself: ``produced`` may be ahead of what was read. ``status`` and ``headers``
    are those that the app gave. Claims about content judge what arrived, all others what the app
    handed to the server.

    .. versionadded:: 0.1
    """

    _producer: LiveExchange

    @property
    def wire(self) -> Wire:
        """What came out of the socket."""
        return Wire(self._producer.facts, self._tape)

    def disconnect(self, *, reset: bool = False) -> None:
        """Close the socket, and wait until the server has noticed and closed the app's iterable.

        It notices when it sends: Werkzeug's with the next chunk, waitress with the third one or
        so.

        :param reset: Go away with a TCP reset instead of a FIN.
        :raises StreamTimeout: if the server has not closed it in what is left of ``timeout``.
        """
        __tracebackhide__ = True
        self._producer.disconnect(reset=reset)

    if TYPE_CHECKING:  # the same, with the type that they give

        def __iter__(self) -> LiveStreamedResponse: ...

        def __enter__(self) -> LiveStreamedResponse: ...

    def _arriving(self, chunks: list[bytes]) -> list[bytes]:
        return [chunk for chunk in chunks if chunk]  # an empty chunk sends nothing
