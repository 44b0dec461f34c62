"""One exchange on a socket: a request is sent, and what comes is made into events and facts."""

from __future__ import annotations

from time import perf_counter as clock

from .connection import Connection
from .facts import WireFacts
from .request import WireRequest
from .wire_reader import NEED_DATA, End, Frame, Head, WireReader


class WireExchange:
    """A request on a connection, and what is answered there.

    :raises ValueError: if the request cannot be written down as HTTP says.
    """

    def __init__(self, request: WireRequest) -> None:
        self.facts: WireFacts = WireFacts()
        self.head: Head | None = None
        self.end: End | None = None
        self._request = request
        self._reader = WireReader(request.method, request.target, request.headers, request.body)
        self._connection: Connection | None = None

    def send(self, connection: Connection) -> None:
        """Send the request."""
        self._connection = connection
        connection.send(self._reader.request)

    def event(self) -> Head | Frame | End | None:
        """Give the next thing that has come; ``None`` where more has to be received.

        :raises BadWire: if what came is no HTTP response.
        """
        event = self._reader.next_event()
        if isinstance(event, Frame):
            if self.facts.chunked:
                self.facts.frames += 1
            return event
        if event is NEED_DATA:
            return None
        if isinstance(event, End):
            return self._ended(event)
        self.head = event
        self.facts.http_version, self.facts.chunked = event.http_version, event.chunked
        self.facts.head_at = clock()
        return event

    def _ended(self, event: End) -> End:
        self.end = event
        reset = self._connection is not None and self._connection.was_reset
        self.facts.end = "reset" if reset and event.how != "clean" else event.how
        return event

    def receive(self, seconds: float | None) -> None:
        """Wait until something has come, or somebody wakes the connection; at most so long.

        :raises BadWire: if what came is no HTTP response.
        """
        if self._connection is not None:
            data = self._connection.receive(seconds)
            if data is not None:
                self._reader.feed(data)

    def stop_sending(self) -> None:
        """Let the server know that nothing follows, where no other request can be sent.

        A server may read what the app has left of a request until there is no more: Werkzeug does,
        before it closes what the app gave.
        """
        if self._connection is not None and not self._reader.reusable:
            self._connection.stop_sending()

    def take_connection(self) -> Connection | None:
        """Give the connection away where another request can be sent on it."""
        if not self._reader.reusable:
            return None
        connection, self._connection = self._connection, None
        return connection

    def leave(self, *, reset: bool = False) -> None:
        """Close the connection; harmless when repeated."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close(reset=reset)
