"""One suite, this plugin and another: each does its own work, and neither disturbs the other's.

Each test runs an inner suite with the two of them alone, loaded by name; the last one with all.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest_plugins = ["pytester"]

CONFTEST = """
    import flask
    import pytest
    import threading

    @pytest.fixture
    def app():
        app = flask.Flask("inner")
        app.testing = True
        app.cleaned_up = []

        @app.get("/")
        def numbers():
            return (f"{number}\\n" for number in range(3))

        @app.route("/forgot", methods=["GET", "POST"])
        def forgot():
            return (flask.request.method for _ in range(2))

        @app.get("/stuck")
        def stuck():
            def generate():
                yield "quick"
                try:
                    threading.Event().wait()
                finally:
                    app.cleaned_up.append("stuck")
            return generate()

        return app
"""
PLUGINS = {
    "pytest_flask": "flask",
    "xdist": "xdist",
    "pytest_timeout": "timeout",
    "pytest_randomly": "randomly",
    "pytest_asyncio": "asyncio",
    "pytest_cov": "pytest_cov",
}
"""The modules of plugins, and the names that they are loaded by."""
OF_ASYNCIO = ("-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function")


@pytest.fixture
def run(pytester, monkeypatch):
    """``run(source, beside=[module], *args)`` runs a suite with this plugin and those."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    # Where this suite is measured itself, an inner one is not: there may be one tracer.
    for name in ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG"):
        monkeypatch.delenv(name, raising=False)

    def run(source, *args, beside=(), conftest=CONFTEST):
        for module in beside:
            pytest.importorskip(module, reason=f"{module} is not installed")
        plugins = [
            "pytest_flask_stream.plugin",
            *(PLUGINS[name] for name in beside if name in PLUGINS),
        ]
        named = [option for plugin in plugins for option in ("-p", plugin)]
        pytester.makeconftest(conftest)
        pytester.makepyfile(test_inner=source)
        options = ("-W", "error", "-p", "no:cacheprovider", "--strict-markers", *args)
        return pytester.runpytest_subprocess(*named, *options)

    return run


# Plugins


def test_pytest_flask(run):
    result = run(
        """
        import flask
        import pytest

        def test_its_client_its_config_and_its_context_are_there(client, config, stream_client):
            assert config["TESTING"]
            assert flask.url_for("numbers") == "/"
            assert client.get(flask.url_for("numbers")).text == "0\\n1\\n2\\n"
            stream_client.get(flask.url_for("numbers")).assert_chunks(["0\\n", "1\\n", "2\\n"])

        def test_what_its_context_hides_is_seen(client, stream_client):
            # the first method is that of the test's own request
            assert client.post("/forgot").text.startswith("GET")
            stream_client.get("/forgot").assert_context_error("request", after=0)

        def test_its_json_response(app, client, stream_client):
            app.add_url_rule("/json", view_func=lambda: {"a": 1})
            assert client.get("/json").json == {"a": 1}
            assert stream_client.get("/json").read_json() == {"a": 1}

        @pytest.mark.usefixtures("client_class")
        class TestClass:
            def test_a_client_on_the_class(self, make_stream_client):
                self.client.set_cookie("who", "ada")
                next(stream := make_stream_client(self.client).get("/"))
                assert stream.request.cookies["who"] == "ada"
                assert self.client.get("/").text == stream.read_text()

        def test_neither_leaves_a_context():
            assert not flask.has_app_context()
        """,
        beside=["pytest_flask"],
    )
    result.assert_outcomes(passed=5)


def test_pytest_xdist(run):
    result = run(
        """
        import pytest

        @pytest.mark.parametrize("number", range(6))
        def test_in_a_worker(number, worker_id, stream_client):
            assert worker_id in ("gw0", "gw1")
            stream_client.get("/").assert_chunk_count(3)

        def test_fails(stream_client):
            next(stream_client.get("/?of=the-failed-one"))
            assert False
        """,
        "-n", "2", beside=["xdist"],
    )  # fmt: skip
    result.assert_outcomes(passed=6, failed=1)
    result.stdout.fnmatch_lines(
        ["*test_fails*", "*- Flask stream -*", "GET /[?]of=the-failed-one  200*produced 1*"]
    )


STUCK = """
    import threading
    import pytest
    from pytest_flask_stream import StreamTimeout

    @pytest.mark.flask_stream(timeout=0.5)
    def test_a_our_timeout(app, stream_client):
        stream = stream_client.get("/stuck")
        with pytest.raises(StreamTimeout):
            stream.drain()
        assert (stream.state, app.cleaned_up) == ("timeout", ["stuck"])

    @pytest.mark.timeout(1)
    @pytest.mark.flask_stream(timeout=None)
    def test_b_its_timeout_in_a_stream(app, stream_client):
        app.cleaned_up = cleaned_up
        stream_client.get("/stuck").drain()

    def test_c_the_stream_was_cleaned_up(stream_client):
        assert cleaned_up == ["stuck"]
        stream_client.get("/").assert_chunk_count(3)

    @pytest.mark.timeout(1)
    def test_d_its_timeout_elsewhere(stream_client):
        next(stream_client.get("/"))
        threading.Event().wait()

    @pytest.mark.flask_stream(timeout=0.5)
    def test_e_our_timeout_again(stream_client):
        with pytest.raises(StreamTimeout):
            stream_client.get("/stuck").drain()

    cleaned_up = []
"""


