"""The settings: four places, one precedence, and what is refused."""

from __future__ import annotations

import pytest
from flask import Flask

from pytest_flask_stream import StreamClient
from pytest_flask_stream.settings import DEFAULTS, check, parse

NAMES = "timeout, max_chunks, keep_bytes, isolate"
BAD = [
    ("timeout", "10", TypeError, "seconds, at least 0, or None (0 and None: off)"),
    ("timeout", True, TypeError, "seconds, at least 0, or None (0 and None: off)"),
    ("timeout", -1, ValueError, "seconds, at least 0, or None (0 and None: off)"),
    ("timeout", float("nan"), ValueError, "seconds, at least 0, or None (0 and None: off)"),
    ("max_chunks", 0, ValueError, "an int, at least 1"),
    ("max_chunks", 1.5, TypeError, "an int, at least 1"),
    ("max_chunks", None, TypeError, "an int, at least 1"),
    ("max_chunks", True, TypeError, "an int, at least 1"),
    ("keep_bytes", -1, ValueError, "an int, at least 0"),
    ("keep_bytes", "64M", TypeError, "an int, at least 0"),
    ("isolate", 1, TypeError, "True or False"),
    ("isolate", None, TypeError, "True or False"),
]


@pytest.fixture
def app():
    app = Flask("settings")
    app.add_url_rule("/", "view", lambda: iter(["a", "b"]))
    return app


def test_defaults(app, open_client):
    client = open_client(app)
    assert client.timeout == 10.0
    assert client.max_chunks == 1_000_000
    assert client.keep_bytes == 67_108_864
    assert client.isolate is True


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ({"timeout": 3}, 3.0),
        ({"timeout": 0}, None),
        ({"timeout": None}, None),
        ({"timeout": float("inf")}, None),
        ({"timeout": 10**400}, None),
        ({"max_chunks": 1}, 1),
        ({"keep_bytes": 0}, 0),
        pytest.param(
            {"isolate": False},
            False,
            marks=pytest.mark.in_process("a server is always isolated"),
        ),
    ],
)
def test_keywords_and_attributes(app, open_client, given, taken):
    (name,) = given
    assert check(given) == {name: taken}
    assert getattr(open_client(app, **given), name) == taken
    client = open_client(app)
    setattr(client, name, given[name])
    assert getattr(client, name) == taken


@pytest.mark.parametrize(("name", "value", "error", "meaning"), BAD)
def test_a_bad_value_is_refused_everywhere_with_the_same_words(
    app, open_client, name, value, error, meaning
):
    text = f"{name} must be {meaning}, not {value!r}"
    client = open_client(app)
    for refused in (
        lambda: check({name: value}),
        lambda: StreamClient(app, **{name: value}),
        lambda: setattr(client, name, value),
    ):
        with pytest.raises(error) as caught:
            refused()
        assert str(caught.value) == text
        assert_only_the_user_is_seen(caught)
    assert getattr(client, name) == DEFAULTS[name]


def assert_only_the_user_is_seen(caught):
    # The last frame is where the error is raised; pytest hides every frame that asks for it.
    ours = [entry for entry in caught.traceback if "pytest_flask_stream" in str(entry.path)]
    assert ours
    assert [entry for entry in ours if not entry.ishidden(caught)] == []


def test_an_unknown_keyword(app):
    with pytest.raises(TypeError) as caught:
        StreamClient(app, timout=1)
    assert str(caught.value) == f"there is no setting 'timout'; the settings are {NAMES}"
    assert_only_the_user_is_seen(caught)


def test_an_unknown_attribute(app, open_client):
    client = open_client(app)
    with pytest.raises(AttributeError) as caught:
        client.timout = 1
    assert (
        str(caught.value)
        == f"{type(client).__name__} has no attribute 'timout'; the settings are {NAMES}"
    )
    assert_only_the_user_is_seen(caught)
    assert not hasattr(client, "timout")


def test_a_subclass_may_have_attributes_of_its_own(app):
    class Client(StreamClient):
        def __init__(self, app):
            super().__init__(app)
            self.token = "secret"

    with Client(app) as client:
        assert client.token == "secret"


def test_a_bad_timeout_of_a_stream(app, open_client):
    stream = open_client(app).get("/")
    with pytest.raises(ValueError, match="at least 0") as caught:
        stream.timeout = -1
    assert_only_the_user_is_seen(caught)
    with pytest.raises(AttributeError) as missing:
        stream.text  # noqa: B018
    assert_only_the_user_is_seen(missing)


def test_read_when_a_stream_is_opened(app, open_client):
    client = open_client(app, timeout=3, keep_bytes=10)
    before = client.get("/")
    client.timeout, client.keep_bytes = 4, 0
    after = client.get("/")
    assert (before.timeout, after.timeout) == (3.0, 4.0)
    assert before.read() == b"ab"
    after.drain()
    with pytest.raises(Exception, match="keep_bytes=0"):
        after.read()
    after.timeout = 5
    assert client.timeout == 4.0


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("timeout", "2.5", 2.5),
        ("timeout", " 0 ", None),
        ("timeout", "None", None),
        ("timeout", "none", None),
        ("timeout", "inf", None),
        ("max_chunks", "1_000", 1000),
        ("keep_bytes", "0", 0),
        ("isolate", "true", True),
        ("isolate", "Yes", True),
        ("isolate", "on", True),
        ("isolate", "1", True),
        ("isolate", "FALSE", False),
        ("isolate", "no", False),
        ("isolate", "off", False),
        ("isolate", "0", False),
    ],
)
def test_the_text_of_an_ini_file(name, text, value):
    assert parse(name, text) == {name: value}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("timeout", "ten"),
        ("timeout", "-1"),
        ("timeout", "nan"),
        ("max_chunks", "1.5"),
        ("max_chunks", "0"),
        ("keep_bytes", "64M"),
        ("isolate", "maybe"),
    ],
)
def test_a_bad_text_of_an_ini_file(name, text):
    with pytest.raises(ValueError, match=f"^{name} must be "):
        parse(name, text)


