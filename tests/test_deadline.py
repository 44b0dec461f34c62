"""What keeps the test waiting for too long is interrupted, at the line where it is stuck."""

from __future__ import annotations

import asyncio
import gc
import os
import queue
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import pytest
from flask import Flask, Response

from pytest_flask_stream import StreamClient, StreamClosed, StreamedResponse, StreamTimeout
from pytest_flask_stream import plugin as plugin_module
from pytest_flask_stream.budget import Budget
from pytest_flask_stream.columns import BLOCK, Waits
from pytest_flask_stream.deadline import Interrupted, watchdog

WAIT = 10.0  # seconds that a gate is waited for: a limit, never a pause
FOREVER = 60.0  # how long a stuck app would be stuck
SHORT = 0.3
LATE = 1.0  # a busy machine may be late; how late this package is itself, one test measures

has_signals = hasattr(signal, "SIGURG") and hasattr(signal, "pthread_kill")
pytestmark = [
    pytest.mark.skipif(not has_signals, reason="nothing can be interrupted there"),
    pytest.mark.in_process("nobody can interrupt the thread of a server"),
    pytest.mark.usefixtures("small_heap"),
]


# Ways to be stuck. The comment marks the line that is to be named.


def stuck_in_sleep():
    time.sleep(FOREVER)  # stuck


def stuck_in_queue():
    queue.Queue().get()  # stuck


def stuck_in_event():
    threading.Event().wait()  # stuck


def stuck_in_lock():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()  # stuck


def stuck_in_condition():
    condition = threading.Condition()
    with condition:
        condition.wait()  # stuck


def stuck_in_socket():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.recv(1)  # stuck


def stuck_in_select():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        select.select([ours], [], [])  # stuck


def stuck_in_subprocess():
    stuck_in_subprocess.process.wait()  # stuck


def stuck_in_busy_loop():
    while True:  # stuck
        pass  # stuck


WAYS = [
    stuck_in_sleep,
    stuck_in_queue,
    stuck_in_event,
    stuck_in_lock,
    stuck_in_condition,
    stuck_in_socket,
    stuck_in_select,
    stuck_in_subprocess,
    stuck_in_busy_loop,
]


@pytest.fixture(params=WAYS, ids=lambda way: way.__name__[6:])
def be_stuck(request):
    way = request.param
    if way is not stuck_in_subprocess:
        yield way
        return
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        way.process = process  # started outside the app: that takes long on a busy machine
        yield way
        process.kill()


def hurried(stream):
    """Leave the app so long from now on: what it took until now, on a busy machine, counts too."""
    stream.timeout = stream._producer.budget.used + SHORT
    return stream


def assert_in_time(timeout):
    assert timeout.timeout < timeout.waited < timeout.timeout + LATE


def assert_names_the_line(timeout, function):
    place, _, source = timeout.stuck.partition("  ")
    path, _, line = place.rpartition(":")
    first = function.__code__.co_firstlineno
    assert path.endswith("test_deadline.py")
    assert first < int(line) < first + 9
    assert source.endswith("# stuck")
    assert f"\n  stuck:   {timeout.stuck}\n" in str(timeout)


@contextmanager
def sigurg_handled_by(handler) -> Iterator[None]:
    previous = signal.signal(signal.SIGURG, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGURG, previous)


# What is stuck


def test_a_stuck_generator(get, be_stuck):
    cleaned_up = []

    def view():
        def generate():
            try:
                yield "first"
                be_stuck()
            finally:
                cleaned_up.append(threading.current_thread())

        return generate()

    stream = get(view)
    assert next(stream) == b"first"
    hurried(stream)
    with pytest.raises(StreamTimeout) as caught:
        next(stream)
    timeout = caught.value
    assert isinstance(timeout, TimeoutError)
    assert timeout.activity == "pull"
    assert_in_time(timeout)
    assert_names_the_line(timeout, be_stuck)
    assert cleaned_up == [threading.main_thread()]
    assert stream.state == "timeout"
    assert stream.error is timeout
    assert timeout.record is stream.record
    assert timeout.__cause__ is None
    assert stream.chunks == [b"first"]
    with pytest.raises(StreamClosed, match="timeout"):
        next(stream)


def test_a_stuck_view(open_client, be_stuck):
    app = Flask("stuck_view")
    torn_down = []
    app.teardown_request(torn_down.append)

    @app.get("/")
    def index():
        be_stuck()
        return "never"

    client = open_client(app, timeout=SHORT)
    with pytest.raises(StreamTimeout) as caught:
        client.get("/")
    assert caught.value.activity == "opening"
    remedy = "let the view return, and nothing else read its body (an after_request function, a"
    assert f"  remedy:  {remedy} WSGI layer); where the app may be" in str(caught.value)
    assert_in_time(caught.value)
    assert_names_the_line(caught.value, be_stuck)
    assert caught.value.record.state == "timeout"
    assert caught.value.record.error is caught.value
    assert len(torn_down) == 1
    assert client.streams == []


