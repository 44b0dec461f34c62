"""The pytest side: fixtures, marker, settings, report. The only module that imports pytest.

Everything of Flask, and whatever else takes time, is imported inside functions, so that the plugin
costs next to nothing in a suite that does not use it. Nothing here is autouse.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast, overload

import pytest

from .opened import opened_in_test

if TYPE_CHECKING:  # nothing of Flask is imported before a fixture is used
    from flask import Flask
    from flask.testing import FlaskClient
    from typing_extensions import Unpack

    from .client import StreamClient
    from .live.app_server import AppServer
    from .live.client import LiveStreamClient
    from .record import StreamRecord
    from .settings import StreamSettings

MARKER = "flask_stream"
SECTION = "Flask stream"
_INI_PREFIX = "flask_stream_"
_INI_HELP = {
    "timeout": "seconds that an app may keep a test waiting on one stream; 0: off (default 10)",
    "max_chunks": "chunks that a call which reads to the end puts up with (default 1000000)",
    "keep_bytes": "bytes of a body that are kept (default 67108864)",
    "isolate": "keep streams from seeing the Flask contexts of the test (default true)",
}
_REPORTED = 3
_DEFAULT_SHOWN_CHUNKS = 3
_SERVERS = ("werkzeug", "waitress")
_FOR_THE_APP = ("stream_client", "live_stream_client", "stream_server")


class MakeStreamClient(Protocol):
    """What the fixture ``make_stream_client`` gives: a function that makes further clients.

    .. versionadded:: 0.1
    """

    @overload
    def __call__(
        self,
        app: Flask | FlaskClient | None = None,
        *,
        live: Literal[True],
        **settings: Unpack[StreamSettings],
    ) -> LiveStreamClient: ...
    @overload
    def __call__(
        self,
        app: Flask | FlaskClient | None = None,
        *,
        live: bool = False,
        **settings: Unpack[StreamSettings],
    ) -> StreamClient: ...
    def __call__(
        self,
        app: Flask | FlaskClient | None = None,
        *,
        live: bool = False,
        **settings: Unpack[StreamSettings],
    ) -> StreamClient:
        """Make a client that is closed after the test.

        :param app: A ``Flask`` or an existing ``FlaskClient``; ``None`` takes the ``app`` fixture.
        :param live: Make a ``LiveStreamClient``, whose requests go over a socket to a real server.
        """


_opened_key = pytest.StashKey["list[StreamRecord]"]()
_settings_key = pytest.StashKey["StreamSettings"]()
_servers_key = pytest.StashKey["list[AppServer]"]()


# Settings


def pytest_addoption(parser: pytest.Parser) -> None:
    for name, text in _INI_HELP.items():
        parser.addini(_INI_PREFIX + name, f"pytest-flask-stream: {text}")
    group = parser.getgroup("flask-stream", "pytest-flask-stream")
    group.addoption(
        "--flask-stream-live",
        action="store_true",
        help="run the tests that use stream_client over a socket, to a real server",
    )
    group.addoption(
        "--flask-stream-server",
        choices=_SERVERS,
        default=_SERVERS[0],
        help="the server of live mode (default: %(default)s)",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        f"{MARKER}(timeout, max_chunks, keep_bytes, isolate): settings of pytest-flask-stream for"
        " this test, as keywords.",
    )
    config.stash[_settings_key] = _ini_settings(config)


def _ini_settings(config: pytest.Config) -> StreamSettings:
    settings: dict[str, Any] = {}
    for name in _INI_HELP:
        text = config.getini(_INI_PREFIX + name)
        if text not in (None, ""):
            from .settings import parse

            try:
                settings.update(parse(name, str(text)))
            except (TypeError, ValueError) as error:
                raise pytest.UsageError(f"{_INI_PREFIX}{name}: {error}") from None
    return cast("StreamSettings", settings)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    # Here and not in the fixture: a mistake in a marker is told of also where no fixture is used.
    __tracebackhide__ = True
    _marker_settings(item)


def _marker_settings(item: pytest.Item) -> StreamSettings:
    __tracebackhide__ = True
    settings: dict[str, Any] = {}
    for marker in reversed(list(item.iter_markers(MARKER))):
        if marker.args:
            raise pytest.UsageError(
                f"@pytest.mark.{MARKER} takes keywords only, not {marker.args!r}, in {item.nodeid}"
            )
        from .settings import check

        try:
            settings.update(check(marker.kwargs))
        except (TypeError, ValueError) as error:
            raise pytest.UsageError(f"@pytest.mark.{MARKER}: {error}, in {item.nodeid}") from None
    return cast("StreamSettings", settings)


def _shown_chunks(config: pytest.Config) -> int | None:
    return None if config.get_verbosity() >= 2 else _DEFAULT_SHOWN_CHUNKS


# Fixtures


@pytest.fixture
def make_stream_client(request: pytest.FixtureRequest) -> MakeStreamClient:
    """Make further stream clients: ``make_stream_client(app=None, **settings)``.

    ``app`` may be a ``Flask`` or an existing ``FlaskClient``; ``None`` takes the suite's ``app``
    fixture. Every client is closed after the test.
    """
    __tracebackhide__ = True
    config = request.config
    from_ini = config.stash[_settings_key]
    inherited = {**from_ini, **_marker_settings(request.node)}
    clients: list[StreamClient] = []

    def make(
        app: Flask | FlaskClient | None = None,
        *,
        live: bool = False,
        **settings: Unpack[StreamSettings],
    ) -> Any:
        __tracebackhide__ = True
        wanted = cast("StreamSettings", {**inherited, **settings})
        app = _app(request) if app is None else app
        if live or config.getoption("flask_stream_live"):
            client = _live_client(request.node, app, wanted)
        else:
            from .client import StreamClient

            client = StreamClient(app, **wanted)
        client._shown_chunks = _shown_chunks(config)
        clients.append(client)
        # Now, not with this fixture: the app that was asked for just now is torn down after that.
        request.node.addfinalizer(lambda: _close(clients))
        return client

    return cast("MakeStreamClient", make)


# These ask for ``app`` as an argument: so pytest knows of it when it collects, and runs a test once
# for each parameter that ``app`` may have.


@pytest.fixture
def stream_client(app: Flask, make_stream_client: MakeStreamClient) -> StreamClient:
    """Give a ``StreamClient`` for the suite's ``app`` fixture, closed after the test."""
    __tracebackhide__ = True
    return make_stream_client(app)


