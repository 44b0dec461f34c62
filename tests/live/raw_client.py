"""A client that is nothing but a socket: it reads what was sent, and waits for nothing forever."""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

from pytest_flask_stream.live.server import RunningServer

DEADLINE = 20.0  # s; nobody waits that long unless something is broken


class Head(NamedTuple):
    status: str
    headers: dict[str, str]


class RawClient:
    """One connection to a server."""

    def __init__(self, server: RunningServer, *, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        self.socket.settimeout(DEADLINE)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            self.socket.connect((server.host, server.port))
        except OSError:
            self.socket.close()
            raise
        self._received = b""

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    @property
    def port(self) -> int:
        port: int = self.socket.getsockname()[1]
        return port

    def get(self, path: str = "/", *, version: str = "1.1") -> RawClient:
        return self.request("GET", path, version=version)

    def request(
        self, method: str, path: str, body: bytes = b"", *, version: str = "1.1"
    ) -> RawClient:
        lines = [f"{method} {path} HTTP/{version}", "Host: test"]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        return self

    def has_received(self) -> bool:
        """Tell, without waiting, whether there is anything to read."""
        self.socket.setblocking(False)
        try:
            self._received += self.socket.recv(65536)
        except BlockingIOError:
            pass
        finally:
            self.socket.settimeout(DEADLINE)
        return bool(self._received)

    def read_head(self) -> Head:
        status, *lines = self._read_until(b"\r\n\r\n").decode("latin-1").splitlines()
        pairs = (line.split(": ", 1) for line in lines if line)
        return Head(status, {name.lower(): value for name, value in pairs})

    def read_frame(self) -> bytes:
        """Give one frame's data, nothing for the final frame; EOFError where it is cut off."""
        size = int(self._read_until(b"\r\n"), 16)
        return self._read(size + 2).removesuffix(b"\r\n")

    def read_frames(self) -> list[bytes]:
        """Give all frames up to the final one."""
        return list(iter(self.read_frame, b""))

    def read(self, size: int) -> bytes:
        return self._read(size)

    def read_to_end(self) -> bytes:
        """Give what comes until the server ends the connection, properly or with a reset."""
        try:
            while self._receive():
                pass
        except ConnectionError:
            pass
        received, self._received = self._received, b""
        return received

    def leave(self, *, reset: bool = False) -> None:
        """Close the connection: with a FIN, or with an RST."""
        if reset:
            linger = struct.pack("ii", 1, 0)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.socket.close()

    def _receive(self) -> bool:
        received = self.socket.recv(1 << 20)
        self._received += received
        return bool(received)

    def _read_until(self, end: bytes) -> bytes:
        while end not in self._received:
            if not self._receive():
                raise EOFError(f"no {end!r} in {self._received!r}")
        found, _, self._received = self._received.partition(end)
        return found

    def _read(self, size: int) -> bytes:
        while len(self._received) < size:
            if not self._receive():
                raise EOFError(f"{len(self._received)} bytes of {size}")
        found, self._received = self._received[:size], self._received[size:]
        return found
