"""Each stream runs in a Context of its own: nothing of the test hides a bug, nothing leaks."""

from __future__ import annotations

import contextlib
import contextvars
import gc
import itertools
import random
import threading
import weakref

import flask
import pytest
from flask import Flask, Response, current_app, g, request, session, stream_with_context

from pytest_flask_stream import StreamClient
from pytest_flask_stream.opened import opened_in_test


@pytest.fixture(autouse=True)
def unreported():
    """Keep the plugin from holding on to what a test drops: it would, until the test's report."""
    token = opened_in_test.set([])
    yield
    opened_in_test.reset(token)
    gc.collect()


tenant = contextvars.ContextVar("tenant", default="nobody")
in_the_app = contextvars.ContextVar("in_the_app", default="unset")


class Tracked:
    """An iterator that notes where it is pulled and closed."""

    def __init__(self, events, items=("a", "b", "c")):
        self.events = events
        self.items = iter(items)

    def __iter__(self):
        return self

    def __next__(self):
        self.events.append(("pull", tenant.get(), flask.has_request_context()))
        return next(self.items)

    def close(self):
        self.events.append(("close", tenant.get(), flask.has_request_context()))


@pytest.fixture
def site():  # noqa: C901 - a view for each kind of stream
    """An app whose streams tell which request they are in."""
    site = Flask("site")
    site.secret_key = "for tests"

    @site.route("/kept/<name>")
    def kept(name):
        @stream_with_context
        def items():
            for number in itertools.count():
                if number == int(request.args.get("n", 3)):
                    return
                yield f"{request.path[6:]}{number} "

        return items()

    @site.route("/lost/<name>")
    def lost(name):
        def items():
            yield f"{name} "
            yield request.path

        return items()

    @site.route("/app")
    def app_context():
        def items():
            yield "a"
            yield current_app.name

        return items()

    @site.route("/session")
    def lost_session():
        def items():
            yield session.get("name", "nobody")

        return items()

    @site.route("/contexts")
    def contexts():
        def items():
            yield f"{flask.has_request_context()} {flask.has_app_context()}"

        return items()

    return site


# What a stream sees


@pytest.mark.in_process("a server has none of the context variables of the test")
def test_context_variables_of_the_test_are_visible(open_client):
    seen = []
    app = Flask("variables")

    @app.route("/")
    def view():
        seen.append(tenant.get())

        def items():
            seen.append(tenant.get())
            yield "a"
            seen.append(tenant.get())

        return items()

    token = tenant.set("ada")
    try:
        stream = open_client(app).get("/")
    finally:
        tenant.reset(token)
    assert tenant.get() == "nobody"
    stream.drain()
    assert seen == ["ada", "ada", "ada"]  # the Context is made when the request is opened


@pytest.mark.in_process("a server has none of the context variables of the test")
def test_a_false_value_of_a_context_variable_is_visible_too(get):
    token = tenant.set("")
    try:
        assert get(lambda: iter([repr(tenant.get())])).read() == b"''"
    finally:
        tenant.reset(token)


def test_changes_never_flow_back_and_are_seen_by_the_stream_itself(get):
    def view():
        in_the_app.set("by the view")

        def items():
            yield in_the_app.get()
            in_the_app.set("by the generator")
            yield "-"
            yield in_the_app.get()

        return items()

    stream = get(view)
    assert in_the_app.get() == "unset"
    assert list(stream) == [b"by the view", b"-", b"by the generator"]
    assert in_the_app.get() == "unset"


def test_streams_do_not_see_each_others_changes(open_client):
    app = Flask("own")

    @app.route("/<name>")
    def view(name):
        seen_before = in_the_app.get()
        in_the_app.set(name)

        def items():
            yield seen_before
            yield in_the_app.get()

        return items()

    client = open_client(app)
    one, two = client.get("/one"), client.get("/two")
    assert [next(one), next(two), next(one), next(two)] == [b"unset", b"unset", b"one", b"two"]


def test_the_close_runs_in_the_context_of_the_stream(get, over_the_wire):
    events = []

    def view():
        tenant.set("ada")
        return Tracked(events)

    stream = get(view)
    next(stream)
    stream.close()
    pulls, close = events[:-1], events[-1]
    assert (set(pulls), close) == ({("pull", "ada", False)}, ("close", "ada", False))
    assert over_the_wire or len(pulls) == 1


