"""Live mode in a suite: fixtures, options, what fails which test, and what a run leaves behind."""

from __future__ import annotations

import subprocess
import sys

import pytest

PLUGIN = ("-p", "pytest_flask_stream.plugin", "-p", "no:cacheprovider", "--strict-markers")
RUN_DEADLINE = 60  # s; a run takes one or two, and hangs only where something is broken
CONFTEST = """
import itertools
import threading

import flask
import pytest

@pytest.fixture
def app():
    app = flask.Flask("inner")
    app.testing = True
    made = threading.Event()
    app.made = made

    @app.get("/ok")
    def ok():
        return iter(["a", "b"])

    @app.get("/port")
    def port():
        return str(flask.request.environ["SERVER_PORT"])

    @app.get("/software")
    def software():
        return flask.request.environ["SERVER_SOFTWARE"]

    @app.get("/endless")
    def endless():
        return (str(number) for number in itertools.count())

    @app.get("/idle")
    def idle():
        yield "a"
        let_go.wait()

    @app.get("/raises")
    def raises():
        raise LookupError("no row")

    @app.get("/raises-later")
    def raises_later():
        yield "a"
        made.set()
        raise LookupError("no row")

    return app

let_go = threading.Event()

def pytest_sessionfinish():
    let_go.set()
"""

NEVER_LET_GO = CONFTEST.replace("let_go.set()", "pass")


@pytest.fixture(autouse=True)
def no_other_plugins(monkeypatch):
    # Whether this plugin is installed or only on the path, it is loaded by name, and alone.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


@pytest.fixture
def run(pytester):
    """Run a suite in this process, or in another one, which has a deadline."""

    def run(source, *args, conftest=CONFTEST, in_subprocess=False):
        pytester.makeconftest(conftest)
        pytester.makepyfile(source)
        if not in_subprocess:
            return pytester.runpytest_inprocess(*PLUGIN, *args)
        command = (sys.executable, "-m", "pytest", *PLUGIN, *args)
        return pytester.run(*command, timeout=RUN_DEADLINE)

    return run


# Fixtures


def test_the_fixtures(run, server):
    result = run(
        """
        import flask
        import pytest
        from pytest_flask_stream import LiveStreamClient, StreamClient, StreamClosed

        kept = []

        def test_client(live_stream_client, app):
            assert type(live_stream_client) is LiveStreamClient
            assert live_stream_client.flask_client.application is app
            stream = live_stream_client.get("/ok")
            assert list(stream) == [b"a", b"b"]
            kept.append((live_stream_client, live_stream_client.get("/endless")))

        def test_closed_after_the_test():
            (client, stream), = kept
            assert stream.state == "closed"
            with pytest.raises(StreamClosed):
                client.get("/ok")

        def test_in_process_still(stream_client, make_stream_client):
            assert type(stream_client) is type(make_stream_client()) is StreamClient

        def test_the_server(stream_server, live_stream_client, make_stream_client):
            assert stream_server.host == "127.0.0.1"
            assert stream_server.url == f"http://127.0.0.1:{stream_server.port}"
            for client in (live_stream_client, make_stream_client(live=True)):
                assert type(client) is LiveStreamClient
                assert client.get("/port").read_text() == str(stream_server.port)

        def test_the_server_after_the_client(live_stream_client, stream_server):
            assert live_stream_client.get("/port").read_text() == str(stream_server.port)

        def test_two_apps_have_two_servers(live_stream_client, make_stream_client):
            other = flask.Flask("other")
            other.add_url_rule("/", "view", lambda: str(flask.request.environ["SERVER_PORT"]))
            first = make_stream_client(other, live=True)
            second = make_stream_client(other.test_client(), live=True)
            assert first.get("/").read() == second.get("/").read()
            assert first.get("/").read() != live_stream_client.get("/port").read()

        def test_settings(make_stream_client):
            assert make_stream_client(live=True, timeout=3).timeout == 3.0

        @pytest.mark.flask_stream(timeout=4)
        def test_settings_of_the_marker(live_stream_client):
            assert live_stream_client.timeout == 4.0
        """,
        f"--flask-stream-server={server}",
    )
    result.assert_outcomes(passed=8)


@pytest.mark.parametrize(
    ("arguments", "software"),
    [
        ((), "Werkzeug/"),
        (("--flask-stream-server=werkzeug",), "Werkzeug/"),
        (("--flask-stream-server=waitress",), "waitress"),
    ],
)
def test_the_server_is_picked(run, arguments, software):
    result = run(
        f"""
        def test_server(live_stream_client):
            assert live_stream_client.get("/software").read_text().startswith({software!r})
        """,
        *arguments,
    )
    result.assert_outcomes(passed=1)


def test_an_unknown_server_is_a_usage_error(run):
    result = run("def test_nothing(): pass", "--flask-stream-server=apache", in_subprocess=True)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--flask-stream-server: invalid choice: 'apache'*"])


