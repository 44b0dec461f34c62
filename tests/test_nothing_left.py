"""Whatever a test fails of, the next one sees nothing of its streams.

The inner suite has a test for each kind of failure, and behind each of them one that looks. What
it looks at was taken down when the suite was imported, before there was any client.
"""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

CONFTEST = """
    import gc
    import os
    import queue
    import signal
    import sys
    import threading
    import time

    import flask
    import flask.testing
    import jinja2
    import pytest
    from flask import request, stream_with_context

    SIGNALS = [value for value in vars(flask.signals).values() if hasattr(value, "receivers")]

    def sockets():
        try:
            names = os.listdir("/proc/self/fd")
        except OSError:
            return "this system does not tell"
        links = []
        for name in names:
            try:
                links.append(os.readlink(f"/proc/self/fd/{name}"))
            except OSError:
                pass  # that was the folder itself
        return sorted(link for link in links if link.startswith("socket:"))

    def facts():
        gc.collect()
        return {
            "contexts": (flask.has_app_context(), flask.has_request_context()),
            "threads": threading.enumerate(),
            "sockets": sockets(),
            "Template.generate": jinja2.Template.generate,
            "run_wsgi_app": flask.testing.FlaskClient.run_wsgi_app,
            "patched clients": [
                client for client in gc.get_objects()
                if type(client) is flask.testing.FlaskClient and "run_wsgi_app" in vars(client)
            ],
            "receivers": [sorted(sender.receivers) for sender in SIGNALS],
            "handlers": [signal.getsignal(number) for number in signal.valid_signals()],
            "timer": signal.getitimer(signal.ITIMER_REAL) if hasattr(signal, "getitimer") else None,
            "trace": (sys.gettrace(), sys.getprofile(), threading.gettrace()),
        }

    BEFORE = facts()

    def other_threads():
        # The one that watches the clock is no threading.Thread, and goes when it is idle.
        return sys._current_frames().keys() - {thread.ident for thread in threading.enumerate()}

    @pytest.fixture
    def app():
        app = flask.Flask("inner")
        app.testing = True
        app.jinja_env.globals["numbers"] = range(9)

        @app.get("/")
        def kept():
            return stream_with_context(f"{request.path}{number}" for number in range(9))

        @app.get("/template")
        def template():
            return flask.stream_template_string("{% for n in numbers %}<li>{{ n }}{% endfor %}")

        @app.get("/raises")
        def raises():
            def generate():
                yield request.path
                raise app.config.get("ERROR", LookupError)("lost")
            return stream_with_context(generate())

        @app.get("/view-raises")
        def view_raises():
            left = stream_with_context(request.path for _ in range(9))
            raise LookupError("lost")

        @app.get("/close-raises")
        def close_raises():
            def generate():
                try:
                    yield request.path
                    yield request.path
                finally:
                    raise LookupError("close")
            return stream_with_context(generate())

        @app.get("/swallows")
        def swallows():
            def generate():
                try:
                    yield request.path
                except GeneratorExit:
                    yield "again"
            return stream_with_context(generate())

        @app.get("/endless")
        def endless():
            def generate():
                while True:
                    yield request.path
            return stream_with_context(generate())

        @app.get("/stuck")
        def stuck():
            def generate():
                yield request.path
                threading.Event().wait()
            return stream_with_context(generate())

        @app.get("/stuck-view")
        def stuck_view():
            threading.Event().wait()

        @app.get("/events")
        def events():
            def generate():
                while True:
                    try:
                        yield messages.get(timeout=0.05)
                    except queue.Empty:
                        yield ": still here"
            messages = app.config["MESSAGES"] = queue.Queue()
            return stream_with_context(generate())

        @app.get("/number")
        def number():
            return stream_with_context(iter([1]))

        @app.get("/moved")
        def moved():
            return flask.redirect("/")

        @app.teardown_request
        def teardown(error):
            if "fail" in request.args:
                raise LookupError("teardown")

        return app

    @pytest.fixture
    def pushed(app):
        with app.app_context():
            yield
"""

LOOK = """
def test_{number:02}_b_nothing_is_left():
    assert facts() == BEFORE
"""
HEAD = """
import threading
import pytest
import unittest
from conftest import BEFORE, facts, other_threads
from flask import Flask, stream_with_context, request
from pytest_flask_stream import StreamClient
"""