@pytest.mark.parametrize("pushed", ["nothing", "app context", "request context", "client"])
@pytest.mark.parametrize("path", ["/lost/x", "/app", "/session"])
def test_nothing_that_the_test_pushed_hides_a_missing_context(site, open_client, path, pushed):
    with contextlib.ExitStack() as contexts:
        if pushed == "app context":
            contexts.enter_context(site.app_context())
        if pushed == "request context":
            contexts.enter_context(site.test_request_context("/of/the/test"))
        if pushed == "client":
            contexts.enter_context(site.test_client()).get("/contexts").get_data()
        stream = open_client(site).get(path)
        with pytest.raises(RuntimeError, match=r"Working outside of|There is no request"):
            stream.drain()
        assert flask.has_app_context() == (pushed != "nothing")


@pytest.mark.parametrize("when", ["opened", "read", "closed"])
def test_a_context_pushed_at_any_time_is_not_seen(site, open_client, when):
    client = open_client(site)
    if when == "opened":
        with site.test_request_context():
            stream = client.get("/contexts")
        assert stream.read() == b"False False"
    else:
        stream = client.get("/contexts")
        with site.test_request_context():
            if when == "read":
                assert next(stream) == b"False False"
            stream.close()
            assert flask.has_request_context()


def test_the_g_of_the_test_is_not_the_g_of_the_request(open_client):
    app = Flask("own g")
    app.add_url_rule("/", "view", lambda: iter([g.get("user", "nobody")]))
    with app.app_context():
        g.user = "ada"
        assert open_client(app).get("/").read() == b"nobody"
        assert g.user == "ada"


@pytest.mark.in_process("a server is always isolated")
def test_without_isolation_a_stream_sees_the_contexts_of_the_test(site, open_client):
    client = open_client(site, isolate=False)
    with site.test_request_context("/of/the/test"):
        stream = client.get("/lost/x")
        app_stream = client.get("/app")
    assert stream.read() == b"x /of/the/test"
    assert app_stream.read() == b"asite"
    assert not flask.has_app_context()


@pytest.mark.in_process("a server is always isolated")
def test_without_isolation_and_contexts_there_is_nothing_to_see(site, open_client):
    stream = open_client(site, isolate=False).get("/contexts")
    assert stream.read() == b"False False"


@pytest.mark.in_process("a server is always isolated")
def test_without_isolation_changes_do_not_flow_back_either(site, open_client):
    client = open_client(site, isolate=False)
    with site.app_context() as pushed:
        stream = client.get("/kept/x")
        next(stream)
        assert not flask.has_request_context()
        assert flask.g._get_current_object() is pushed.g
        stream.close()


# Any order


def test_two_streams_are_read_alternately(site, open_client):
    client = open_client(site)
    one, two = client.get("/kept/one"), client.get("/kept/two")
    read = [next(stream) for _ in range(3) for stream in (one, two)]
    assert b"".join(read) == b"one0 two0 one1 two1 one2 two2 "
    assert [list(one), list(two)] == [[], []]
    assert (one.error, two.error) == (None, None)


@pytest.mark.parametrize("path", ["/kept", "/lost"])
def test_fifty_streams_are_read_in_any_order(site, open_client, path):
    client = open_client(site)
    streams = {f"{number:02}": client.get(f"{path}/{number:02}?n=4") for number in range(50)}
    turns = [name for name in streams for _ in range(4 if path == "/kept" else 1)]
    random.Random(2).shuffle(turns)
    for name in turns:
        assert next(streams[name]).startswith(name.encode())
    assert not flask.has_app_context()
    for name, stream in streams.items():
        if path == "/kept":
            assert list(stream) == []
            assert stream.read() == "".join(f"{name}{n} " for n in range(4)).encode()
        else:
            with pytest.raises(RuntimeError, match=r"Working outside of|There is no request"):
                stream.drain()
    assert not flask.has_app_context()


def test_streams_of_two_apps_are_read_alternately(site, open_client):
    other = Flask("other")

    @other.route("/")
    def view():
        return stream_with_context(f"{current_app.name}{number} " for number in range(3))

    one, two = open_client(site).get("/kept/site"), open_client(other).get("/")
    read = [next(stream) for _ in range(3) for stream in (one, two)]
    assert b"".join(read) == b"site0 other0 site1 other1 site2 other2 "