def test_pytest_timeout_by_signal(run):
    result = run(STUCK, "--timeout=60", "--timeout-method=signal", "-rf", beside=["pytest_timeout"])
    result.assert_outcomes(passed=3, failed=2)
    result.stdout.fnmatch_lines_random(
        [
            "FAILED *::test_b_its_timeout_in_a_stream - Failed: Timeout (>1.0s*",
            "FAILED *::test_d_its_timeout_elsewhere - Failed: Timeout (>1.0s*",
        ]
    )


def test_pytest_timeout_by_thread(run):
    # This method ends the process at its first timeout, and shows the stacks of all threads.
    args = ("--timeout=60", "--timeout-method=thread", "-v")
    result = run(STUCK, *args, beside=["pytest_timeout"])
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["*::test_a_our_timeout PASSED*", "*::test_b_its_timeout_in_a_stream*"]
    )
    result.stdout.no_fnmatch_line("*test_c_the_stream_was_cleaned_up*")
    printed = result.stdout.str() + result.stderr.str()
    assert "Timeout" in printed
    assert "threading.Event().wait()" in printed


def test_pytest_randomly(run):
    source = """
        import flask
        import random
        import pytest

        @pytest.mark.parametrize("number", range(8))
        def test_number(number, make_stream_client):
            app = flask.Flask("random")
            app.add_url_rule("/", "view", lambda: (str(random.random()) for _ in range(2)))
            print(f"{number}: {make_stream_client(app).get('/').read_text()}")
    """
    printed = []
    for seed in (1, 1, 2):
        result = run(source, "-qs", f"--randomly-seed={seed}", beside=["pytest_randomly"])
        result.assert_outcomes(passed=8)
        numbers = [line.lstrip(".").partition(": ") for line in result.outlines if ": 0." in line]
        printed.append([(number, values) for number, _, values in numbers])
    first, again, other = printed
    assert first == again  # the order of the tests, and what is random in their streams
    assert [number for number, _ in first] != [number for number, _ in other]
    assert sorted(number for number, _ in other) == list("01234567")
    assert not {values for _, values in first} & {values for _, values in other}


def test_pytest_asyncio(run):
    result = run(
        """
        import asyncio
        import contextvars
        import pytest
        from pytest_flask_stream import StreamTimeout

        lines = contextvars.ContextVar("lines")

        @pytest.fixture
        async def path():
            await asyncio.sleep(0)
            return "/"

        async def test_a_stream_between_two_awaits(path, stream_client):
            stream = stream_client.get(path)
            assert next(stream) == b"0\\n"
            await asyncio.sleep(0)
            assert stream.take(2) == [b"1\\n", b"2\\n"]
            stream.assert_lazy()
            stream.assert_cleaned_up()

        async def test_streams_in_tasks(make_stream_client):
            async def read(client):
                stream, chunks = client.get("/"), []
                for chunk in stream:
                    chunks.append(chunk)
                    await asyncio.sleep(0)
                return chunks

            clients = [make_stream_client() for _ in range(3)]
            assert await asyncio.gather(*map(read, clients)) == [[b"0\\n", b"1\\n", b"2\\n"]] * 3

        async def test_a_stream_in_a_thread(stream_client):
            stream = stream_client.get("/")
            assert await asyncio.to_thread(stream.read) == b"0\\n1\\n2\\n"

        @pytest.mark.flask_stream(timeout=0.5)
        async def test_a_stuck_stream_is_interrupted(stream_client):
            with pytest.raises(StreamTimeout):
                stream_client.get("/stuck").drain()
            await asyncio.sleep(0)

        def test_no_coroutine(stream_client):
            stream_client.get("/").assert_complete()
        """,
        *OF_ASYNCIO,
        beside=["pytest_asyncio"],
    )
    result.assert_outcomes(passed=5)