def test_a_whole_suite_runs_over_the_wire(run, server):
    suite = """
        from pytest_flask_stream import StreamClient

        def test_fixture(stream_client):
            stream = stream_client.get("/ok")
            assert list(stream) == [b"a", b"b"]
            stream.assert_complete()
            print(type(stream).__name__)

        def test_factory(make_stream_client, app):
            print(type(make_stream_client(app).get("/ok")).__name__)
    """
    result = run(suite, "-s", "--flask-stream-live", f"--flask-stream-server={server}")
    result.assert_outcomes(passed=2)
    assert result.stdout.str().count("LiveStreamedResponse") == 2
    assert "LiveStreamedResponse" not in run(suite, "-s").stdout.str()


# isolate


@pytest.mark.parametrize(
    "test",
    [
        "def test_argument(make_stream_client): make_stream_client(live=True, isolate=False)",
        "def test_attribute(live_stream_client): live_stream_client.isolate = False",
        "import pytest\n"
        "@pytest.mark.flask_stream(isolate=False)\n"
        "def test_marker(live_stream_client): pass",
    ],
)
def test_sharing_contexts_is_a_usage_error(run, test):
    result = run(test)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "*UsageError: isolate=False makes no sense in live mode: *",
            "*remedy:  leave it away, or run this test in process",
        ]
    )


@pytest.mark.parametrize("argument", ["--flask-stream-live", "-v"])
def test_sharing_contexts_in_the_ini_file_is_a_usage_error_over_the_wire(run, argument, pytester):
    pytester.makeini("[pytest]\nflask_stream_isolate = false\n")
    result = run(
        """
        def test_inherited(stream_client):
            assert stream_client.get("/ok").read() == b"ab"

        def test_overridden(make_stream_client):
            assert make_stream_client(isolate=True).get("/ok").read() == b"ab"
        """,
        argument,
    )
    if argument == "-v":
        result.assert_outcomes(passed=2)
    else:
        result.assert_outcomes(passed=1, errors=1)
        result.stdout.fnmatch_lines(["*UsageError: isolate=False makes no sense in live mode: *"])


# What is optional