def test_an_async_view_is_left_in_its_thread(open_client):
    pytest.importorskip("asgiref")
    app = Flask("stuck_async_view")
    gate, ended = threading.Event(), threading.Event()

    @app.get("/")
    async def index():
        while not gate.is_set():
            await asyncio.sleep(0)
        ended.set()
        return "at last"

    client = open_client(app, timeout=SHORT)
    with pytest.raises(StreamTimeout) as caught:
        client.get("/")
    assert caught.value.activity == "opening"
    assert_in_time(caught.value)
    assert not ended.is_set()
    assert "test_deadline.py:" in caught.value.stuck
    assert caught.value.stuck.endswith("  async def index():")
    gate.set()
    assert ended.wait(WAIT)


def test_an_async_view_is_not_named_for_a_function_that_runs_before_it(open_client):
    pytest.importorskip("asgiref")
    app = Flask("stuck_before_the_view")
    gate = threading.Event()

    @app.before_request
    async def wait():
        while not gate.is_set():
            await asyncio.sleep(0)

    app.add_url_rule("/", "view", lambda: "at last")
    client = open_client(app, timeout=SHORT)
    with pytest.raises(StreamTimeout) as caught:
        client.get("/")
    gate.set()
    assert "test_deadline" not in str(caught.value.stuck)


def test_a_stuck_close(get, be_stuck):
    def view():
        def generate():
            try:
                yield "first"
            finally:
                be_stuck()

        return generate()

    stream = get(view)
    next(stream)
    hurried(stream)
    with pytest.raises(StreamTimeout) as caught:
        stream.disconnect()
    assert caught.value.activity == "closing"
    assert "close() and the teardown functions end; where the app may be" in str(caught.value)
    assert_in_time(caught.value)
    assert_names_the_line(caught.value, be_stuck)
    assert stream.state == "timeout"
    assert stream.error is caught.value
    stream.disconnect()  # harmless when repeated


def test_a_close_that_is_stuck_at_the_end(get):
    def view():
        response = Response(iter(["only"]))
        response.call_on_close(stuck_in_event)
        return response

    stream = get(view)
    assert next(stream) == b"only"
    hurried(stream)
    with pytest.raises(StreamTimeout) as caught:
        next(stream)
    assert caught.value.activity == "closing"
    assert_names_the_line(caught.value, stuck_in_event)
    assert (stream.state, stream.chunks) == ("timeout", [b"only"])


def test_the_client_closes_what_is_stuck(get):
    def view():
        def generate():
            try:
                yield "first"
            finally:
                stuck_in_event()

        return generate()

    app = Flask("stuck_close")
    app.add_url_rule("/", "view", view)
    client = StreamClient(app)
    streams = [client.get("/") for _ in range(2)]
    for stream in streams:
        next(stream)
        hurried(stream)
    with pytest.raises(StreamTimeout) as caught:
        client.close()
    assert caught.value is streams[0].error
    assert [stream.state for stream in streams] == ["timeout", "timeout"]


def test_a_generator_and_its_cleanup_are_both_stuck(get):
    def view():
        def generate():
            try:
                stuck_in_event()
                yield
            finally:
                stuck_in_sleep()

        return generate()

    stream = hurried(get(view))
    with pytest.raises(StreamTimeout) as caught:
        next(stream)
    # The time of the cleanup counts, and it is interrupted in its turn.
    assert 2 * SHORT < caught.value.waited < 2 * stream.timeout + LATE


def test_a_heartbeat_that_never_ends(get):
    def view():
        def generate():
            while True:
                yield ": heartbeat\n\n"
                time.sleep(0.001)

        return generate()

    stream = get(view)
    stream.take(4)
    hurried(stream)
    with pytest.raises(StreamTimeout) as caught:
        stream.drain()
    assert_in_time(caught.value)
    assert stream.delivered >= 4
    assert stream.chunks == [b": heartbeat\n\n"] * stream.delivered


def test_an_iterator_without_a_python_frame(get):
    stream = hurried(get(lambda: map(time.sleep, [FOREVER])))
    with pytest.raises(StreamTimeout) as caught:
        next(stream)
    assert_in_time(caught.value)
    # Neither a line of this package nor the line of the test that waits.
    assert "pytest_flask_stream" not in str(caught.value.stuck)
    assert "test_deadline" not in str(caught.value.stuck)


def test_a_stuck_line_of_the_standard_library_where_the_user_has_none(get):
    stream = hurried(get(lambda: iter(queue.Queue().get, None)))
    with pytest.raises(StreamTimeout) as caught:
        next(stream)
    assert "threading.py:" in caught.value.stuck or "queue.py:" in caught.value.stuck


def test_the_text_has_the_transcript(get):
    def view():
        def generate():
            yield "first"
            stuck_in_event()

        return generate()

    stream = get(view)
    next(stream)
    hurried(stream)
    with pytest.raises(StreamTimeout) as caught:
        stream.drain()
    first, stuck, remedy, head, chunk, *rest = str(caught.value).splitlines()
    assert first.startswith("the app kept the test waiting for 0.")
    assert first.endswith(f" s, timeout is {stream.timeout:g} s (pull)")
    assert stuck.startswith("  stuck:   ")
    assert remedy.startswith("  remedy:  ")
    assert head.startswith("  GET /  200 text/html  timeout  produced 1  delivered 1")
    assert chunk.startswith("    #0  5 B  produced 1  waited 0.")
    assert rest == []
    assert "error: StreamTimeout: the app kept the test waiting" in str(stream.record)
    assert str(stream.record).splitlines()[-1].endswith(caught.value.stuck)