def test_pytest_cov(run, pytester):
    pytester.makepyfile(
        shop="""
        import threading

        def rows(count):
            for number in range(count):
                if number == 5:
                    yield "five"
                else:
                    yield str(number)

        def stuck():
            try:
                threading.Event().wait()
                yield "never"
            finally:
                print("cleaned up")
        """
    )
    result = run(
        """
        import flask
        import pytest
        import shop
        from pytest_flask_stream import StreamTimeout

        @pytest.fixture
        def app():
            app = flask.Flask("shop")
            app.add_url_rule("/", "rows", lambda: shop.rows(3))
            app.add_url_rule("/stuck", "stuck", shop.stuck)
            return app

        def test_rows(stream_client):
            stream_client.get("/").assert_chunks(["0", "1", "2"])

        def test_laziness_is_kept(stream_client):
            stream_client.get("/").assert_lazy()

        @pytest.mark.flask_stream(timeout=0.5)
        def test_stuck(stream_client):
            with pytest.raises(StreamTimeout):
                stream_client.get("/stuck").drain()
        """,
        "--cov=shop",
        "--cov-branch",
        "--cov-report=term-missing",
        beside=["pytest_cov"],
    )
    result.assert_outcomes(passed=3)
    # All that ran in the streams, and nothing else, but the 5th row and what the stuck one missed.
    result.stdout.fnmatch_lines(["shop.py *80%   6, 13"])


# Extensions of Flask


def test_flask_sqlalchemy(run):
    result = run(
        """
        import flask
        import flask_sqlalchemy
        import pytest
        import sqlalchemy as sa
        from pytest_flask_stream import Source

        db = flask_sqlalchemy.SQLAlchemy()

        class User(db.Model):
            id = sa.Column(sa.Integer, primary_key=True)
            name = sa.Column(sa.String)

        def select():
            return sa.select(User.name).order_by(User.id)

        @pytest.fixture
        def app(tmp_path):
            app = flask.Flask("shop")
            app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{tmp_path / 'shop.db'}"
            db.init_app(app)

            @app.get("/kept")
            def kept():
                names = Source(db.session.execute(select()).yield_per(2).scalars(), "names")
                response = flask.Response(flask.stream_with_context(f"{n}\\n" for n in names))
                response.call_on_close(names.close)
                return response

            @app.get("/lost")
            def lost():
                return (f"{user.name}\\n" for user in db.session.scalars(sa.select(User)))

            @app.get("/late")
            def late():
                def generate():
                    yield from db.session.scalars(select())
                return generate()

            with app.app_context():
                db.create_all()
                db.session.add_all([User(name=name) for name in ("ada", "bob", "eve")])
                db.session.commit()
            yield app
            with app.app_context():
                db.drop_all()
                db.engine.dispose()

        def test_rows_are_streamed_from_the_session(stream_client):
            stream = stream_client.get("/kept")
            stream.assert_lazy()
            stream.assert_chunks(["ada\\n", "bob\\n", "eve\\n"])
            stream.assert_cleaned_up()

        def test_rows_are_let_go_when_the_client_leaves(stream_client):
            stream = stream_client.get("/kept")
            assert next(stream) == b"ada\\n"
            stream.assert_cleaned_up()
            assert [source.pulled for source in stream.record.sources] == [1]

        def test_a_session_removed_before_its_rows_are_read(stream_client):
            stream = stream_client.get("/lost")
            stream.assert_raises(sa.exc.InvalidRequestError, after=0)

        def test_a_session_asked_for_outside_of_the_context(app, stream_client):
            with app.app_context():
                # what a context of the test hides
                assert app.test_client().get("/late").text == "adabobeve"
                stream_client.get("/late").assert_context_error("app", after=0)

        def test_uncommitted_rows_are_the_tests_own(app, stream_client, make_stream_client):
            with app.app_context():
                db.session.add(User(name="new"))
                db.session.flush()
                stream_client.get("/kept").assert_chunk_count(3)
                shared = make_stream_client(isolate=False)
                shared.get("/kept").assert_chunks(["ada\\n", "bob\\n", "eve\\n", "new\\n"])
                db.session.rollback()
            stream_client.get("/kept").assert_chunk_count(3)
        """,
        beside=["flask_sqlalchemy"],
    )
    result.assert_outcomes(passed=5)