@pytest.mark.parametrize(
    ("module", "arguments", "lines"),
    [
        (
            "h11",
            (),
            [
                "*StreamServerError: live mode reads the wire with h11, which is not installed",
                "*remedy:  pip install 'pytest-flask-stream[[]live]'",
            ],
        ),
        (
            "waitress",
            ("--flask-stream-server=waitress",),
            [
                "*StreamServerError: no server could be started: waitress is not installed",
                "*remedy:  pip install 'pytest-flask-stream[[]waitress]', or use the server *",
            ],
        ),
    ],
)
def test_what_is_not_installed_is_named(run, module, arguments, lines):
    missing = f"import sys\nsys.modules[{module!r}] = None  # an import of it is an ImportError\n"
    result = run(
        """
        def test_in_process(stream_client):
            assert stream_client.get("/ok").read() == b"ab"

        def test_live(live_stream_client):
            pass
        """,
        *arguments,
        conftest=missing + CONFTEST,
        in_subprocess=True,
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(lines)


def test_werkzeug_and_h11_are_enough(run):
    result = run(
        """
        def test_live(live_stream_client):
            assert live_stream_client.get("/ok").read() == b"ab"
        """,
        conftest="import sys\nsys.modules['waitress'] = None\n" + CONFTEST,
        in_subprocess=True,
    )
    result.assert_outcomes(passed=1)


# Whose error it is


def test_an_error_that_nobody_waits_for_fails_its_own_test(run, server):
    result = run(
        """
        def test_opens_and_forgets(live_stream_client, app):
            live_stream_client.get("/raises-later")
            assert app.made.wait(20)

        def test_other(live_stream_client):
            assert live_stream_client.get("/ok").read() == b"ab"
        """,
        f"--flask-stream-server={server}",
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(
        ["_* ERROR at teardown of test_opens_and_forgets _*", "E*LookupError: no row"]
    )


def test_an_error_in_a_request_of_another_client_fails_its_own_test(run, server):
    result = run(
        """
        import urllib.error
        import urllib.request
        import pytest

        def test_urllib(stream_server):
            with pytest.raises(urllib.error.HTTPError):
                urllib.request.urlopen(stream_server.url + "/raises", timeout=20)

        def test_other(stream_server):
            with urllib.request.urlopen(stream_server.url + "/ok", timeout=20) as response:
                assert response.read() == b"ab"
        """,
        f"--flask-stream-server={server}",
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["_* ERROR at teardown of test_urllib _*", "E*LookupError: no row"])


def test_the_users_line_is_on_top_of_the_traceback(run, server):
    result = run(
        "def test_raises(live_stream_client): live_stream_client.get('/raises')",
        f"--flask-stream-server={server}",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "    def raises():",
            '>       raise LookupError("no row")',
            "E       LookupError: no row",
            "conftest.py:*: LookupError",
        ]
    )


def test_a_failing_test_shows_its_stream_and_the_log_of_the_server(run, server):
    result = run(
        """
        def test_fails(live_stream_client):
            stream = live_stream_client.get("/raises-later")
            next(stream)
            next(stream)
        """,
        f"--flask-stream-server={server}",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*- Captured log call -*", "ERROR *pytest_flask_stream.live*"])
    result.stdout.fnmatch_lines(["*- Flask stream -*", "GET /raises-later  200 *  failed *"])


@pytest.mark.parametrize("arguments", [(), ("-p", "no:logging")])
def test_nothing_of_the_server_is_printed(run, arguments):
    result = run(
        """
        import pytest

        def test_raises(live_stream_client):
            assert live_stream_client.get("/ok").read() == b"ab"
            with pytest.raises(LookupError):
                live_stream_client.get("/raises-later").drain()
        """,
        "-s",
        *arguments,
        in_subprocess=True,
    )
    result.assert_outcomes(passed=1)
    assert result.stderr.str() == ""
    assert "GET" not in result.stdout.str()
    assert "Error" not in result.stdout.str()


# What a run leaves behind


SUITE = """
import pytest

PORTS = []

def test_warm(live_stream_client):  # what is imported and opened once for all of a process
    live_stream_client.get("/ok").drain()

@pytest.fixture(scope="module")
def look():
    import gc, os, threading
    def look():
        gc.collect()
        return threading.active_count(), len(os.listdir("/dev/fd"))
    return look

def test_before(look):
    PORTS.append(look())

def test_fails(live_stream_client, stream_server):
    stream = live_stream_client.get("/endless")
    next(stream)
    PORTS.append(stream_server.port)
    assert False, "on purpose"

def test_stuck(make_stream_client):
    stream = make_stream_client(live=True, timeout=0.2).get("/idle")
    stream.take(2)

def test_many(live_stream_client):
    for _ in range(3):
        next(live_stream_client.get("/endless"))
        live_stream_client.get("/ok").drain()

def test_after(look):
    import socket
    import threading
    from conftest import let_go
    let_go.set()
    for thread in threading.enumerate():
        if thread.name.startswith("pytest-flask-stream"):
            thread.join(20)
    before, port = PORTS
    assert look() == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 20)
"""


def test_nothing_is_left_after_tests_that_fail(run, server):
    result = run(SUITE, f"--flask-stream-server={server}", in_subprocess=True)
    result.assert_outcomes(passed=4, failed=2)
    result.stdout.fnmatch_lines(["*on purpose*", "*StreamTimeout*"])


def test_under_xdist(run):
    pytest.importorskip("xdist")
    result = run(
        """
        import pytest

        @pytest.mark.parametrize("number", range(4))
        def test_live(live_stream_client, number):
            stream = live_stream_client.get("/ok")
            assert list(stream) == [b"a", b"b"]
            next(live_stream_client.get("/endless"))
            assert number != 2
        """,
        *("-p", "xdist.plugin", "-n", "2"),
        in_subprocess=True,
    )
    result.assert_outcomes(passed=3, failed=1)


def test_an_interrupted_run_ends(run, server):
    result = run(
        """
        def test_interrupted(live_stream_client):
            next(live_stream_client.get("/endless"))
            next(live_stream_client.get("/idle"))
            raise KeyboardInterrupt

        def test_never_run():
            pass
        """,
        f"--flask-stream-server={server}",
        "-o",
        "flask_stream_timeout=0.5",
        in_subprocess=True,
    )
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*KeyboardInterrupt*"])


def test_a_read_that_is_interrupted_keeps_nobody(run):
    """The app is stuck, there is no timeout, and the user presses Ctrl-C."""
    result = run(
        """
        import signal
        import threading

        def test_interrupted(make_stream_client):
            # What is run in the background may have been started with the signal ignored.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            stream = make_stream_client(live=True, timeout=0).get("/idle")
            next(stream)
            main = threading.main_thread().ident
            threading.Timer(0.3, signal.pthread_kill, (main, signal.SIGINT)).start()
            next(stream)
        """,
        conftest=NEVER_LET_GO,
        in_subprocess=True,
    )
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*KeyboardInterrupt*"])


def test_beside_pytest_timeout(run):
    pytest.importorskip("pytest_timeout")
    result = run(
        """
        def test_stuck(make_stream_client):
            stream = make_stream_client(live=True, timeout=0).get("/idle")
            stream.take(2)

        def test_ok(live_stream_client):
            assert live_stream_client.get("/ok").read() == b"ab"
        """,
        *("-p", "pytest_timeout", "--timeout=1", "--timeout-method=signal"),
        conftest=NEVER_LET_GO,
        in_subprocess=True,
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*Timeout*1*"])


def test_a_process_ends_though_a_thread_is_stuck(run):
    result = run(
        """
        def test_stuck(make_stream_client):
            make_stream_client(live=True, timeout=0.2).get("/idle").take(2)
        """,
        conftest=NEVER_LET_GO,
        in_subprocess=True,
    )
    result.assert_outcomes(failed=1)


def test_importing_costs_no_extra(pytester):
    code = (
        "import sys; sys.modules['h11'] = sys.modules['waitress'] = None\n"
        "from pytest_flask_stream import LiveStreamClient, StreamServerError\n"
        "import flask\n"
        "try:\n    LiveStreamClient(flask.Flask('a'))\n"
        "except StreamServerError as error:\n    print(error.reason)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "live mode reads the wire with h11, which is not installed\n"
