"""Streams that take their time, break, or never end."""

from collections.abc import Callable, Iterator
from itertools import count
from queue import Empty, SimpleQueue

from flask import Blueprint, Response, current_app

blueprint = Blueprint("live", __name__)

PAUSE = 1.0
HEARTBEAT = 15.0


class RowError(Exception):
    """A row of the report cannot be read."""


class Hub:
    """Hands each message to everybody who listens at that moment.

    A server finds out that a client has left when it sends something. So a comment is sent
    whenever there was nothing else to send for ``heartbeat`` seconds.
    """

    def __init__(self, heartbeat: float = HEARTBEAT) -> None:
        self._heartbeat = heartbeat
        self._inboxes: list[SimpleQueue[str]] = []

    @property
    def subscribers(self) -> int:
        """How many listen now."""
        return len(self._inboxes)

    def publish(self, message: str) -> None:
        """Hand out one message."""
        for inbox in list(self._inboxes):
            inbox.put(message)

    def listen(self) -> Iterator[str]:
        """Subscribe with the first pull, and stay until the client leaves."""
        inbox: SimpleQueue[str] = SimpleQueue()
        self._inboxes.append(inbox)
        try:
            while True:
                try:
                    yield f"data: {inbox.get(timeout=self._heartbeat)}\n\n"
                except Empty:
                    yield ": nothing new\n\n"
        finally:
            self._inboxes.remove(inbox)


@blueprint.get("/countdown")
def countdown() -> Iterator[str]:
    """Send ten chunks, with a pause before each."""

    def generate(sleep: Callable[[float], object]) -> Iterator[str]:
        for number in range(10, 0, -1):
            sleep(PAUSE)
            yield f"{number}\n"

    return generate(current_app.config["SLEEP"])


@blueprint.get("/report")
def report() -> Iterator[str]:
    """Fail when three chunks are out, and with them the status ``200 OK``."""

    def generate() -> Iterator[str]:
        yield "title\n"
        yield "first\n"
        yield "second\n"
        raise RowError("row 3 cannot be read")

    return generate()


@blueprint.get("/clock")
def clock() -> Response:
    """Tick for ever."""

    def generate(sleep: Callable[[float], object]) -> Iterator[str]:
        for tick in count():
            yield f"event: tick\ndata: {tick}\n\n"
            sleep(PAUSE)

    return Response(generate(current_app.config["SLEEP"]), mimetype="text/event-stream")


@blueprint.get("/events")
def events() -> Response:
    """Pass on what is published, until the client leaves."""
    return Response(current_app.config["HUB"].listen(), mimetype="text/event-stream")