# In pytest


@pytest.fixture
def suite(pytester, monkeypatch):
    """Make a suite with an app fixture, and run it with this plugin."""
    pytester.makeconftest(
        """
        import flask
        import pytest

        @pytest.fixture
        def app():
            app = flask.Flask("inner")
            app.add_url_rule("/", "view", lambda: iter(["a"]))
            return app
        """
    )
    # Whether this plugin is installed or only on the path, it is loaded by name, and alone.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    plugin = ("-p", "pytest_flask_stream.plugin", "-p", "no:cacheprovider")

    def run(source, *args, **inis):
        lines = [f"flask_stream_{name} = {value}" for name, value in inis.items()]
        pytester.makeini("\n".join(["[pytest]", *lines]))
        pytester.makepyfile(source)
        return pytester.runpytest_inprocess(*plugin, "--strict-markers", *args)

    return run


def test_precedence_setting_by_setting(suite):
    result = suite(
        """
        import pytest
        from pytest_flask_stream import StreamClient

        def of(client):
            return client.timeout, client.max_chunks, client.keep_bytes, client.isolate

        def test_ini(stream_client, make_stream_client, app):
            assert of(stream_client) == (1.0, 11, 111, False)
            assert of(make_stream_client()) == (1.0, 11, 111, False)
            assert of(make_stream_client(max_chunks=13)) == (1.0, 13, 111, False)
            assert stream_client.get("/").timeout == 1.0
            stream_client.timeout = 3
            assert stream_client.get("/").timeout == 3.0

        def test_by_hand(app):
            with StreamClient(app) as client:
                assert of(client) == (10.0, 1_000_000, 67_108_864, True)

        @pytest.mark.flask_stream(timeout=2, isolate=True)
        class TestClass:
            def test_class(self, stream_client):
                assert of(stream_client) == (2.0, 11, 111, True)

            @pytest.mark.flask_stream(max_chunks=12)
            @pytest.mark.flask_stream(timeout=None)
            def test_function(self, stream_client, make_stream_client):
                assert of(stream_client) == (None, 12, 111, True)
                assert of(make_stream_client(timeout=4)) == (4.0, 12, 111, True)
        """,
        timeout=1,
        max_chunks=11,
        keep_bytes=111,
        isolate="no",
    )
    result.assert_outcomes(passed=4)


def test_a_marker_of_the_module(suite):
    result = suite(
        """
        import pytest
        pytestmark = pytest.mark.flask_stream(timeout=5, max_chunks=7)

        def test_module(stream_client):
            assert (stream_client.timeout, stream_client.max_chunks) == (5.0, 7)

        @pytest.mark.flask_stream(timeout=6)
        def test_function(stream_client):
            assert (stream_client.timeout, stream_client.max_chunks) == (6.0, 7)
        """
    )
    result.assert_outcomes(passed=2)


def test_wrong_markers(suite):
    result = suite(
        """
        import pytest

        @pytest.mark.flask_stream(timout=5)
        def test_unknown():
            pass

        @pytest.mark.flask_stream(5)
        def test_positional():
            pass

        @pytest.mark.flask_stream(max_chunks=0)
        def test_bad(stream_client):
            pass
        """
    )
    result.assert_outcomes(errors=3)
    result.stdout.fnmatch_lines_random(
        [
            "*UsageError: @pytest.mark.flask_stream: there is no setting 'timout'; the settings are"
            f" {NAMES}, in test_wrong_markers.py::test_unknown",
            "*UsageError: @pytest.mark.flask_stream takes keywords only, not (5,), in"
            " test_wrong_markers.py::test_positional",
            "*UsageError: @pytest.mark.flask_stream: max_chunks must be an int, at least 1, not 0,"
            " in test_wrong_markers.py::test_bad",
        ]
    )


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("timeout", "ten", "timeout must be seconds, at least 0, or None (0 and None: off), not"),
        ("isolate", "maybe", "isolate must be True or False, not"),
    ],
)
def test_a_bad_ini_value_ends_the_run_at_once(suite, name, value, text):
    result = suite("def test_nothing(): pass", **{name: value})
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: flask_stream_{name}: {text} '{value}'"])


def test_an_empty_ini_value_is_none_at_all(suite):
    source = "def test_default(stream_client): assert stream_client.timeout == 10.0"
    suite(source, timeout="").assert_outcomes(passed=1)


def test_on_the_command_line(suite):
    source = "def test_option(stream_client): assert stream_client.timeout is None"
    suite(source, "-o", "flask_stream_timeout=none", timeout="5").assert_outcomes(passed=1)
