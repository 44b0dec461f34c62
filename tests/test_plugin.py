"""The pytest side: fixtures, the report of a failed test, and good manners beside other plugins."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from pytest_flask_stream.opened import opened_in_test

PLUGIN = ("-p", "pytest_flask_stream.plugin", "-p", "no:cacheprovider")
CONFTEST = """
import flask
import pytest

@pytest.fixture
def app():
    app = flask.Flask("inner")
    app.testing = True

    @app.get("/ok")
    def ok():
        return iter(["a", "b"])

    @app.get("/long")
    def long():
        return iter([str(number) for number in range(100, 120)])

    @app.get("/raises")
    def raises():
        raise LookupError("no row")

    @app.get("/close-raises")
    def close_raises():
        response = flask.Response(iter(["a"]))
        def fail():
            raise LookupError("close failed")
        response.call_on_close(fail)
        return response

    return app
"""


@pytest.fixture(autouse=True)
def no_other_plugins(monkeypatch):
    # Whether this plugin is installed or only on the path, it is loaded by name, and alone.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


@pytest.fixture
def run(pytester):
    """Run a suite in this process; ``conftest`` may be replaced."""

    def run(source, *args, conftest=CONFTEST, subprocess=False):
        if conftest:
            pytester.makeconftest(conftest)
        pytester.makepyfile(source)
        runpytest = pytester.runpytest_subprocess if subprocess else pytester.runpytest_inprocess
        return runpytest(*PLUGIN, "--strict-markers", *args)

    return run


def sections(result):
    """The report sections of this plugin: the lines of each."""
    found, lines = [], iter(result.outlines)
    for line in lines:
        if line.strip("- ") == "Flask stream":
            found.append([])
            for inner in lines:
                if inner.startswith(("---", "===", "___")):
                    break
                found[-1].append(inner)
    return found


def heads(section):
    return [line.partition("  ")[0] for line in section if line.startswith("GET")]


# Fixtures


def test_the_fixtures(run):
    result = run(
        """
        import flask
        import pytest
        from pytest_flask_stream import StreamClient, StreamClosed

        kept = []

        def test_client(stream_client, app):
            assert type(stream_client) is StreamClient
            assert stream_client.flask_client.application is app
            stream = stream_client.get("/ok")
            assert next(stream) == b"a"
            kept.append((stream_client, stream))

        def test_closed_after_the_test():
            (client, stream), = kept
            assert stream.state == "closed"
            with pytest.raises(StreamClosed):
                client.get("/ok")

        def test_further_clients(make_stream_client, app):
            first, second = make_stream_client(), make_stream_client()
            assert first is not second
            assert first.flask_client.application is second.flask_client.application is app
            flask_client = app.test_client()
            flask_client.set_cookie("a", "b")
            shared = make_stream_client(flask_client, timeout=3)
            assert shared.flask_client is flask_client
            assert shared.timeout == 3.0
            assert make_stream_client(flask.Flask("other")).get("/").status_code == 404

        @pytest.fixture
        def no_autouse(request):
            return request.fixturenames

        def test_no_autouse(no_autouse):
            assert not [name for name in no_autouse if "stream" in name or name == "app"]

        def test_unknown_setting(make_stream_client):
            with pytest.raises(TypeError, match="there is no setting 'timout'"):
                make_stream_client(timout=3)
        """
    )
    result.assert_outcomes(passed=5)
    assert sections(result) == []


def test_streams_are_closed_before_the_app_is_torn_down(run):
    result = run(
        """
        import flask
        import pytest

        order = []

        @pytest.fixture
        def app():
            app = flask.Flask("order")
            @app.get("/")
            def index():
                def generate():
                    try:
                        yield "a"
                    finally:
                        order.append("stream closed")
                return generate()
            yield app
            order.append("app torn down")

        def test_stream(stream_client):
            next(stream_client.get("/"))

        def test_order():
            assert order == ["stream closed", "app torn down"]
        """
    )
    result.assert_outcomes(passed=2)


def test_wrong_apps(run):
    result = run(
        """
        import pytest

        def test_none(stream_client):
            pass

        def test_none_for_make(make_stream_client):
            make_stream_client()

        def test_none_for_a_server(stream_server):
            pass

        def test_none_for_a_live_client(live_stream_client):
            pass

        class TestNoFlask:
            @pytest.fixture(params=[{"no": "app"}, None, lambda: 1], ids=["dict", "none", "call"])
            def app(self, request):
                return request.param

            def test_no_flask(self, stream_client):
                pass

        class TestFails:
            @pytest.fixture
            def app(self, missing_thing):
                pass

            def test_needs_more(self, stream_client):
                pass

            def test_needs_more_when_it_is_asked_for(self, make_stream_client):
                make_stream_client()

        class TestRaises:
            @pytest.fixture
            def app(self):
                raise LookupError("the user's own error")

            def test_raises(self, stream_client):
                pass
        """,
        conftest="",
    )
    result.assert_outcomes(failed=2, errors=8)
    text = result.stdout.str()
    assert text.count("fixture 'missing_thing' not found") == 2
    for asking in ("stream_client", "make_stream_client()", "stream_server", "live_stream_client"):
        needs = f"UsageError: {asking} needs a fixture named 'app' that gives a flask.Flask, and"
        assert text.count(needs) == 1
    assert (
        text.count("remedy:  define it in conftest.py, or call make_stream_client(your_app)") == 4
    )
    no_app = "E *TypeError: app must be a flask.Flask or a client made by app.test_client(), not"
    result.stdout.fnmatch_lines_random(
        [
            f"{no_app} {{'no': 'app'}} of type dict; a WSGI layer *",
            f"{no_app} None; does the fixture 'app' return it, or yield it[?]",
            f"{no_app} <function *> of type function; call it, if it makes the app; a WSGI *",
            "E *LookupError: the user's own error",
        ]
    )
    assert ":in make" not in text
    assert "def _app(" not in text
    assert "def _flask_client(" not in text


def test_a_test_runs_once_for_each_parameter_of_the_app(run):
    result = run(
        """
        import pytest
        from flask import Flask

        @pytest.fixture(params=["dev", "prod"])
        def app(request):
            app = Flask(__name__)

            @app.get("/")
            def name():
                return (part for part in [request.param])

            return app

        def test_in_process(stream_client):
            assert stream_client.get("/").read_text() in ("dev", "prod")

        def test_live(live_stream_client):
            assert live_stream_client.get("/").read_text() in ("dev", "prod")

        def test_server(stream_server):
            assert stream_server.url
        """,
        "-v",
        conftest="",
    )
    result.assert_outcomes(passed=6)
    result.stdout.fnmatch_lines(
        ["*::test_in_process[[]dev] PASSED*", "*::test_in_process[[]prod]*"]
    )


def test_errors_of_closing(run):
    result = run(
        """
        import pytest

        streams = []

        def test_close_raises(stream_client, make_stream_client):
            for client in (stream_client, make_stream_client()):
                for path in ("/ok", "/close-raises", "/ok"):
                    streams.append(client.get(path))
                    next(streams[-1])

        def test_all_are_closed():
            assert [stream.state for stream in streams] == ["closed"] * 6
        """
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(
        ["*ERROR at teardown of test_close_raises*", "E *LookupError: close failed"]
    )
    assert len(sections(result)) == 1


# The report


def test_an_error_for_want_of_a_context_is_explained_where_no_claim_does(run):
    result = run(
        """
        from flask import request

        def add_routes(app):
            @app.get("/forgot")
            def forgot():
                def generate():
                    yield request.args["name"]
                return generate()

        def test_read(app, stream_client):
            add_routes(app)
            stream_client.get("/ok").drain()
            stream_client.get("/forgot").read()

        def test_claim(app, stream_client):
            add_routes(app)
            stream_client.get("/forgot").assert_complete()

        def test_of_its_own(app, stream_client):
            stream_client.get("/ok").drain()
            request.args
        """
    )
    result.assert_outcomes(failed=3)
    read, claim, own = sections(result)
    assert heads(read) == ["GET /ok", "GET /forgot"]
    assert re.fullmatch(
        r"  cause:   generate touched request when the request context was gone:"
        r" \S+\.py:\d+  yield request.args\[\"name\"\]; a context that is pushed in .*",
        read[-2],
    )
    assert read[-1] == (
        "  remedy:  wrap the generator: stream_with_context(generate()), or read what it needs of"
        " the request in the view"
    )
    assert not any("remedy:" in line for line in [*claim, *own])


FAILING = """
    import pytest
    import unittest
    from pytest_flask_stream import StreamClient

    def test_passes(stream_client):
        assert stream_client.get("/ok").read() == b"ab"

    def test_plain_assert(stream_client):
        stream = stream_client.get("/ok")
        assert next(stream) == b"wrong"

    def test_exception_in_the_view(stream_client):
        stream_client.get("/raises")

    def test_four_streams(stream_client, make_stream_client):
        for client, query in ((stream_client, 1), (make_stream_client(), 2), (stream_client, 3)):
            client.get(f"/ok?n={query}")
        assert stream_client.get("/long").read() == b""

    def test_fails_and_its_teardown_too(stream_client):
        next(stream_client.get("/close-raises"))
        assert False

    @pytest.fixture
    def broken(stream_client):
        stream_client.get("/ok?setup").read()
        raise LookupError("in the set-up")

    def test_setup(broken):
        pass

    @pytest.fixture
    def broken_later(stream_client):
        yield
        stream_client.get("/ok?teardown").read()
        raise LookupError("in the tear-down")

    def test_teardown(broken_later):
        pass

    def test_opened_none(stream_client):
        assert False

    def test_by_hand(app):
        with StreamClient(app) as client:
            assert client.get("/ok?hand").read() == b""

    @pytest.fixture(scope="module")
    def shared():
        import flask
        app = flask.Flask("shared")
        app.add_url_rule("/", "view", lambda: iter("x"))
        with StreamClient(app) as client:
            yield client

    def test_shared_passes(shared):
        shared.get("/?first").read()

    def test_shared_fails(shared):
        shared.get("/?second").read()
        assert False

    class TestCase(unittest.TestCase):
        def test_unittest(self):
            import flask
            app = flask.Flask("unittest")
            app.add_url_rule("/unittest", "view", lambda: iter("x"))
            client = StreamClient(app)
            self.addCleanup(client.close)
            self.assertEqual(client.get("/unittest").read(), b"")
