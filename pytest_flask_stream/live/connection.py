"""A client's socket: sends, receives, and waits no longer than it is told.

The deadline is the caller's, for whatever it is waiting for; a time-out per ``recv`` would never
fire where a byte comes now and then. While one side waits for the other to read, both would wait
for ever: so what is left to be sent is sent while there is waiting for an answer.

The server's thread has things to tell that do not come over the wire (the app has answered, has
raised, was closed). It wakes the one that waits with a byte through a second pair of sockets.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct

from pytest_flask_stream.errors import StreamServerError

from .app_server import AppServer

_RECEIVED_AT_ONCE = 256 * 1024
_SENT_AT_ONCE = 256 * 1024
_AT_ONCE_WITH_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)


class Connection:
    """One connection to a server.

    :raises OSError: if there is none to be had.
    """

    def __init__(self, host: str, port: int, seconds: float | None) -> None:
        self._socket = socket.create_connection((host, port), seconds)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.settimeout(0)
        self.port: int = self._socket.getsockname()[1]
        """The port on this side, by which the server knows whose request it is."""
        self.was_reset: bool = False
        """Whether the server has reset the connection."""
        self._unsent = memoryview(b"")
        self._woken, self._waker = socket.socketpair()
        self._woken.settimeout(0)
        self._waker.settimeout(0)
        self._selector: selectors.BaseSelector = _Selector()
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._selector.register(self._socket, selectors.EVENT_READ)

    def wake(self) -> None:
        """Let the one that waits look around; from any thread, also after :meth:`close`."""
        with contextlib.suppress(OSError):  # closed; or full of wakes that nobody has seen yet
            self._waker.send(b"!")

    def send(self, data: bytes) -> None:
        """Send, now and while there is waiting."""
        self._unsent = memoryview(data)
        self._send_on()

    def _send_on(self) -> None:
        try:
            while self._unsent:
                sent = self._socket.send(self._unsent[:_SENT_AT_ONCE])
                self._unsent = self._unsent[sent:]
        except BlockingIOError:
            pass
        except OSError:
            self._unsent = memoryview(b"")  # nobody wants it; what was answered is still to be read
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._unsent else 0)
        self._selector.modify(self._socket, wanted)

    def stop_sending(self) -> None:
        """Send nothing any more: the server gets a FIN, and what it sends can still be read."""
        self._unsent = memoryview(b"")
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def receive(self, seconds: float | None) -> bytes | None:
        """Give what has come, ``b""`` where the server has closed, ``None`` where nothing came.

        Waits no longer than so many seconds, and no longer than to the next :meth:`wake`.
        """
        data = self._receive_now()
        if data is None and self._wait(seconds):
            data = self._receive_now()
        return data

    def _receive_now(self) -> bytes | None:
        try:
            return self._socket.recv(_RECEIVED_AT_ONCE)
        except BlockingIOError:
            return None
        except OSError:
            self.was_reset = True
            return b""

    def _wait(self, seconds: float | None) -> bool:
        readable = False
        for key, events in self._selector.select(seconds):
            if key.fileobj is self._woken:
                self._woken.recv(4096)
            elif events & selectors.EVENT_WRITE:
                self._send_on()
            readable = readable or (
                key.fileobj is self._socket and bool(events & selectors.EVENT_READ)
            )
        return readable

    @property
    def is_idle(self) -> bool:
        """Whether it is open and nothing came that nobody has asked for."""
        return not self._unsent and self._receive_now() is None

    def close(self, *, reset: bool = False) -> None:
        """Go away: with a FIN, or with a RST."""
        self._selector.close()
        with contextlib.suppress(OSError):
            if reset:
                linger = _AT_ONCE_WITH_RESET
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            else:
                # Closed with something unread in it, a socket sends a RST.
                self._socket.shutdown(socket.SHUT_WR)
                self._receive_now()
        for one in (self._socket, self._woken, self._waker):
            one.close()


class Connections:
    """The connections of one client to its server; one that the server keeps is used again."""

    def __init__(self, server: AppServer) -> None:
        self.server: AppServer = server
        self._idle: list[Connection] = []

    def take(self, seconds: float | None) -> Connection:
        """Give a connection that nobody uses."""
        __tracebackhide__ = True
        while self._idle:
            connection = self._idle.pop()
            if connection.is_idle:
                return connection
            connection.close()
        try:
            return Connection(self.server.host, self.server.port, seconds)
        except OSError as error:
            raise StreamServerError(
                f"no connection to {self.server.url}: {error}",
                server=self.server.name,
                remedy="use the client while its server runs, that is in the same test",
            ) from error

    def give_back(self, connection: Connection) -> None:
        """Keep a connection for another request."""
        self._idle.append(connection)

    def close(self) -> None:
        """Close those that are idle."""
        while self._idle:
            self._idle.pop().close()