FAILURES = {
    "a plain assert, with a stream half read": """
        def test(stream_client):
            next(stream := stream_client.get("/"))
            assert stream.delivered == 2
    """,
    "a claim that does not hold": """
        def test(stream_client):
            next(stream_client.get("/"))
            stream_client.get("/").assert_chunk_count(at_most=2)
    """,
    "pytest.fail, with a template half streamed": """
        def test(stream_client):
            stream_client.get("/template").take(2)
            pytest.fail("enough")
    """,
    "an error in the generator": """
        def test(stream_client):
            stream_client.get("/raises").drain()
    """,
    "an error in the generator that is no Exception": """
        def test(app, stream_client):
            app.config["ERROR"] = SystemExit
            stream_client.get("/raises").drain()
    """,
    "a KeyboardInterrupt in the generator that the test expects": """
        def test(app, stream_client):
            app.config["ERROR"] = KeyboardInterrupt
            with pytest.raises(KeyboardInterrupt):
                stream_client.get("/raises").drain()
            assert False
    """,
    "an error in the view, whose generator is left": """
        def test(stream_client):
            stream_client.get("/view-raises")
    """,
    "a chunk that is not bytes": """
        def test(stream_client):
            next(stream_client.get("/number"))
    """,
    "a timeout in a pull": """
        @pytest.mark.flask_stream(timeout=0.1)
        def test(stream_client):
            stream_client.get("/stuck").drain()
    """,
    "a timeout in the view": """
        @pytest.mark.flask_stream(timeout=0.1)
        def test(stream_client):
            stream_client.get("/stuck-view")
    """,
    "a stream without end": """
        @pytest.mark.flask_stream(max_chunks=5)
        def test(stream_client):
            stream_client.get("/endless").read()
    """,
    "an error when the test closes the stream": """
        def test(stream_client):
            next(stream := stream_client.get("/close-raises"))
            stream.disconnect()
    """,
    "a generator that cannot be closed": """
        def test(stream_client):
            next(stream := stream_client.get("/swallows"))
            stream.assert_cleaned_up()
    """,
    "an error of a teardown function": """
        def test(stream_client):
            stream_client.get("/?fail").drain()
    """,
    "a dropped stream": """
        def test(stream_client):
            next(stream_client.get("/"))
            kept = [stream_client.get("/template")]
            next(kept[0])
            kept.append(kept)
            del kept
            assert False
    """,
    "a first pull that was begun": """
        def test(app, stream_client):
            stream = stream_client.get("/events")
            stream.start(until=lambda: "MESSAGES" in app.config)
            assert stream.delivered == 1
    """,
    "streams read in turn, behind a redirect too": """
        def test(stream_client, make_stream_client):
            one = stream_client.get("/")
            two = make_stream_client().get("/moved", follow_redirects=True)
            assert [next(one), next(two), next(one)] == []
    """,
    "contexts that the test has pushed": """
        def test(app, stream_client):
            with app.app_context(), app.test_request_context("/of-the-test"):
                next(stream_client.get("/"))
                assert False
    """,
    "a stream in the context of a fixture": """
        def test(pushed, make_stream_client):
            next(make_stream_client(isolate=False).get("/"))
            assert False
    """,
    "a client in a with block": """
        def test(app, make_stream_client):
            with app.test_client() as client:
                client.get("/moved")
                next(make_stream_client(client).get("/"))
                assert False
    """,
    "a client made by hand": """
        def test(app):
            with StreamClient(app) as client:
                next(client.get("/template"))
                assert False
    """,
    "a TestCase": """
        class TestInner(unittest.TestCase):
            def test(self):
                app = Flask("case")
                app.add_url_rule("/", "v", lambda: stream_with_context(request.path for _ in "ab"))
                client = StreamClient(app)
                self.addCleanup(client.close)
                next(client.get("/"))
                self.fail()
    """,
}
NOT_FAILED = {
    "a test that is skipped half-way": """
        def test(stream_client):
            next(stream_client.get("/"))
            pytest.skip("half-way")
    """,
    "a failure that is expected": """
        @pytest.mark.xfail(strict=True)
        def test(stream_client):
            next(stream_client.get("/"))
            assert False
    """,
}
ERRORS = {
    "an error when a fixture is set up": """
        @pytest.fixture
        def half_read(stream_client):
            next(stream_client.get("/"))
            raise LookupError("set-up")

        def test(half_read):
            pass
    """,
    "an error when a fixture is torn down": """
        @pytest.fixture
        def half_read(stream_client):
            yield
            next(stream_client.get("/"))
            raise LookupError("tear-down")

        def test(half_read):
            pass
    """,
    "an error when the fixture closes the streams": """
        def test(stream_client):
            for path in ("/", "/close-raises", "/"):
                next(stream_client.get(path))
    """,
}
AT_THE_END = """
def test_the_thread_that_watches_ends():
    # It has no name to be joined by; it is idle for as long as it takes to look a few times.
    turns = 0
    while other_threads() and turns < 100:
        threading.Event().wait(0.05)
        turns += 1
    assert not other_threads()
"""


def suite_of(bodies):
    """Write the inner suite: of each kind of failure a test, and then one that looks."""
    parts = [HEAD]
    for number, (kind, body) in enumerate(bodies.items()):
        lines = [line.removeprefix("        ") for line in body.splitlines()]
        name = f"def test_{number:02}_a"
        text = "\n".join(lines)
        text = text.replace("class TestInner", f"class Test{number:02}A")
        text = text.replace("def half_read", f"def half_read_{number}")
        text = text.replace("(half_read)", f"(half_read_{number})")
        parts += [f"# {kind}", text.replace("def test(", f"{name}("), LOOK.format(number=number)]
    return "\n".join([*parts, AT_THE_END])


@pytest.fixture
def run(pytester, monkeypatch):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(bodies):
        pytester.makeconftest(CONFTEST)
        pytester.path.joinpath("test_inner.py").write_text(suite_of(bodies), "utf-8")
        options = ("-p", "pytest_flask_stream.plugin", "-p", "no:cacheprovider", "-W", "error")
        return pytester.runpytest_subprocess(*options)

    return run


def test_the_next_test_sees_nothing_of_a_failed_one(run):
    result = run(FAILURES)
    result.assert_outcomes(passed=len(FAILURES) + 1, failed=len(FAILURES))


def test_the_next_test_sees_nothing_of_one_that_was_skipped_or_expected_to_fail(run):
    run(NOT_FAILED).assert_outcomes(passed=3, skipped=1, xfailed=1)


def test_the_next_test_sees_nothing_of_one_whose_fixtures_failed(run):
    # of three tests, the last two pass before their fixtures are torn down
    run(ERRORS).assert_outcomes(passed=6, errors=3)