"""
REPORTED = [
    ["GET /ok 200"],
    ["GET /raises"],
    ["GET /ok?n=2", "GET /ok?n=3", "GET /long"],
    ["GET /close-raises"],
    ["GET /ok?setup"],
    ["GET /ok?teardown"],
    ["GET /ok?hand"],
    ["GET /?second"],
    ["GET /unittest"],
]


def reported(result):
    return sorted([*heads(section)] for section in sections(result))


def expected(newest=3):
    wanted = [[head.removesuffix(" 200") for head in test] for test in REPORTED]
    if newest is None:
        wanted[2].insert(0, "GET /ok?n=1")
    return sorted(wanted)


OUTCOMES = {"passed": 3, "failed": 8, "errors": 3}


def test_each_stream_of_a_failed_test_is_shown(run):
    result = run(FAILING)
    result.assert_outcomes(**OUTCOMES)
    assert reported(result) == expected()
    (four,) = (section for section in sections(result) if len(heads(section)) == 3)
    assert four[0] == "(1 more with -v)"
    assert "  … 14 more chunks (all with -vv)" in four
    assert sum(line.startswith("  #") for line in four) == 6
    (raised,) = (section for section in sections(result) if heads(section) == ["GET /raises"])
    assert raised[1].startswith("  error: LookupError: no row  conftest.py:")


def test_all_streams_with_v_and_all_chunks_with_vv(run):
    result = run(FAILING, "-v", "-k", "four_streams")
    assert reported(result) == [max(expected(None), key=len)]
    assert "more chunks (all with -vv)" in result.stdout.str()
    result = run(FAILING, "-vv", "-k", "four_streams", conftest="")
    (four,) = sections(result)
    assert len(heads(four)) == 4
    assert sum(line.startswith("  #") for line in four) == 20


def test_under_xdist(run):
    pytest.importorskip("xdist")
    result = run(FAILING, "-p", "xdist.plugin", "-n", "1", subprocess=True)
    result.assert_outcomes(**OUTCOMES)
    assert reported(result) == expected()


def test_without_assertion_rewriting(run):
    result = run(FAILING, "--assert=plain", "-k", "plain_assert")
    result.assert_outcomes(failed=1)
    assert reported(result) == [["GET /ok"]]


def test_the_list_of_a_test_is_gone_after_it(run):
    before = opened_in_test.get(None)
    run("def test_nothing(stream_client): stream_client.get('/ok')").assert_outcomes(passed=1)
    assert opened_in_test.get(None) is before


# Manners


def test_what_pytest_tells_of_us(run):
    result = run("", "--markers")
    result.stdout.fnmatch_lines(
        ["@pytest.mark.flask_stream(timeout, max_chunks, keep_bytes, isolate): settings of*"]
    )
    result = run("", "--fixtures")
    result.stdout.fnmatch_lines(
        ["make_stream_client*", "*Make further stream clients: *", "stream_client*", "*Give a*"]
    )
    result = run("", "--help")
    result.stdout.fnmatch_lines(["*flask_stream_timeout (string):*", "*pytest-flask-stream: sec*"])


def test_an_unused_plugin_imports_nothing_of_flask(pytester):
    pytester.makepyfile(
        """
        import sys
        import pytest

        @pytest.mark.flask_stream(timeout=3)
        def test_unused():
            loaded = {name.partition(".")[0] for name in sys.modules}
            assert not loaded & {"flask", "werkzeug", "jinja2"}
            assert 0
        """
    )
    command = [sys.executable, "-m", "pytest", *PLUGIN, "--strict-markers"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "1 failed" in result.stdout
    assert "assert 0\n" in result.stdout


def test_beside_pytest_flask(run):
    pytest.importorskip("pytest_flask")
    result = run(
        """
        import flask

        def test_both(client, stream_client, app):
            assert client.get("/ok").data == b"ab"
            assert flask.has_request_context()  # pytest-flask's
            stream = stream_client.get("/ok")
            assert next(stream) == b"a"
            assert not stream.record.chunks[0].request_context
            assert client.get("/ok").data == b"ab"
            assert stream.read() == b"ab"

        def test_shared(client, make_stream_client):
            client.set_cookie("who", "ada")
            stream = make_stream_client(client).get("/ok")
            assert stream.request.cookies["who"] == "ada"
            assert stream.read() == b"ab"
        """,
        "-p",
        "pytest_flask.plugin",
    )
    result.assert_outcomes(passed=2)


def test_names_of_other_plugins_are_left_alone():
    from pytest_flask_stream import plugin

    fixtures = {
        name
        for name, value in vars(plugin).items()
        if type(value).__name__ == "FixtureFunctionDefinition"
        or hasattr(value, "_pytestfixturefunction")
    }
    assert {"stream_client", "make_stream_client"} <= fixtures
    assert all("stream" in name for name in fixtures)