def test_flask_login(run):
    result = run(
        """
        import flask
        import flask_login
        import pytest

        class User(flask_login.UserMixin):
            def __init__(self, name):
                self.id = name

        @pytest.fixture
        def app():
            app = flask.Flask("members")
            app.secret_key = "secret"
            app.test_client_class = flask_login.FlaskLoginClient
            logins = flask_login.LoginManager(app)
            logins.user_loader(User)

            @app.post("/login")
            def login():
                flask_login.login_user(User(flask.request.form["name"]))
                return "welcome"

            def lines():
                for number in range(2):
                    yield f"{flask_login.current_user.id} {number}\\n"

            @app.get("/kept")
            @flask_login.login_required
            def kept():
                return flask.stream_with_context(lines())

            @app.get("/lost")
            @flask_login.login_required
            def lost():
                return lines()

            return app

        @pytest.fixture
        def client(app):
            client = app.test_client()
            client.post("/login", data={"name": "ada"})
            return client

        ADA = ["ada 0\\n", "ada 1\\n"]

        def test_who_is_logged_in_streams(client, make_stream_client):
            stream = make_stream_client(client).get("/kept")
            stream.assert_streamed()
            stream.assert_chunks(ADA)
            stream.assert_request_context()

        def test_who_is_not_gets_no_stream(stream_client):
            stream = stream_client.get("/kept")
            assert (stream.status_code, stream.streamed) == (401, False)

        def test_who_logs_in_with_the_stream_client(stream_client):
            stream_client.post("/login", data={"name": "ada"}).drain()
            stream_client.get("/kept").assert_chunks(ADA)

        def test_who_is_logged_in_by_its_client(app, make_stream_client):
            client = make_stream_client(app.test_client(user=User("ada")))
            client.get("/kept").assert_chunks(ADA)

        def test_nobody_is_logged_in_when_the_context_is_gone(app, client, make_stream_client):
            with app.test_request_context():
                flask_login.login_user(User("eve"))
                # of the test's own request, which Flask's client shows the generator
                assert client.get("/lost").text == "eve 0\\neve 1\\n"
                stream = make_stream_client(client).get("/lost")
                error = stream.assert_raises(AttributeError, after=0)
            assert "'NoneType' object has no attribute 'id'" in str(error)

        def test_two_who_are_logged_in_read_in_turn(app, make_stream_client):
            ada, bob = (
                make_stream_client(app.test_client(user=User(name))).get("/kept")
                for name in ("ada", "bob")
            )
            chunks = [next(stream) for _ in range(2) for stream in (ada, bob)]
            assert chunks == [b"ada 0\\n", b"bob 0\\n", b"ada 1\\n", b"bob 1\\n"]
        """,
        beside=["flask_login"],
    )
    result.assert_outcomes(passed=6)


# Other ways to run tests

TEST_CASE = """
    import unittest
    from flask import Flask, has_app_context, request, stream_with_context
    from pytest_flask_stream import StreamClient

    class TestStreams(unittest.TestCase):
        def setUp(self):
            app = Flask("unittest")
            app.add_url_rule("/kept", "kept", lambda: stream_with_context(self.paths()))
            app.add_url_rule("/lost", "lost", self.paths)
            self.client = StreamClient(app)
            self.addCleanup(self.client.close)

        def paths(self):
            for _ in range(2):
                yield request.path

        def test_chunks(self):
            stream = self.client.get("/kept")
            self.assertEqual(next(stream), b"/kept")
            stream.assert_lazy()
            stream.assert_chunks(["/kept", "/kept"])

        def test_half_read(self):
            next(self.client.get("/kept"))
            self.assertFalse(has_app_context())

        def test_forgotten_context(self):
            self.client.get("/lost").assert_context_error("request", after=0)
            with self.assertRaisesRegex(AssertionError, "touched request when"):
                self.client.get("/lost").assert_complete()
"""


def test_unittest_under_pytest(run):
    run(TEST_CASE).assert_outcomes(passed=3)


def test_unittest_by_itself(pytester):
    pytester.makepyfile(test_inner=TEST_CASE)
    command = [sys.executable, "-W", "error", "-m", "unittest", "test_inner"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, ""), result.stderr
    assert "Ran 3 tests" in result.stderr
    assert result.stderr.endswith("\nOK\n")


# All of them


def test_all_at_once(run):
    result = run(
        """
        import asyncio
        import threading
        import flask
        import pytest
        from pytest_flask_stream import StreamTimeout

        @pytest.mark.parametrize("number", range(4))
        def test_chunks(number, client, stream_client):
            assert flask.has_request_context()  # pytest-flask's
            stream_client.get("/forgot").assert_context_error("request", after=0)
            assert client.get("/").text == "0\\n1\\n2\\n"

        async def test_coroutine(stream_client):
            stream = stream_client.get("/")
            next(stream)
            await asyncio.sleep(0)
            stream.assert_lazy()

        @pytest.mark.flask_stream(timeout=0.5)
        def test_our_timeout(stream_client):
            with pytest.raises(StreamTimeout):
                stream_client.get("/stuck").drain()

        @pytest.mark.timeout(1)
        def test_its_timeout():
            threading.Event().wait()

        def test_fails(stream_client):
            next(stream_client.get("/"))
            assert False
        """,
        *("-n", "2", "--timeout=60", "--cov=conftest", "--cov-report=term"),
        *OF_ASYNCIO,
        beside=list(PLUGINS),
    )
    result.assert_outcomes(passed=6, failed=2)
    result.stdout.fnmatch_lines_random(
        [
            "*Flask stream*",
            "*Failed: Timeout (>1.0s) from pytest-timeout*",
            "conftest.py *100%*",
            "Using --randomly-seed=*",
        ]
    )
