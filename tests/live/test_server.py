"""Real servers in threads: they start, serve as HTTP/1.1 says, end, and leave nothing behind."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import queue
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, request
from raw_client import DEADLINE, RawClient
from werkzeug.serving import WSGIRequestHandler

from pytest_flask_stream import StreamError, StreamServerError
from pytest_flask_stream.live.running import RequestThreads
from pytest_flask_stream.live.server import SERVERS, RunningServer, start_server

OPEN_FILES = Path("/dev/fd")
GRACE = 10.0  # s; only a thread that is stuck is waited for as long


@pytest.fixture(params=SERVERS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def start(name: str) -> Iterator[Callable[..., RunningServer]]:
    """Start servers that serve a WSGI application, and stop them with the test."""
    servers: list[RunningServer] = []

    def start_and_note(application: Any) -> RunningServer:
        servers.append(start_server(name, application))
        return servers[-1]

    yield start_and_note
    for server in servers:
        assert server.stop(GRACE) == []


@pytest.fixture
def stream(start: Callable[..., RunningServer]) -> Callable[..., RunningServer]:
    """Start a server whose app streams what a generator function yields, at every path."""

    def start_stream(generate: Callable[[], Iterable[bytes]]) -> RunningServer:
        app = Flask(__name__)
        app.add_url_rule("/", "stream", generate)
        app.add_url_rule("/ping", "ping", lambda: "pong")
        return start(app)

    return start_stream


def hello() -> Iterator[bytes]:
    yield b"hello"
    yield b"world"


def open_files() -> set[tuple[str, tuple[int, int]]]:
    """Give what this process has open, each with what tells it from a later one of its number."""
    gc.collect()
    found = set()
    for file in OPEN_FILES.iterdir():
        with contextlib.suppress(OSError):  # that of the listing itself
            status = os.fstat(int(file.name))
            found.add((file.name, (status.st_dev, status.st_ino)))
    return found


# Starting


def test_a_started_server_tells_where_it_is(
    name: str, stream: Callable[..., RunningServer]
) -> None:
    server = stream(hello)

    assert (server.name, server.host) == (name, "127.0.0.1")
    assert server.url == f"http://127.0.0.1:{server.port}"
    assert re.fullmatch(rf"<W\w+Server {server.url} running, requests=0>", repr(server))
    server.stop(GRACE)
    assert repr(server).endswith(f"{server.url} stopped, requests=0>")


def test_the_port_takes_connections_when_the_server_is_returned(name: str) -> None:
    for _ in range(10):
        server = start_server(name, Flask(__name__))
        try:
            with RawClient(server) as client:
                assert client.get().read_head().status.endswith(" 404 NOT FOUND")
        finally:
            server.stop(GRACE)


def test_servers_that_start_at_once_have_a_port_and_an_app_of_their_own(name: str) -> None:
    def start_numbered(number: int) -> RunningServer:
        def application(environ: Any, start_response: Any) -> list[bytes]:
            start_response("200 OK", [("Content-Length", "1")])
            return [b"%d" % number]

        return start_server(name, application)

    with ThreadPoolExecutor(8) as pool:
        servers = list(pool.map(start_numbered, range(8)))
    try:
        assert len({server.port for server in servers}) == 8
        for number, server in enumerate(servers):
            with RawClient(server) as client:
                client.get().read_head()
                assert client.read(1) == b"%d" % number
    finally:
        for server in servers:
            server.stop(GRACE)


def test_both_servers_run_side_by_side() -> None:
    servers = [start_server(name, Flask(__name__)) for name in SERVERS]
    try:
        clients = [RawClient(server).get() for server in servers]
        heads = [client.read_head() for client in clients]
        for client in clients:
            client.leave()
    finally:
        for server in servers:
            server.stop(GRACE)
    assert [head.headers["server"].partition("/")[0] for head in heads] == [
        "Werkzeug",
        "waitress",
    ]


def test_an_unknown_server_is_a_value_error_that_lists_the_known() -> None:
    with pytest.raises(ValueError) as caught:
        start_server("gunicorn", Flask(__name__))
    assert str(caught.value) == "unknown server 'gunicorn'; it is one of 'werkzeug', 'waitress'"


def test_a_missing_waitress_is_told_with_the_way_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "waitress", None)
    with pytest.raises(StreamServerError) as caught:
        start_server("waitress", Flask(__name__))
    assert isinstance(caught.value, StreamError)
    assert isinstance(caught.value.__cause__, ImportError)
    assert (caught.value.server, caught.value.record) == ("waitress", None)
    assert caught.value.reason == "no server could be started: waitress is not installed"
    assert str(caught.value) == (
        "no server could be started: waitress is not installed\n"
        "  remedy:  pip install 'pytest-flask-stream[waitress]', or use the server 'werkzeug'"
    )


def test_a_port_that_cannot_be_had_is_told(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket, "create_server", refuse)
    with pytest.raises(StreamServerError) as caught:
        start_server(name, Flask(__name__))
    assert isinstance(caught.value.__cause__, PermissionError)
    assert caught.value.server == name
    assert str(caught.value).splitlines() == [
        f"no server could be started: {name}: [Errno 13] Permission denied",
        "  remedy:  see that this process may listen on 127.0.0.1, and has files and threads left",
    ]


@pytest.mark.skipif(not OPEN_FILES.exists(), reason="needs /dev/fd")
def test_a_server_without_a_thread_is_told_and_leaves_no_socket(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    start_server(name, Flask(__name__)).stop(GRACE)  # what is imported and opened but once
    before = open_files()
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(StreamServerError, match="can't start new thread"):
        start_server(name, Flask(__name__))
    assert open_files() == before


@pytest.mark.skipif(not OPEN_FILES.exists(), reason="needs /dev/fd")
@pytest.mark.parametrize(
    ("name", "maker", "error"),
    [
        ("werkzeug", "pytest_flask_stream.live.werkzeug_server.make_server", SystemExit(1)),
        ("waitress", "waitress.create_server", OSError(24, "Too many open files")),
    ],
)
def test_a_server_that_gives_up_is_told_and_leaves_no_socket(
    name: str, maker: str, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    def give_up(*_: object, **__: object) -> None:
        raise error

    start_server(name, Flask(__name__)).stop(GRACE)  # what is imported and opened but once
    before = open_files()
    monkeypatch.setattr(maker, give_up)
    with pytest.raises(StreamServerError) as caught:
        start_server(name, Flask(__name__))
    assert caught.value.reason == f"no server could be started: {name}: {error}"
    assert open_files() == before


# Serving


def test_the_app_sees_the_port_of_the_client(start: Callable[..., RunningServer]) -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        body = str(environ["REMOTE_PORT"]).encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    server = start(application)
    with RawClient(server) as one, RawClient(server) as other:
        for client in (one, other):
            head = client.get().read_head()
            assert int(client.read(int(head.headers["content-length"]))) == client.port


def test_a_stream_is_chunked_over_http_1_1(stream: Callable[..., RunningServer]) -> None:
    with RawClient(stream(hello)) as client:
        head = client.get().read_head()
        assert head.status == "HTTP/1.1 200 OK"
        assert head.headers["transfer-encoding"] == "chunked"
        assert head.headers["connection"] == "close"
        assert client.read_frames() == [b"hello", b"world"]
        assert client.read_to_end() == b""


@pytest.mark.parametrize(
    ("name", "framed"),
    [("werkzeug", True), ("waitress", False)],  # RFC 9112, section 6.1: no frames for HTTP/1.0
)
def test_who_sends_frames_to_a_client_of_http_1_0(
    stream: Callable[..., RunningServer], framed: bool
) -> None:
    with RawClient(stream(hello)) as client:
        head = client.get(version="1.0").read_head()
        assert ("transfer-encoding" in head.headers) == framed
        assert client.read_to_end().startswith(b"5\r\nhello\r\n5" if framed else b"helloworld")


def test_one_chunk_is_one_frame_of_any_size(stream: Callable[..., RunningServer]) -> None:
    sizes = [1, 2, 15, 16, 1000, 4096, 65535, 65536, 1 << 20, 1, (1 << 20) + 1]
    with RawClient(stream(lambda: (b"x" * size for size in sizes))) as client:
        client.get().read_head()
        assert [len(frame) for frame in client.read_frames()] == sizes


def test_an_empty_chunk_sends_nothing(stream: Callable[..., RunningServer]) -> None:
    with RawClient(stream(lambda: iter([b"", b"a", b"", b"", b"b", b""]))) as client:
        client.get().read_head()
        assert client.read_frames() == [b"a", b"b"]


def test_frames_come_one_by_one_and_the_head_with_the_first(
    stream: Callable[..., RunningServer],
) -> None:
    asked: queue.Queue[int] = queue.Queue()
    gate = threading.Semaphore(0)

    def generate() -> Iterator[bytes]:
        for number in range(3):
            asked.put(number)
            assert gate.acquire(timeout=DEADLINE)
            yield b"%d" % number

    with RawClient(stream(generate)) as client:
        client.get()
        for number in range(3):
            assert asked.get(timeout=DEADLINE) == number
            assert not client.has_received()
            gate.release()
            if number == 0:
                client.read_head()
            assert client.read_frame() == b"%d" % number
        assert client.read_frame() == b""


def test_a_generator_that_fails_leaves_out_the_final_frame(
    stream: Callable[..., RunningServer], caplog: pytest.LogCaptureFixture
) -> None:
    def generate() -> Iterator[bytes]:
        yield b"one"
        yield b"two"
        raise LookupError("no third")

    server = stream(generate)
    with RawClient(server) as client:
        client.get().read_head()
        assert [client.read_frame(), client.read_frame()] == [b"one", b"two"]
        with pytest.raises(EOFError):
            client.read_frame()
    server.stop(GRACE)
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert (record.name, record.levelname) == ("pytest_flask_stream.live", "ERROR")
    assert "no third" in caplog.text


def test_an_app_that_fails_is_answered_for(
    start: Callable[..., RunningServer], caplog: pytest.LogCaptureFixture
) -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        raise LookupError("no app")

    server = start(application)
    with RawClient(server) as client:
        assert client.get().read_head().status.startswith("HTTP/1.1 500 ")
    server.stop(GRACE)
    assert [record.name for record in caplog.records if record.levelname == "ERROR"] == [
        "pytest_flask_stream.live"
    ]
    assert "no app" in caplog.text


class Exit(BaseException):
    """What no server expects, as the outcome of a test is none that it expects."""


def test_an_error_that_is_no_exception_ends_in_the_log(
    stream: Callable[..., RunningServer], caplog: pytest.LogCaptureFixture
) -> None:
    def generate() -> Iterator[bytes]:
        yield b"one"
        raise Exit("out of here")

    server = stream(generate)
    with RawClient(server) as client:
        client.get().read_head()
        assert client.read_frame() == b"one"
        server.stop(GRACE)
        assert client.read_to_end() == b""
    assert "out of here" in caplog.text
    assert [record.levelname for record in caplog.records if record.exc_info] == ["ERROR"]


def test_requests_are_logged(
    stream: Callable[..., RunningServer], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="pytest_flask_stream.live")
    server = stream(hello)
    with RawClient(server) as client:
        client.get("/?q=1").read_to_end()
    server.stop(GRACE)
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("pytest_flask_stream.live", "INFO")
    assert re.match(r"'GET /(\?q=1)? HTTP/1.1' 200", record.getMessage())


def test_what_waitress_says_of_itself_is_logged(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_flask_stream.live.waitress_server._CONNECTIONS", 3)
    server = start_server("waitress", _length_known)
    try:
        with RawClient(server) as client:  # the third, beside two that the server needs
            client.get().read_head()
    finally:
        server.stop(GRACE)
    assert "reached the connection limit" in caplog.text
    assert {record.name for record in caplog.records} == {"pytest_flask_stream.live"}


def test_a_body_of_10_mib_arrives(start: Callable[..., RunningServer]) -> None:
    app = Flask(__name__)
    app.add_url_rule("/", "size", lambda: f"{len(request.get_data()):>10}", methods=["POST"])
    with RawClient(start(app)) as client:
        client.request("POST", "/", b"x" * (10 << 20)).read_head()
        assert int(client.read(10)) == 10 << 20


@pytest.mark.parametrize(("name", "kept"), [("werkzeug", False), ("waitress", True)])
def test_who_keeps_a_connection_alive(name: str, kept: bool) -> None:
    server = start_server(name, _length_known)
    try:
        with RawClient(server) as client:
            for _ in range(3 if kept else 1):
                client.get().read_head()
                assert client.read(4) == b"pong"
            if not kept:
                assert client.read_to_end() == b""
    finally:
        server.stop(GRACE)


def _length_known(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Length", "4")])
    return [b"pong"]


def test_64_streams_run_at_once(stream: Callable[..., RunningServer]) -> None:
    together = threading.Barrier(64, timeout=DEADLINE)

    def generate() -> Iterator[bytes]:
        yield b"begun"
        together.wait()
        yield b"together"

    server = stream(generate)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(RawClient(server)).get() for _ in range(64)]
        for client in clients:
            client.read_head()
            assert client.read_frames() == [b"begun", b"together"]


def test_view_pulls_and_close_share_a_thread(start: Callable[..., RunningServer]) -> None:
    threads: queue.Queue[tuple[str, threading.Thread]] = queue.Queue()

    def note(what: str) -> None:
        threads.put((what, threading.current_thread()))

    def generate() -> Iterator[bytes]:
        try:
            note("pull")
            yield b"x"
        finally:
            note("close")

    app = Flask(__name__)

    @app.get("/")
    def view() -> Iterator[bytes]:
        note("view")
        return generate()

    server = start(app)
    with RawClient(server) as client:
        client.get().read_to_end()
    noted = [threads.get(timeout=DEADLINE) for _ in range(3)]
    assert [what for what, _ in noted] == ["view", "pull", "close"]
    (thread,) = {thread for _, thread in noted}
    assert thread.daemon
    assert thread.name == f"pytest-flask-stream {server.name} :{server.port} request"


# A client that leaves


@pytest.mark.parametrize(
    ("name", "reset", "pulls"),
    [
        ("werkzeug", False, 1),
        ("werkzeug", True, 1),
        ("waitress", False, 3),
        ("waitress", True, 2),
    ],
)
def test_a_client_that_left_is_noticed_at_the_next_yields(
    stream: Callable[..., RunningServer], reset: bool, pulls: int
) -> None:
    said: queue.Queue[str] = queue.Queue()
    gate = threading.Semaphore(0)

    def generate() -> Iterator[bytes]:
        try:
            yield b"first"
            while True:
                said.put("asked")
                assert gate.acquire(timeout=DEADLINE)
                yield b"more"
        except GeneratorExit:
            said.put("closed")
            raise

    server = stream(generate)
    client = RawClient(server).get()
    client.read_head()
    assert client.read_frame() == b"first"
    client.leave(reset=reset)
    made = 0
    while said.get(timeout=DEADLINE) == "asked":
        for _ in range(2):  # waitress notices in its loop: the second is one turn later for sure
            with RawClient(server) as other:
                other.get("/ping").read_head()
        gate.release()
        made += 1
    assert made == pulls


# Stopping


def test_stopping_ends_every_kind_of_connection(stream: Callable[..., RunningServer]) -> None:
    closed = threading.Semaphore(0)

    def endless() -> Iterator[bytes]:
        try:
            while True:
                yield b"x" * 65536
        finally:
            closed.release()

    server = stream(endless)
    with contextlib.ExitStack() as stack:
        connect = [lambda: stack.enter_context(RawClient(server))] * 2
        silent, half = connect[0](), connect[0]()
        half.socket.sendall(b"GET / HTTP/1.1\r\nHost: ")
        reading = connect[0]().get()
        reading.read_head()
        assert reading.read_frame()
        not_reading = stack.enter_context(RawClient(server, receive_buffer=4096)).get()
        not_reading.read_head()
        idle = connect[0]().get("/ping")
        idle.read_head()

        assert server.stop(GRACE) == []

        for _ in range(2):
            assert closed.acquire(timeout=0)
        for client in (silent, half, reading, not_reading, idle):
            client.read_to_end()
        with pytest.raises(ConnectionError):
            RawClient(server)


def test_a_thread_that_is_stuck_in_the_app_is_handed_back(
    stream: Callable[..., RunningServer],
) -> None:
    inside, gate, closed = threading.Event(), threading.Event(), threading.Event()

    def generate() -> Iterator[bytes]:
        try:
            yield b"one"
            inside.set()
            gate.wait(DEADLINE)
            yield b"two"
        finally:
            closed.set()

    server = stream(generate)
    with RawClient(server) as client:
        client.get().read_head()
        assert client.read_frame() == b"one"
        assert inside.wait(DEADLINE)
        (stuck,) = server.stop(0.01)
        assert stuck.daemon
        assert stuck.name.startswith("pytest-flask-stream ")
        assert repr(server).endswith(" stopped, requests=1>")
        assert client.read_to_end() == b""
        assert server.stop(0.01) == [stuck]
    gate.set()
    stuck.join(DEADLINE)
    assert closed.is_set()
    assert server.stop(GRACE) == []


@pytest.mark.skipif(not OPEN_FILES.exists(), reason="needs /dev/fd")
def test_no_thread_and_no_socket_is_left(name: str) -> None:
    def serve() -> None:
        server = start_server(name, app)
        with RawClient(server) as client, RawClient(server) as other:
            client.get().read_head()
            client.read_frame()
            other.get("/nowhere").read_head()
            with RawClient(server) as silent:
                assert server.stop(GRACE) == []
                silent.read_to_end()

    app = Flask(__name__)
    app.add_url_rule("/", "stream", lambda: iter(["x"] * 1000))
    serve()  # what is imported and opened but once
    threads, files = threading.enumerate(), open_files()
    serve()
    assert threading.enumerate() == threads
    assert open_files() == files


def test_a_server_may_be_stopped_by_several_threads(start: Callable[..., RunningServer]) -> None:
    server = start(Flask(__name__))
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(server.stop, [GRACE] * 8)) == [[]] * 8
    with pytest.raises(ConnectionError):
        RawClient(server)


@pytest.mark.parametrize("step", ["_hang_up", "_end_loop"])
def test_a_stop_that_was_interrupted_can_be_repeated(
    stream: Callable[..., RunningServer], step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = stream(hello)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    for interrupted, at in ((server, step), (RequestThreads, "join")):
        with monkeypatch.context() as patch:
            patch.setattr(interrupted, at, interrupt)
            with pytest.raises(KeyboardInterrupt):
                server.stop(GRACE)
    assert server.stop(GRACE) == []
    with pytest.raises(ConnectionError):
        RawClient(server)


def test_a_forked_child_leaves_the_server_alone(
    stream: Callable[..., RunningServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = stream(hello)
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: -1)
        assert server.stop(GRACE) == []
    with RawClient(server) as client:
        client.get().read_head()
        assert client.read_frames() == [b"hello", b"world"]


def test_a_thread_that_is_late_writes_to_nobody() -> None:
    environs: list[Any] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        environs.append(environ)
        return _length_known(environ, start_response)

    server = start_server("waitress", application)
    try:
        with RawClient(server) as client:
            client.get().read_head()
    finally:
        server.stop(GRACE)
    reader, writer = os.pipe()  # where waitress had its own, very likely
    os.set_blocking(reader, False)
    try:
        environs[0]["waitress.client_disconnected"].__self__.server.pull_trigger()
        with pytest.raises(BlockingIOError):
            os.read(reader, 1)
    finally:
        os.close(reader)
        os.close(writer)


# What others see


def test_nothing_is_printed_where_no_log_is_set_up(name: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "from raw_client import RawClient\n"
        "from pytest_flask_stream.live.server import start_server\n"
        "\n"
        "def application(environ, start_response):\n"
        "    if environ['PATH_INFO'] == '/fails':\n"
        "        raise LookupError\n"
        "    if environ['PATH_INFO'] == '/leaves':\n"
        "        raise SystemExit\n"
        "    start_response('200 OK', [])\n"
        "    yield b'x'\n"
        "    if environ['PATH_INFO'] == '/breaks':\n"
        "        raise LookupError\n"
        "\n"
        f"server = start_server({name!r}, application)\n"
        "clients = []\n"
        "for path in ('/', '/fails', '/breaks'):\n"
        "    clients.append(RawClient(server).get(path))\n"
        "    clients[-1].read_to_end()\n"
        "clients.append(RawClient(server).get('/leaves'))\n"
        "clients.append(RawClient(server))\n"
        "clients[-1].socket.sendall(b'NONSENSE\\r\\n\\r\\n')\n"
        "clients[-1].read_to_end()\n"
        "assert server.stop(10) == []\n"
        "for client in clients:\n"
        "    client.leave()\n"
    )
    result = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", str(script)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        text=True,
    )
    assert (result.stdout, result.returncode) == ("", 0)


def test_a_test_sees_nothing_printed(
    stream: Callable[..., RunningServer], capfd: pytest.CaptureFixture[str]
) -> None:
    server = stream(hello)
    with RawClient(server) as client:
        client.get("/nowhere").read_head()
    with RawClient(server) as client:
        client.socket.sendall(b"NONSENSE\r\n\r\n")
        client.read_to_end()
    server.stop(GRACE)
    assert capfd.readouterr() == ("", "")


def test_the_classes_of_werkzeug_stay_as_they_are() -> None:
    before = dict(vars(WSGIRequestHandler))
    start_server("werkzeug", Flask(__name__)).stop(GRACE)
    assert dict(vars(WSGIRequestHandler)) == before
    assert "protocol_version" not in before