def test_streams_are_closed_in_any_order(site, open_client):
    client = open_client(site)
    streams = [client.get(f"/kept/{number}") for number in range(6)]
    for stream in streams[::2]:
        next(stream)
    for number in (3, 0, 5, 2, 1, 4):
        streams[number].close()
        assert not flask.has_app_context()
    assert {stream.state for stream in streams} == {"closed"}


def test_a_half_read_stream_pushes_nothing_in_the_test(site, open_client):
    stream = open_client(site).get("/kept/x")
    assert not flask.has_app_context()
    next(stream)
    assert not flask.has_app_context()
    with site.test_request_context("/mine"):
        next(stream)
        assert request.path == "/mine"
    stream.close()


def test_a_stream_can_be_read_on_in_another_thread(site, open_client):
    stream = open_client(site).get("/kept/x")
    next(stream)
    rest = []
    reader = threading.Thread(target=lambda: rest.extend(stream))
    reader.start()
    reader.join()
    assert rest == [b"x1 ", b"x2 "]
    assert stream.state == "exhausted"


def test_a_stream_can_be_read_while_another_is_read_by_the_app(site, open_client):
    client = open_client(site)
    outer_app = Flask("outer")

    @outer_app.route("/")
    def view():
        def items():
            for chunk in client.get("/kept/inner"):
                yield b"<" + chunk + b">"

        return items()

    outer = open_client(outer_app).get("/")
    assert list(outer) == [b"<inner0 >", b"<inner1 >", b"<inner2 >"]
    assert client.streams[0].state == "exhausted"


# Requests made by the app


@pytest.mark.parametrize("share", [False, True])
def test_a_plain_test_client_used_in_a_view_is_not_lazy(site, open_client, share, over_the_wire):
    client = open_client(site)

    @site.route("/outer")
    def outer():
        stock = client.flask_client if share else site.test_client()
        response = stock.get("/kept/inner")
        first = response.get_data()

        def items():
            yield first
            yield stock.get("/kept/again").get_data()

        return items()

    stream = client.get("/outer")
    assert over_the_wire or stream.produced == 0
    assert client.streams == [stream]
    assert list(stream) == [b"inner0 inner1 inner2 ", b"again0 again1 again2 "]
    assert stream.produced == 2


def test_a_stream_client_used_in_a_view_is_lazy(site, open_client, over_the_wire):
    inner_streams = []

    @site.route("/outer")
    def outer():
        with StreamClient(site) as client:
            inner = client.get("/kept/inner")
            inner_streams.append((inner, inner.produced, next(inner)))
        return iter(["outer ", request.path])

    stream = open_client(site).get("/outer")
    ((inner, produced, first),) = inner_streams
    assert (produced, first, inner.state, inner.delivered) == (0, b"inner0 ", "closed", 1)
    assert over_the_wire or stream.produced == 0
    assert stream.read() == b"outer /outer"
    assert stream.produced == 2


def test_a_request_made_by_a_generator_does_not_disturb_its_context(site, open_client):
    @site.route("/outer")
    def outer():
        @stream_with_context
        def items():
            yield request.path
            with site.test_client() as stock:
                stock.get("/kept/inner").get_data()
            yield request.path

        return items()

    stream = open_client(site).get("/outer")
    assert list(stream) == [b"/outer", b"/outer"]
    assert stream.produced == 2


# What is dropped


@pytest.fixture
def no_contexts():
    """Collect what a test has dropped, and see that nothing of Flask comes up in it."""
    gc.freeze()  # of what was there before nothing is looked at: that is what takes long
    yield
    gc.collect()
    gc.unfreeze()
    assert not flask.has_app_context()


@pytest.mark.usefixtures("no_contexts")
@pytest.mark.parametrize("chunks", [0, 1, 3])
def test_a_dropped_stream_is_closed_in_its_own_context(chunks):
    events = []
    app = Flask("dropped")

    @app.route("/")
    def view():
        tenant.set("ada")
        response = Response(stream_with_context(Tracked(events)))
        response.call_on_close(lambda: events.append(("call_on_close", tenant.get())))
        return response

    client = StreamClient(app)
    stream = client.get("/")
    stream.take(chunks)
    events.clear()
    dropped = weakref.ref(stream)
    del client, stream
    gc.collect()
    assert dropped() is None
    assert ("call_on_close", "ada") in events
    assert {event[1] for event in events} == {"ada"}
    assert events.count(("call_on_close", "ada")) == 1


