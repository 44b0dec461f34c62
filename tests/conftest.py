"""What all tests share: clients made by hand, and a look at what a test leaves behind."""

from __future__ import annotations

import _thread
import contextlib
import gc
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import flask
import jinja2
import pytest
from flask import Flask
from flask.testing import FlaskClient

from pytest_flask_stream import LiveStreamClient, StreamClient, StreamedResponse

pytest_plugins = ["pytester"]

with contextlib.suppress(ImportError):
    # An inner pytest forgets what it was first to import, and compiled code does not bear that.
    import sqlalchemy.orm  # noqa: F401

with contextlib.suppress(ImportError):
    from hypothesis import settings

    # The same examples in every run, and none is late because the machine is busy.
    settings.register_profile("pytest-flask-stream", derandomize=True, deadline=None)
    settings.load_profile("pytest-flask-stream")
    # --hypothesis-profile=nightly: other ones in every run.
    settings.register_profile("nightly", deadline=None, max_examples=2000)

if threading.gettrace() is not None:
    # Coverage is measured, in every thread that threading starts. The watchdog's is a bare one.
    start_bare_thread = _thread.start_new_thread

    def start_measured_thread(function: Callable[..., object], args: tuple[Any, ...]) -> int:
        def run() -> None:
            sys.settrace(threading.gettrace())
            function(*args)

        return start_bare_thread(run, ())

    _thread.start_new_thread = start_measured_thread

_POOLS = ("asyncio", "ThreadPoolExecutor")  # threads that asgiref keeps for async views


IN_PROCESS = "in-process"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--producer",
        choices=(IN_PROCESS, "werkzeug", "waitress"),
        default=IN_PROCESS,
        help="who answers the requests of the tests of the contract",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "in_process(reason): holds only where the test itself is the server"
    )


def pytest_collection_finish() -> None:
    """Have no collection of garbage look at what was imported."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run nothing but the tests of the contract where another producer is asked for."""
    if config.getoption("--producer") == IN_PROCESS:
        return
    kept, left_out = [], []
    for item in items:
        of_contract = "producer" in getattr(item, "fixturenames", ())
        (kept if of_contract else left_out).append(item)
    config.hook.pytest_deselected(items=left_out)
    items[:] = kept


@pytest.fixture
def producer(request: pytest.FixtureRequest) -> str:
    """Name who answers: this process itself, or a real server in it."""
    name: str = request.config.getoption("--producer")
    only = request.node.get_closest_marker("in_process")
    if only is not None and name != IN_PROCESS:
        pytest.skip(only.args[0])
    return name


@pytest.fixture
def over_the_wire(producer: str) -> bool:
    """Tell whether a real server answers.

    It pulls by itself, so more may have been produced than was read; and it sends no empty chunk.
    """
    return producer != IN_PROCESS


class Paced:
    """An iterable that makes each item when the test lets it, whoever pulls."""

    def __init__(self, *items: str) -> None:
        self._items = items
        self._allowed = threading.Semaphore(0)

    def let_go(self, count: int = 1) -> None:
        """Let so many more items be made."""
        for _ in range(count):
            self._allowed.release()

    def __iter__(self) -> Iterator[str]:
        for item in self._items:
            assert self._allowed.acquire(timeout=10)
            yield item


@pytest.fixture
def paced() -> type[Paced]:
    """``paced("a", "b")`` is an iterable of which the test lets each item be made."""
    return Paced


def _flask_contexts() -> tuple[bool, bool]:
    return flask.has_request_context(), flask.has_app_context()


def _threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if not thread.name.startswith(_POOLS)}


def _signal_handler() -> object:
    return signal.getsignal(signal.SIGURG) if hasattr(signal, "SIGURG") else None


@pytest.fixture(autouse=True)
def nothing_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    flask_clients: weakref.WeakSet[FlaskClient] = weakref.WeakSet()
    make = FlaskClient.__init__

    def make_and_note(self: FlaskClient, *args: Any, **kwargs: Any) -> None:
        flask_clients.add(self)
        make(self, *args, **kwargs)

    monkeypatch.setattr(FlaskClient, "__init__", make_and_note)
    monkeypatch.delenv("CI", raising=False)  # an inner pytest prints longer lines there
    before = _flask_contexts(), _signal_handler(), jinja2.Template.generate
    threads = _threads()
    yield
    new_threads = _threads() - threads
    for thread in new_threads:
        thread.join(5)
    assert [thread for thread in new_threads if thread.is_alive()] == []
    assert (_flask_contexts(), _signal_handler(), jinja2.Template.generate) == before
    assert [client for client in flask_clients if "run_wsgi_app" in vars(client)] == []


@pytest.fixture(scope="module")
def small_heap() -> None:
    """Have no collection of garbage look at what earlier tests left: it takes a short timeout."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def new_client(producer: str) -> Callable[..., StreamClient]:
    """``new_client(app)`` makes a client that the test has to close."""
    if producer == IN_PROCESS:
        return StreamClient
    return partial(LiveStreamClient, server=producer)


@pytest.fixture
def open_client(new_client: Callable[..., StreamClient]) -> Iterator[Callable[..., StreamClient]]:
    """Make stream clients by hand; each is closed after the test."""
    with contextlib.ExitStack() as clients:

        def open_client(app: object, **settings: Any) -> StreamClient:
            return clients.enter_context(new_client(app, **settings))

        yield open_client


@pytest.fixture
def get(open_client: Callable[..., StreamClient]) -> Callable[..., StreamedResponse]:
    """``get(view)`` makes an app of one view and opens ``GET /`` of it."""

    def get(view: Callable[..., Any], **settings: Any) -> StreamedResponse:
        app = Flask("one_view")
        app.add_url_rule("/", "view", view)
        return open_client(app, **settings).get("/")

    return get