# What does not help the app


def test_except_exception_does_not_swallow_it(get):
    swallowed = []

    def view():
        def generate():
            while True:
                try:
                    stuck_in_event()
                except Exception as error:
                    swallowed.append(error)
                yield "on"

        return generate()

    stream = hurried(get(view))
    with pytest.raises(StreamTimeout):
        next(stream)
    assert swallowed == []


def test_a_bare_except_that_goes_on(get):
    def view():
        def generate():
            try:
                stuck_in_event()
            except:  # noqa: E722
                yield "went on"

        return generate()

    stream = hurried(get(view))
    with pytest.raises(StreamTimeout) as caught:
        next(stream)
    assert_in_time(caught.value)
    assert_names_the_line(caught.value, stuck_in_event)
    assert stream.chunks == [b"went on"]  # the chunk came, too late


def test_a_bare_except_that_tries_again(get):
    tries = []

    def view():
        def generate():
            while True:
                try:
                    tries.append(time.perf_counter())
                    stuck_in_event()
                except:  # noqa: E722
                    pass
            yield

        return generate()

    stream = hurried(get(view))
    with pytest.raises(StreamTimeout) as caught:
        next(stream)
    assert len(tries) >= 2
    assert caught.value.waited < 10 * SHORT + LATE


def test_an_error_raised_while_cleaning_up_is_the_cause(get):
    def view():
        def generate():
            try:
                stuck_in_event()
                yield
            finally:
                raise LookupError("no row")

        return generate()

    stream = hurried(get(view))
    with pytest.raises(StreamTimeout) as caught:
        next(stream)
    assert isinstance(caught.value.__cause__, LookupError)


# What counts