@pytest.mark.usefixtures("no_contexts")
def test_a_dropped_stream_in_a_cycle_is_closed_when_it_is_collected():
    events = []
    app = Flask("cycle")
    app.add_url_rule("/", "view", lambda: Tracked(events))
    cycle = [StreamClient(app).get("/")]
    next(cycle[0])
    cycle.append(cycle)
    del cycle
    gc.collect()
    assert [event[0] for event in events] == ["pull", "close"]


@pytest.mark.usefixtures("no_contexts")
def test_dropped_streams_of_one_client_do_not_disturb_the_others(site, open_client):
    client = open_client(site)
    streams = [StreamClient(client.flask_client).get(f"/kept/{n}") for n in range(5)]
    for stream in streams:
        next(stream)
    mine = client.get("/kept/mine")
    next(mine)
    del stream, streams
    gc.collect()
    assert mine.read() == b"mine0 mine1 mine2 "


@pytest.mark.usefixtures("no_contexts")
def test_a_stream_that_is_collected_while_a_request_is_pushed_does_not_pop_it(site):
    stream = StreamClient(site).get("/kept/x")
    next(stream)
    with site.test_request_context("/mine"):
        del stream
        gc.collect()
        assert request.path == "/mine"


@pytest.mark.usefixtures("no_contexts")
def test_a_dropped_error_of_a_generator_leaks_nothing(site):
    @site.route("/failing")
    def failing():
        @stream_with_context
        def items():
            yield request.path
            raise LookupError(request.path)

        return items()

    def read():
        stream = StreamClient(site).get("/failing")
        with pytest.raises(LookupError, match="/failing") as caught:
            stream.drain()
        caught.value.cycle = caught.value

    read()
    gc.collect()
    assert not flask.has_app_context()


@pytest.mark.usefixtures("no_contexts")
@pytest.mark.parametrize("handled", ["raised", "error page", "error handler", "streamed handler"])
def test_a_view_that_raises_after_stream_with_context_leaks_nothing(handled):
    app = Flask("late")
    app.testing = handled == "raised"
    app.logger.disabled = True
    if "handler" in handled:
        page = (lambda error: iter(["sorry"])) if "streamed" in handled else (lambda error: "sorry")
        app.register_error_handler(LookupError, page)

    @app.route("/")
    def view():
        body = stream_with_context(iter("ab"))
        raise LookupError(type(body))

    client = StreamClient(app)
    if handled == "raised":
        with pytest.raises(LookupError) as caught:
            client.get("/")
        client.close()
        del caught
    else:
        stream = client.get("/")
        if "streamed" not in handled:
            gc.collect()
            assert stream.state == "open"
        stream.drain()
        del stream
    del client
    gc.collect()
    assert not flask.has_app_context()


@pytest.mark.usefixtures("no_contexts")
def test_a_dropped_client_leaks_nothing_of_a_view_that_raised():
    app = Flask("late")
    app.testing = True

    @app.route("/")
    def view():
        body = stream_with_context(iter("ab"))
        raise LookupError(type(body))

    def request_once():
        with pytest.raises(LookupError):
            StreamClient(app).get("/")

    request_once()
    gc.collect()
    assert not flask.has_app_context()


@pytest.mark.usefixtures("no_contexts")
def test_a_stream_and_its_client_are_collected_when_they_are_dropped(site):
    client = StreamClient(site)
    stream = client.get("/kept/x")
    stream.drain()
    client.close()
    dropped = weakref.ref(client), weakref.ref(stream), weakref.ref(client.flask_client)
    del client, stream
    gc.collect()
    assert [reference() for reference in dropped] == [None, None, None]


def test_a_lost_close_still_shows(get):
    # What the app drops is finished when it drops it, as it would be without us.
    ended = []

    def rows():
        try:
            yield "a"
            yield "b"
        finally:
            ended.append("rows")

    class Loses:
        def __init__(self, inner):
            self.inner = inner

        def __iter__(self):
            return self

        def __next__(self):
            if self.inner is None:
                raise StopIteration
            chunk = next(self.inner)
            self.inner = None
            return chunk

    stream = get(lambda: Loses(rows()))
    assert next(stream) == b"a"
    gc.collect()
    assert ended == ["rows"]
    assert list(stream) == []