@pytest.fixture
def live_stream_client(app: Flask, make_stream_client: MakeStreamClient) -> LiveStreamClient:
    """Give a ``LiveStreamClient`` for the suite's ``app`` fixture, closed after the test.

    The app answers on a real server, which ``--flask-stream-server`` picks.
    """
    __tracebackhide__ = True
    return make_stream_client(app, live=True)


@pytest.fixture
def stream_server(app: Flask, request: pytest.FixtureRequest) -> AppServer:
    """Give the running server behind ``live_stream_client``: ``.host``, ``.port``, ``.url``."""
    __tracebackhide__ = True
    return _server(request.node, app)


def _live_client(item: pytest.Item, app: Any, settings: StreamSettings) -> StreamClient:
    __tracebackhide__ = True
    from .live.client import LiveStreamClient, refuse_sharing, require_h11

    require_h11()
    refuse_sharing(settings, pytest.UsageError)
    client = LiveStreamClient(app, server=_server(item, app), **settings)
    client._misuse = pytest.UsageError
    return client


def _server(item: pytest.Item, app: Any) -> AppServer:
    """Start a server for an app, or give the one that this test has already."""
    __tracebackhide__ = True
    from .client import flask_app
    from .live.app_server import AppServer

    application = flask_app(app)
    servers = item.stash.setdefault(_servers_key, [])
    for running in servers:
        if running.app is application:
            return running
    server = AppServer(application, item.config.getoption("flask_stream_server"))
    servers.append(server)
    item.addfinalizer(lambda: _stop(servers, server))
    return server


def _stop(servers: list[AppServer], server: AppServer) -> None:
    __tracebackhide__ = True
    servers.remove(server)
    server.stop()


def _app(request: pytest.FixtureRequest) -> Any:
    __tracebackhide__ = True
    try:
        return request.getfixturevalue("app")
    except pytest.FixtureLookupError as error:
        if error.argname != "app":
            raise
    raise _no_app("make_stream_client()")


@pytest.hookimpl(wrapper=True, specname="pytest_runtest_setup")
def pytest_runtest_setup_with_app() -> Generator[None, None, None]:
    # A hook of its own: a wrapper that raises before it yields would break pytest's wrappers.
    __tracebackhide__ = True
    try:
        return (yield)
    except pytest.FixtureLookupError as error:
        fixture = error.request.fixturename
        if error.argname != "app" or fixture not in _FOR_THE_APP:
            raise
    raise _no_app(fixture)


def _no_app(asking: str) -> pytest.UsageError:
    return pytest.UsageError(
        f"{asking} needs a fixture named 'app' that gives a flask.Flask, and there is none\n"
        "  remedy:  define it in conftest.py, or call make_stream_client(your_app)"
    )


def _close(clients: list[StreamClient]) -> None:
    __tracebackhide__ = True
    errors = []
    while clients:
        try:
            clients.pop(0).close()
        except BaseException as error:
            errors.append(error)
    if errors:
        raise errors[0]


# Report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    opened = item.stash[_opened_key] = []
    token = opened_in_test.set(opened)
    try:
        return (yield)
    finally:
        opened_in_test.reset(token)
        del item.stash[_opened_key]
        opened.clear()  # a client that outlives the test must not keep its streams


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    opened = item.stash.get(_opened_key, [])
    if report.failed and opened:
        raised = None if call.excinfo is None else call.excinfo.value
        report.sections.append((SECTION, _report(opened, item.config, raised)))
    if report.failed or call.when == "teardown":  # told once; and a second run has its own
        opened.clear()
    return report


def _report(
    records: list[StreamRecord], config: pytest.Config, raised: BaseException | None
) -> str:
    verbosity = config.get_verbosity()
    shown = records if verbosity >= 1 else records[-_REPORTED:]
    left_out = len(records) - len(shown)
    texts = [f"({left_out} more with -v)"] if left_out else []
    for record in shown:
        texts.append(record.transcript(limit=_shown_chunks(config)))
        if raised is not None and record.error is raised:  # no claim has said why
            from .missing import why_it_ended

            texts += why_it_ended(record._tape)
    return "\n".join(texts)


# Debugger


def pytest_enter_pdb() -> None:
    _watchdog(lambda watchdog: watchdog.suspend())


def pytest_leave_pdb() -> None:
    _watchdog(lambda watchdog: watchdog.resume())


def _watchdog(act: Callable[[Any], None]) -> None:
    from .deadline import watchdog

    act(watchdog)
