"""A server without an app: it sends the bytes that a test has written, when the test wants it."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable

_DEADLINE = 20.0


class Conversation:
    """One connection, from the side of the server."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self.request = self._read_request()

    def _read_request(self) -> bytes:
        received = b""
        while b"\r\n\r\n" not in received:
            data = self._socket.recv(65536)
            if not data:
                break
            received += data
        return received

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def reset(self) -> None:
        """End the connection with a RST."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def wait_until_client_leaves(self) -> None:
        with contextlib.suppress(OSError):
            while self._socket.recv(65536):
                pass


class FakeServer:
    """Listens on a port of its own; in every connection ``answer`` is sent, or called.

    It has of an ``AppServer`` what a client uses.
    """

    name = "fake"
    host = "127.0.0.1"

    def __init__(self, answer: bytes | Callable[[Conversation], object]) -> None:
        self._answer = answer
        self.closed = threading.Semaphore(0)
        """Released when a connection was closed."""
        self._listener = socket.create_server((self.host, 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://{self.host}:{self.port}"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> FakeServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            connection.settimeout(_DEADLINE)
            with connection, contextlib.suppress(OSError):
                if connection.getpeername()[1] == self._last_port:
                    return
                self._talk(Conversation(connection))
            self.closed.release()

    _last_port = 0

    def _talk(self, conversation: Conversation) -> None:
        if isinstance(self._answer, bytes):
            conversation.send(self._answer)
        else:
            self._answer(conversation)

    def expect(self, port: int, served: object) -> None:
        """Nobody is watched here."""

    def expect_no_more(self, served: object) -> None:
        """As above."""

    def known_to_be_stuck(self, thread: object) -> None:
        """As above."""

    def stop(self) -> None:
        if not self._thread.is_alive():
            return
        with socket.socket() as last:  # wakes the thread, which knows it by its port
            last.bind((self.host, 0))
            self._last_port = last.getsockname()[1]
            last.connect((self.host, self.port))
            self._thread.join(_DEADLINE)
        self._listener.close()
