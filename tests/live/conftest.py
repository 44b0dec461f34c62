"""What the tests of live mode share: clients on either server, gates, and a fake server."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fake_server import Conversation, FakeServer
from flask import Flask

from pytest_flask_stream import LiveStreamClient, LiveStreamedResponse

DEADLINE = 20.0  # s; nobody waits that long unless something is broken


class Gate:
    """Lets a thread wait for the test, or the test for a thread."""

    def __init__(self) -> None:
        self._opened = threading.Event()

    def open(self) -> None:
        self._opened.set()

    def wait(self) -> None:
        assert self._opened.wait(DEADLINE), "nobody has opened the gate"

    @property
    def is_open(self) -> bool:
        return self._opened.is_set()


@pytest.fixture
def opened() -> Iterator[contextlib.ExitStack]:
    """What is closed after the test, the last one first."""
    with contextlib.ExitStack() as opened:
        yield opened


@pytest.fixture
def gates(opened: contextlib.ExitStack) -> Iterator[Callable[[], Gate]]:
    """Make gates; they are open at the latest when clients are closed: nobody stays stuck there."""
    made: list[Gate] = []

    def make() -> Gate:
        made.append(Gate())
        return made[-1]

    yield make
    for gate in made:
        gate.open()


@pytest.fixture
def gate(gates: Callable[[], Gate]) -> Gate:
    return gates()


@pytest.fixture(params=("werkzeug", "waitress"))
def server(request: pytest.FixtureRequest) -> str:
    """Name the server: each of both."""
    return str(request.param)


@pytest.fixture
def open_client(server: str, opened: contextlib.ExitStack) -> Callable[..., LiveStreamClient]:
    """Make live clients by hand; each is closed after the test."""

    def open_client(app: Any, **settings: Any) -> LiveStreamClient:
        return opened.enter_context(LiveStreamClient(app, server=server, **settings))

    return open_client


@pytest.fixture
def get(open_client: Callable[..., LiveStreamClient]) -> Callable[..., LiveStreamedResponse]:
    """``get(view)`` makes an app of one view and opens ``GET /`` of it."""

    def get(view: Callable[..., Any], **settings: Any) -> LiveStreamedResponse:
        app = Flask("one_view")
        app.testing = True
        app.add_url_rule("/", "view", view)
        return open_client(app, **settings).get("/")

    return get


@pytest.fixture
def fake(opened: contextlib.ExitStack) -> Callable[..., LiveStreamClient]:
    """``fake(answer)`` makes a client of a server that says what ``answer`` says, byte for byte.

    ``answer`` is bytes, or a function that is called with each :class:`Conversation`.
    """

    def fake(answer: bytes | Callable[[Conversation], object], **settings: Any) -> LiveStreamClient:
        server: Any = opened.enter_context(FakeServer(answer))
        client = LiveStreamClient(Flask("not_asked"), server=server, **settings)
        return opened.enter_context(client)

    return fake