class Clock:
    """Stands in for the clock of the hot loop: time goes on only where a test says so."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def stopped(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("pytest_flask_stream.exchange.clock", clock)
    monkeypatch.setattr("pytest_flask_stream.first_pull.clock", clock)
    monkeypatch.setattr("pytest_flask_stream.pulling.clock", clock)
    monkeypatch.setattr("pytest_flask_stream.budget.clock", clock)
    monkeypatch.setattr("pytest_flask_stream.deadline.clock", clock)
    return clock


def slow(stopped, seconds):
    def view():
        stopped.now += seconds

        def generate():
            try:
                while True:
                    stopped.now += seconds
                    yield "x"
            finally:
                stopped.now += seconds

        return generate()

    return view


def test_opening_and_pulls_add_up(get, stopped):
    stream = get(slow(stopped, 2.0), timeout=7.0)  # 2 s
    assert stream.take(2) == [b"x", b"x"]  # 6 s
    with pytest.raises(StreamTimeout) as caught:
        next(stream)
    assert caught.value.waited == 8.0


def test_closing_adds_up(get, stopped):
    stream = get(slow(stopped, 2.0), timeout=7.0)
    stream.take(2)
    with pytest.raises(StreamTimeout) as caught:
        stream.close()
    assert (caught.value.activity, caught.value.waited) == ("closing", 8.0)


def test_the_last_single_pull_and_closing_add_up(get, stopped):
    def view():
        def generate():
            try:
                yield "x"
                stopped.now += 3.0
            finally:
                stopped.now += 2.0

        return generate()

    stream = get(view, timeout=4.0)
    assert next(stream) == b"x"
    with pytest.raises(StreamTimeout) as caught:
        next(stream)
    # Where the iterable ends, its `finally` is a part of the pull.
    assert (caught.value.activity, caught.value.waited) == ("pull", 5.0)


@pytest.mark.parametrize("read", [next, lambda stream: stream.read()])
def test_closing_after_the_last_pull_adds_up(get, stopped, read):
    def slowly_closed():
        stopped.now += 2.0

    def view():
        def generate():
            stopped.now += 3.0
            yield from ()

        response = Response(generate())
        response.call_on_close(slowly_closed)
        return response

    with pytest.raises(StreamTimeout) as caught:
        read(get(view, timeout=4.0))
    assert (caught.value.activity, caught.value.waited) == ("closing", 5.0)


@pytest.mark.parametrize("read", [next, lambda stream: stream.read()])
def test_what_is_no_chunk_and_late_is_late(get, stopped, read):
    def view():
        def generate():
            stopped.now += 3.0
            yield 1

        return generate()

    with pytest.raises(StreamTimeout) as caught:
        read(get(view, timeout=2.0))
    assert (caught.value.activity, caught.value.waited) == ("pull", 3.0)
    assert isinstance(caught.value.__cause__, TypeError)


@pytest.mark.parametrize("read", [next, StreamedResponse.drain])
@pytest.mark.parametrize("last", ["a", [1], []], ids=["a chunk", "no chunk", "the end"])
def test_no_frame_of_the_package_is_shown(get, stopped, read, last):
    def view():
        def generate():
            stopped.now += 3.0
            yield from last

        return generate()

    with pytest.raises(StreamTimeout) as caught:
        read(get(view, timeout=2.0))
    shown = [
        entry for entry in caught.traceback if not entry.frame.f_locals.get("__tracebackhide__")
    ]
    assert {entry.path.name for entry in shown} == {"test_deadline.py"}


def test_never_early(get, stopped):
    stream = get(slow(stopped, 2.0), timeout=8.0)
    assert stream.take(2) == [b"x", b"x"]
    stream.close()
    assert stream.state == "closed"


def test_the_time_of_the_test_does_not_count(get, stopped):
    stream = get(slow(stopped, 2.0), timeout=8.0)
    stopped.now += 100
    assert next(stream) == b"x"
    stopped.now += 100
    assert next(stream) == b"x"
    stopped.now += 100
    assert stream.state == "open"


def test_single_pulls_add_up_without_what_the_test_does_between_them(get, stopped):
    stream = get(slow(stopped, 2.0), timeout=12.0)  # 2 s
    assert next(stream) == b"x"  # 4 s
    stopped.now += 100
    assert stream.take(2) == [b"x", b"x"]  # 8 s
    stopped.now += 100
    assert next(stream) == b"x"  # 10 s
    stopped.now += 100
    assert next(stream) == b"x"  # 12 s
    stopped.now += 100
    with pytest.raises(StreamTimeout) as caught:
        next(stream)
    assert caught.value.waited == 14.0


def test_a_great_many_single_pulls_add_up(get, stopped):
    second = 2.0**-8  # many of them add up without rounding
    stream = get(slow(stopped, second), timeout=3 * BLOCK * second)

    def read():
        for _chunk in stream:
            stopped.now += 1000 * second

    with pytest.raises(StreamTimeout) as caught:
        read()
    assert caught.value.waited == (3 * BLOCK + 1) * second
    assert stream.delivered == 3 * BLOCK  # with the one that came late; the view took a second too


def test_a_pull_is_due_when_the_time_that_is_left_is_used_up(get, stopped):
    dues = []

    def view():
        def generate():
            for _ in range(3):
                dues.append((stopped.now, stream._producer.budget.due()))
                stopped.now += 2.0
                yield "x"

        return generate()

    stream = get(view, timeout=8.0)
    for _chunk in stream:
        stopped.now += 100
    assert dues == [(1000.0, 1008.0), (1102.0, 1108.0), (1204.0, 1208.0)]
    assert stream._producer.budget.due() is None


def test_no_app_is_late_because_the_deadline_passes_while_it_is_looked_at(stopped, monkeypatch):
    budget = Budget(8.0)
    budget.look()  # used up at 1008 at the earliest
    stopped.now += 5.0  # the test's own time
    with budget.spending():
        for seconds in (6.0, 7.0, 8.0):
            ticking = count(1000.0 + seconds).__next__
            monkeypatch.setattr("pytest_flask_stream.deadline.clock", ticking)
            watchdog._look([budget])
            assert budget.fired_at == 0.0  # it is late at 1013


def test_the_time_that_it_takes_to_add_up_does_not_count(get, stopped, monkeypatch):
    add_up = Waits.total

    def slowly_add_up(self, first):
        stopped.now += 100
        return add_up(self, first)

    monkeypatch.setattr(Waits, "total", slowly_add_up)
    stream = get(slow(stopped, 2.0), timeout=14.0)  # 2 s
    for _ in range(2):
        assert next(stream) == b"x"
        assert stream.take(2) == [b"x", b"x"]
    assert stopped.now > 1100
    with pytest.raises(StreamTimeout) as caught:
        next(stream)
    assert caught.value.waited == 16.0


def test_a_signal_that_lands_where_many_pulls_begin_ends_the_stream(get, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    stream = get(lambda: iter("abc"))
    assert next(stream) == b"a"
    monkeypatch.setattr(Waits, "begin", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        stream.take(2)
    assert (stream.state, stream.error, stream.chunks) == ("failed", caught.value, [b"a"])
    assert stream._producer.budget.begun == 0.0  # else the test would be interrupted for it
    assert not stream._producer.busy


def test_the_time_of_a_first_pull_begun_by_start_counts_where_the_test_waits_for_it(get, stopped):
    pulled = threading.Event()

    def view():
        def generate():
            stopped.now += 5.0
            pulled.set()
            while True:
                yield "x"
                stopped.now += 2.0

        return generate()

    stream = get(view, timeout=5.0)
    stream.start()
    assert pulled.wait(WAIT)
    assert (stream.take(3), stream.record.chunks[0].waited) == ([b"x"] * 3, 5.0)  # 4 s
    with pytest.raises(StreamTimeout) as caught:
        next(stream)
    assert caught.value.waited == 6.0


def test_a_redirect_shares_the_time(open_client, stopped):
    app = Flask("redirect")

    @app.get("/")
    def index():
        stopped.now += 4.0
        return app.redirect("/there")

    @app.get("/there")
    def there():
        stopped.now += 4.0
        return "there"

    with pytest.raises(StreamTimeout) as caught:
        open_client(app, timeout=7.0).get("/", follow_redirects=True)
    assert caught.value.waited == 8.0
    assert open_client(app, timeout=8.0).get("/", follow_redirects=True).read() == b"there"


def test_the_pulls_of_a_redirect_share_the_time(open_client, stopped):
    app = Flask("redirect")

    def slow_body():
        stopped.now += 3.0
        yield "a"
        stopped.now += 3.0
        yield "b"

    @app.get("/")
    def index():
        return Response(slow_body(), 302, headers={"Location": "/there"})

    @app.get("/there")
    def there():
        return slow_body()

    stream = open_client(app, timeout=11.0).get("/", follow_redirects=True)  # 6 s
    assert next(stream) == b"a"  # 9 s
    with pytest.raises(StreamTimeout) as caught:
        next(stream)
    assert caught.value.waited == 12.0


@pytest.mark.parametrize("off", [0, 0.0, None, float("inf"), 10**400])
def test_turned_off(get, stopped, off):
    stream = get(slow(stopped, 1e9), timeout=off)
    assert stream.timeout is None
    assert len(stream.take(5)) == 5
    stream.close()
    assert stream.state == "closed"


def test_each_stream_has_its_own_time(open_client, stopped):
    app = Flask("slow")
    app.add_url_rule("/", "view", slow(stopped, 2.0))
    client = open_client(app, timeout=8.0)
    for _ in range(3):
        stream = client.get("/")
        assert len(stream.take(2)) == 2


def test_set_in_mid_stream(get, stopped):
    stream = get(slow(stopped, 2.0), timeout=3.0)
    assert stream.timeout == 3.0
    stream.timeout = 8.0
    assert stream.take(2) == [b"x", b"x"]
    stream.timeout = 7
    assert stream.timeout == 7.0
    with pytest.raises(StreamTimeout) as caught:
        next(stream)
    assert (caught.value.timeout, caught.value.waited) == (7.0, 8.0)


def test_turned_off_in_mid_stream(get, stopped):
    stream = get(slow(stopped, 2.0), timeout=3.0)
    stream.timeout = 0
    assert stream.timeout is None
    assert len(stream.take(5)) == 5


def test_turned_on_for_a_pull_that_is_stuck(get):
    gate, interrupted = threading.Event(), []

    def view():
        def generate():
            try:
                gate.set()
                stuck_in_event()
                yield
            except BaseException as error:
                interrupted.append(type(error))
                raise

        return generate()

    stream = get(view, timeout=FOREVER)

    def hurry():
        gate.wait(WAIT)
        hurried(stream)

    thread = threading.Thread(target=hurry)
    thread.start()
    with pytest.raises(StreamTimeout) as caught:
        next(stream)
    thread.join(WAIT)
    assert interrupted == [Interrupted]
    assert_in_time(caught.value)


@pytest.mark.parametrize("bad", [-1, float("nan"), True, "10"])
def test_a_bad_value(get, bad):
    stream = get(lambda: iter("a"))
    with pytest.raises((TypeError, ValueError), match=r"timeout must be seconds, at least 0, or N"):
        stream.timeout = bad
    assert stream.timeout == 10.0


def test_late_by_a_tenth_at_most(get):
    def view():
        def generate():
            while True:
                yield "x"
                stuck_in_event()

        return generate()

    waited = []
    for _ in range(3):  # the machine may have been busy for once
        stream = hurried(get(view))
        with pytest.raises(StreamTimeout) as caught:
            stream.drain()
        assert caught.value.waited > stream.timeout
        waited.append(caught.value.waited / stream.timeout)
        if min(waited) < 1.1:
            break
    assert min(waited) < 1.1


# Where nothing can be interrupted


def test_what_measures_coverage_is_not_interrupted(get):
    # Its own lines hold a lock: an exception that got out of one would stop every thread for good.
    measuring = {"__name__": "coverage.collector", "clock": time.perf_counter, "ended": []}
    source = "def measure(until):\n while clock() < until: pass\n ended.append(True)"
    exec(compile(source, "collector.py", "exec"), measuring)

    def view():
        def generate():
            measuring["measure"](time.perf_counter() + 3 * SHORT)
            stuck_in_event()
            yield

        return generate()

    stream = hurried(get(view))
    with pytest.raises(StreamTimeout) as caught:
        next(stream)
    assert measuring["ended"] == [True]
    assert_names_the_line(caught.value, stuck_in_event)


def test_in_another_thread_it_is_raised_when_the_pull_returns(get):
    watched, cleaned_up, caught = threading.Event(), [], []
    stuck_in = threading.Event()

    def view():
        def generate():
            try:
                while not watched.wait(0.01):
                    pass
                stuck_in.wait(2 * SHORT)
                yield "late"
            finally:
                cleaned_up.append(1)

        return generate()

    stream = hurried(get(view))

    def read():
        with pytest.raises(StreamTimeout) as raised:
            next(stream)
        caught.append(raised.value)

    thread = threading.Thread(target=read)
    thread.start()
    watched.set()
    thread.join(WAIT)
    assert_in_time(caught[0])
    assert "test_deadline.py:" in caught[0].stuck
    assert (cleaned_up, stream.state, stream.chunks) == ([1], "timeout", [b"late"])


def test_a_stream_opened_and_read_in_another_thread(open_client):
    app = Flask("threads")
    app.add_url_rule("/", "view", lambda: iter(["a", "b"]))
    client, read = open_client(app), []
    thread = threading.Thread(target=lambda: read.append(client.get("/").read()))
    thread.start()
    thread.join(WAIT)
    assert read == [b"ab"]


# Signals of others


def test_the_handler_is_there_from_the_first_stream_until_the_client_is_closed(open_client):
    app = Flask("handler")
    app.add_url_rule("/", "view", lambda: iter(["a", "b"]))
    seen = []
    with sigurg_handled_by(lambda *_: None):
        users = signal.getsignal(signal.SIGURG)
        client = open_client(app)
        seen.append(signal.getsignal(signal.SIGURG) is users)
        client.get("/").read()
        seen.append(signal.getsignal(signal.SIGURG) is users)
        client.close()
        seen.append(signal.getsignal(signal.SIGURG) is users)
    assert seen == [True, False, True]


def test_the_handler_stays_while_another_client_has_an_open_stream(open_client):
    app = Flask("handler")
    app.add_url_rule("/", "view", lambda: iter(["a", "b"]))
    before = signal.getsignal(signal.SIGURG)
    first, second = open_client(app), open_client(app)
    first.get("/").read()
    second.get("/")
    first.close()
    assert signal.getsignal(signal.SIGURG) is not before
    second.close()
    assert signal.getsignal(signal.SIGURG) is before


def test_a_handler_that_was_found_and_put_back_is_not_taken_for_the_users(open_client):
    app = Flask("handler")
    app.add_url_rule("/", "view", lambda: iter(["a", "b"]))
    calls = []
    with sigurg_handled_by(lambda *_: calls.append(1)):
        with open_client(app) as client:
            client.get("/").read()
            ours = signal.signal(signal.SIGURG, signal.SIG_IGN)
        signal.signal(signal.SIGURG, ours)
        with open_client(app) as client:
            client.get("/").read()
            signal.raise_signal(signal.SIGURG)
    assert calls == [1]


def test_no_handler_without_a_timeout(get):
    before = signal.getsignal(signal.SIGURG)
    get(lambda: iter("a"), timeout=None)
    assert signal.getsignal(signal.SIGURG) is before


def test_the_handler_goes_also_where_the_last_stream_ended_elsewhere(open_client):
    app = Flask("handler")
    app.add_url_rule("/", "view", lambda: iter(["a", "b"]))
    before = signal.getsignal(signal.SIGURG)
    with open_client(app) as client:
        stream = client.get("/")
        thread = threading.Thread(target=stream.read)
        thread.start()
        thread.join(WAIT)
        assert stream.state == "exhausted"
    assert signal.getsignal(signal.SIGURG) is before


def test_a_handler_of_the_user_is_called(get):
    calls = []
    with sigurg_handled_by(lambda number, frame: calls.append(number)):
        stream = get(lambda: iter(["a", "b"]))
        signal.raise_signal(signal.SIGURG)
        assert calls == [signal.SIGURG]
        next(stream)
        signal.raise_signal(signal.SIGURG)
        assert calls == [signal.SIGURG] * 2
        assert stream.read() == b"ab"
        signal.raise_signal(signal.SIGURG)
    assert calls == [signal.SIGURG] * 3


def test_a_stray_signal_without_a_handler_is_ignored(get):
    stream = get(lambda: iter(["a", "b"]))
    signal.raise_signal(signal.SIGURG)
    assert stream.read() == b"ab"


def test_a_handler_that_the_app_puts_there_is_left_alone(get):
    calls = []

    def view():
        def generate():
            signal.signal(signal.SIGURG, lambda *_: calls.append(1))
            threading.Event().wait(2 * SHORT)
            yield "late"

        return generate()

    before = signal.getsignal(signal.SIGURG)
    try:
        with pytest.raises(StreamTimeout):
            next(hurried(get(view)))  # not interrupted: the signal is not ours now
        assert calls == []
        assert signal.getsignal(signal.SIGURG) is not before
    finally:
        signal.signal(signal.SIGURG, before)


def test_no_thread_is_seen(get):
    before = threading.enumerate()
    stream = get(lambda: iter(["a", "b"]))
    next(stream)
    assert threading.enumerate() == before


def test_a_user_timer_is_not_disarmed(get):
    rang = []
    previous = signal.signal(signal.SIGALRM, lambda *_: rang.append(1))
    try:
        signal.setitimer(signal.ITIMER_REAL, FOREVER)
        stream = get(lambda: iter(["a"]))
        stream.read()
        assert signal.getitimer(signal.ITIMER_REAL)[0] > FOREVER / 2
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert rang == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_an_app_that_forks(get):
    def view():
        def generate():
            child = os.fork()
            if not child:
                status = 1
                try:
                    inner = Flask("child")
                    inner.add_url_rule("/", "view", lambda: iter(["in the ", "child"]))
                    with StreamClient(inner) as client:
                        signal.raise_signal(signal.SIGURG)
                        status = 0 if client.get("/").read() == b"in the child" else 2
                finally:
                    os._exit(status)
            yield str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            stuck_in_event()

        return generate()

    stream = get(view)
    assert next(stream) == b"0"
    hurried(stream)
    with pytest.raises(StreamTimeout):
        next(stream)


# Streams in streams


def nested(open_client):
    inner = Flask("inner")
    outer = Flask("outer")

    @inner.get("/")
    def stuck():
        def generate():
            yield "first"
            stuck_in_event()

        return generate()

    inner_streams = []

    @outer.get("/")
    def relay():
        inner_streams.append(open_client(inner).get("/"))
        return inner_streams[0]

    stream = open_client(outer).get("/")
    assert next(stream) == b"first"
    return stream, inner_streams[0]


def test_the_inner_stream_is_late(open_client):
    outer, inner = nested(open_client)
    hurried(inner)
    with pytest.raises(StreamTimeout) as caught:
        next(outer)
    assert caught.value is inner.error is outer.error
    assert caught.value.record is inner.record
    assert (inner.state, outer.state) == ("timeout", "failed")
    assert_names_the_line(caught.value, stuck_in_event)


def test_the_outer_stream_is_late(open_client):
    outer, inner = nested(open_client)
    hurried(outer)
    with pytest.raises(StreamTimeout) as caught:
        next(outer)
    assert caught.value is outer.error
    assert caught.value.record is outer.record
    assert (inner.state, outer.state) == ("failed", "timeout")
    assert_names_the_line(caught.value, stuck_in_event)


def test_both_are_late_at_once(open_client):
    outer, inner = nested(open_client)
    hurried(outer)
    hurried(inner)
    with pytest.raises(StreamTimeout) as caught:
        outer.drain()
    assert caught.value.waited < SHORT + LATE
    assert outer.state in ("timeout", "failed")
    assert inner.state in ("timeout", "failed")


# Finalizers: what is raised in one is printed by Python, and lost


class Dropped:
    def __init__(self, finalize):
        self.finalize = finalize

    def __del__(self):
        self.finalize()


@pytest.mark.parametrize("how", ["__del__", "gc callback", "weakref callback"])
def test_a_finalizer_is_not_interrupted_but_what_follows_it(open_client, how):
    begun, ended = [], []

    def linger(phase="stop", info=None):
        if phase == "start":
            return
        until = begun[0] + 2 * SHORT
        while time.perf_counter() < until:
            pass
        ended.append(how)

    def view():
        def generate():
            yield "first"
            begun.append(time.perf_counter())
            if how == "__del__":
                Dropped(linger)
            elif how == "gc callback":
                gc.callbacks.append(linger)
                gc.collect(0)
            else:
                weakref.finalize(Dropped(list), linger)
            stuck_in_sleep()

        return generate()

    app = Flask("finalizers")
    app.add_url_rule("/", "view", view)
    with open_client(app) as client:
        stream = hurried(client.get("/"))
        try:
            with pytest.raises(StreamTimeout):
                stream.drain()
        finally:
            if linger in gc.callbacks:
                gc.callbacks.remove(linger)
    assert ended


def test_a_client_that_was_collected_does_not_delay_the_next_interruption(open_client):
    app = Flask("collected")
    app.add_url_rule("/", "view", lambda: iter("ab"))
    app.add_url_rule("/stuck", "stuck", stuck_in_sleep)
    dropped = [StreamClient(app)]
    next(dropped[0].get("/"))
    dropped.append(dropped)
    del dropped
    gc.collect()
    with pytest.raises(StreamTimeout) as timeout:
        open_client(app, timeout=SHORT).get("/stuck")
    assert timeout.value.waited < SHORT + LATE  # what a finalizer is given is two seconds


def test_a_finalizer_that_never_ends_is_interrupted(open_client):
    app = Flask("finalizers")

    @app.get("/")
    def view():
        def generate():
            yield "first"
            Stuck()
            yield "second"

        class Stuck:
            def __del__(self):
                try:
                    stuck_in_sleep()
                except BaseException as error:
                    interrupted.append(error)

        return generate()

    interrupted = []
    with open_client(app) as client:
        stream = hurried(client.get("/"))
        with pytest.raises(StreamTimeout):
            stream.drain()
    assert len(interrupted) == 1


# Races


def test_a_timeout_that_is_about_to_fire_leaves_nothing_behind(open_client):  # noqa: C901
    pause = [0.0]

    def view():
        def generate():
            while True:
                until = time.perf_counter() + pause[0]
                while time.perf_counter() < until:
                    pass
                yield "x"

        return generate()

    app = Flask("races")
    app.add_url_rule("/", "view", view)
    outcomes = set()
    ends_at = time.perf_counter() + 1.5
    for attempt in range(100):
        if time.perf_counter() > ends_at:
            break
        pause[0] = 0.0005 + attempt % 7 * 0.0001
        with open_client(app, timeout=0.01) as client:
            try:
                stream = client.get("/")
                for _ in range(100):
                    next(stream)
            except StreamTimeout as timeout:
                outcomes.add("timeout")
                assert timeout.waited > 0.01  # noqa: PT017
            else:
                outcomes.add("read")
            for _ in range(200):  # a stray signal would be raised here
                pass
    assert outcomes == {"timeout"}


def test_a_signal_that_lands_in_a_line_of_this_package_is_let_pass_once(get):
    # Between two lines of ours an exception would reach the test, or cost a fact.
    stream = get(lambda: iter("ab"))
    budget = stream._producer.budget
    ours = None

    def raise_signal_here():
        watchdog._fired.append(budget)
        watchdog._handle(signal.SIGURG, ours)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(budget.__class__, "settle", settle := _spy(budget.__class__.settle))
        stream.close()
        ours = settle.frame
    budget.begun = time.perf_counter() - 2 * stream.timeout
    raise_signal_here()
    with pytest.raises(Interrupted):
        raise_signal_here()
    budget.begun, budget.fired_at = 0.0, time.perf_counter()
    raise_signal_here()  # the app is not busy: nothing at all
    assert budget.fired_at == 0.0  # else the next pull would be given a whole timeout more


def _spy(method):
    def settle(self):
        settle.frame = sys._getframe(1)
        return method(self)

    return settle


# Debuggers


def test_a_debugger_session_is_not_interrupted(get, pytestconfig):
    gate, entered = threading.Event(), []

    def view():
        def generate():
            plugin_module.pytest_enter_pdb()
            entered.append(1)
            gate.wait(3 * SHORT)  # somebody looks at variables
            plugin_module.pytest_leave_pdb()
            yield "went on"
            stuck_in_event()

        return generate()

    stream = hurried(get(view))
    assert next(stream) == b"went on"
    assert entered == [1]
    assert stream.record.chunks[0].waited < 2 * SHORT
    with pytest.raises(StreamTimeout):
        next(stream)


def test_a_debugger_that_steps_out_of_the_generator(get):
    def view():
        def generate():
            plugin_module.pytest_enter_pdb()
            threading.Event().wait(2 * SHORT)
            yield "a"
            yield "b"
            stuck_in_event()

        return generate()

    stream = hurried(get(view))
    try:
        assert stream.take(2) == [b"a", b"b"]
    finally:
        plugin_module.pytest_leave_pdb()
    with pytest.raises(StreamTimeout):
        next(stream)


def test_a_debugger_by_trace_function(get):
    def trace(frame, event, argument):
        return None

    trace.__module__ = "pydevd"

    def view():
        def generate():
            previous = sys.gettrace()
            sys.settrace(trace)
            try:
                threading.Event().wait(1.5 * SHORT)
            finally:
                sys.settrace(previous)
            yield "went on"
            stuck_in_event()

        return generate()

    stream = hurried(get(view))
    assert next(stream) == b"went on"
    with pytest.raises(StreamTimeout):
        next(stream)


@pytest.mark.skipif(not hasattr(sys, "monitoring"), reason="Python 3.12 and newer")
def test_a_debugger_by_monitoring(get):
    def view():
        def generate():
            sys.monitoring.use_tool_id(sys.monitoring.DEBUGGER_ID, "a debugger")
            try:
                threading.Event().wait(1.5 * SHORT)
            finally:
                sys.monitoring.free_tool_id(sys.monitoring.DEBUGGER_ID)
            yield "went on"

        return generate()

    assert next(hurried(get(view))) == b"went on"


# Other plugins' timeouts


@pytest.fixture
def stuck_suite(pytester):
    pytest.importorskip("pytest_timeout")
    pytester.makepyfile(
        """
        import threading

        from flask import Flask

        from pytest_flask_stream import StreamClient

        def test_stuck():
            app = Flask(__name__)
            cleaned_up = []

            @app.get("/")
            def index():
                def generate():
                    yield "quick"
                    try:
                        threading.Event().wait()
                    finally:
                        cleaned_up.append(1)
                return generate()

            with StreamClient(app) as client:
                stream = client.get("/")
                next(stream)
                try:
                    next(stream)
                finally:
                    assert stream.state == "failed", stream.state
                    assert cleaned_up == [1]
                    print("cleaned up")
        """
    )
    return pytester


def test_pytest_timeout_by_signal(stuck_suite):
    result = stuck_suite.runpytest_subprocess("--timeout=1", "--timeout-method=signal")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*Failed: Timeout (>1.0s) from pytest-timeout*", "cleaned up"])


def test_pytest_timeout_by_thread(stuck_suite):
    result = stuck_suite.runpytest_subprocess("--timeout=1", "--timeout-method=thread")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*threading.Event().wait()*"])
    assert "Timeout" in result.stdout.str() + result.stderr.str()
