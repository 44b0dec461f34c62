"""Real resources behind a stream: what lets them go, what does not, and that the claims tell.

``call_on_close``, files, SQLite through SQLAlchemy, subscriptions, and iterables that are no
generators: each in a form that gives back what it took however the stream ends, and in one that
does not. The resource is asked itself as well: the claim and the pool have to agree.
"""

import contextlib
import itertools
import queue
import re

import pytest
from flask import (
    Flask,
    Response,
    copy_current_request_context,
    request,
    send_file,
    stream_with_context,
)
from flask.globals import app_ctx
from werkzeug.wsgi import ClosingIterator

from pytest_flask_stream import Source

LONG = 10**9
"""More rows than any server has pulled when the client leaves."""
HOW_IT_ENDS = ["at its end", "in the middle", "before the first chunk", "without a body"]


@pytest.fixture
def app():
    app = Flask(__name__)
    app.testing = True
    return app


@pytest.fixture
def client(open_client, app):
    return open_client(app)


@pytest.fixture(params=HOW_IT_ENDS)
def ended(request, client):
    """``ended(path)`` opens a stream and ends it in one of four ways."""

    def ended(path="/"):
        if request.param == "without a body":
            return client.head(path)
        stream = client.get(path)
        if request.param == "at its end":
            stream.drain()
        elif request.param == "in the middle":
            stream.take(1)
        return stream

    return ended


def failure_of(claim):
    with pytest.raises(AssertionError) as caught:
        claim()
    return str(caught.value)


def part(text, name):
    return re.search(rf"^  {name}: +(.*)$", text, re.MULTILINE)[1]


def removes_before_the_first_chunk():
    """Probe whether this Flask tears a kept context down before the first chunk, too."""
    moments = []
    app = Flask(__name__)
    app.teardown_appcontext(lambda error: moments.append("teardown"))
    app.add_url_rule(
        "/", "view", lambda: stream_with_context(moments.append("chunk") or "x" for _ in range(1))
    )
    app.test_client().get("/", buffered=True)
    return moments[0] == "teardown"


class Rows:
    """Rows with a ``close()``."""

    def __init__(self, count=5):
        self.left = count
        self.closed = False

    def __iter__(self):
        return self

    def __next__(self):
        if not self.left:
            raise StopIteration
        self.left -= 1
        return f"{self.left}\n"

    def close(self):
        self.closed = True


# Functions that are called on close


def test_a_function_called_on_close_closes_however_it_ends(app, ended):
    @app.get("/")
    def view():
        rows = Source(Rows(), "rows")
        response = Response(row for row in rows)
        response.call_on_close(rows.close)
        return response

    stream = ended()
    stream.assert_cleaned_up()
    (rows,) = stream.record.sources
    assert rows.closed


def test_a_function_on_a_response_that_is_replaced_is_never_called(app, client):
    @app.after_request
    def replace(response):
        return Response(response.response)

    @app.get("/")
    def view():
        rows = Source(Rows(LONG), "rows")
        response = Response(row for row in rows)
        response.call_on_close(rows.close)
        return response

    next(stream := client.get("/"))
    text = failure_of(stream.assert_cleaned_up)
    assert text.splitlines()[0] == "assert_cleaned_up(): GET / left 'rows' open"
    assert part(text, "cause") == "nobody closes it when the client leaves"


def test_a_function_that_raises_keeps_those_behind_it_from_being_called(app, client):
    @app.get("/")
    def view():
        rows = Source(Rows(), "rows")
        response = Response(row for row in rows)
        response.call_on_close(lambda: {}["metrics"])
        response.call_on_close(rows.close)
        return response

    next(stream := client.get("/"))
    text = failure_of(stream.assert_cleaned_up)
    assert text.splitlines()[0] == "assert_cleaned_up(): GET / could not be closed"
    assert "KeyError: 'metrics'" in part(text, "cause")
    assert part(text, "remedy") == "let cleaning up not fail, or catch its errors in there"


# Files


@pytest.fixture
def report(tmp_path):
    path = tmp_path / "report.txt"
    path.write_bytes(b"0123456789\n" * 4000)
    return path


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {}, 200),
        ("HEAD", {}, 200),
        ("GET", {"If-None-Match": '"v1"'}, 304),
    ],
)
@pytest.mark.parametrize("chunks", [0, 1, 99])
def test_send_file_closes_its_file(app, client, report, method, headers, status, chunks):
    opened = []

    @app.get("/report")
    def view():
        opened.append(report.open("rb"))
        file = Source(opened[0], "report")
        return send_file(file, mimetype="text/plain", conditional=True, etag="v1")

    stream = client.open("/report", method=method, headers=headers)
    assert stream.status_code == status
    stream.take(chunks)
    stream.assert_cleaned_up()
    assert opened[0].closed


@pytest.mark.parametrize(
    "closes",
    [
        True,
        pytest.param(False, marks=pytest.mark.in_process("a server has read the file out")),
    ],
)
def test_a_file_that_a_generator_reads(app, client, report, closes):
    opened = []

    @app.get("/")
    def view():
        def generate():
            opened.append(report.open("rb"))
            with opened[0] if closes else contextlib.nullcontext():
                for line in Source(opened[0], "report"):  # a `yield from` closes it
                    yield line.upper()

        return generate()

    next(stream := client.get("/"))
    with opened[0]:
        if closes:
            stream.assert_cleaned_up()  # though it is the file that was closed, not the source
        else:
            text = failure_of(stream.assert_cleaned_up)
            assert part(text, "seen") == (
                "source 'report' was neither closed nor read out; 1 item pulled, 1 chunk delivered"
            )
        assert opened[0].closed is closes


# A database


@pytest.fixture
def database(tmp_path):
    sa = pytest.importorskip("sqlalchemy", reason="SQLAlchemy is not installed")
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'users.db'}", poolclass=sa.pool.QueuePool)
    with engine.begin() as connection:
        connection.execute(sa.text("create table users (id integer primary key, name text)"))
        names = [{"name": f"user {number}"} for number in range(5)]
        connection.execute(sa.text("insert into users (name) values (:name)"), names)
    yield engine
    engine.dispose()


@pytest.fixture
def select():
    sa = pytest.importorskip("sqlalchemy", reason="SQLAlchemy is not installed")
    return sa.text("select name from users order by id")


def test_a_connection_of_the_generators_own_goes_back_to_the_pool(
    app, ended, database, select, over_the_wire
):
    @app.get("/")
    def view():
        def generate():
            with database.connect() as connection, connection.execute(select) as rows:
                for (name,) in Source(rows, "rows"):
                    yield f"{name}\n"

        return generate()

    stream = ended()
    checked_out = int(stream.state == "open" and stream.delivered == 1)
    assert over_the_wire or database.pool.checkedout() == checked_out
    stream.assert_cleaned_up()
    assert database.pool.checkedout() == 0


def test_a_connection_of_the_views_is_given_back_by_a_source(app, ended, database, select):
    @app.get("/")
    def view():
        connection = database.connect()
        rows = Source(connection.execute(select), "rows")
        response = Response(f"{name}\n" for (name,) in rows)
        response.call_on_close(rows.close)
        response.call_on_close(connection.close)
        return response

    stream = ended()
    stream.assert_cleaned_up()
    assert database.pool.checkedout() == 0


@pytest.mark.in_process("a server has read the rows out when the client leaves")
def test_a_connection_that_stays_out_is_told_of(app, client, database, select):
    @app.get("/")
    def view():
        def generate():
            connection = Source(database.connect(), "connection")
            connections.append(connection)
            for (name,) in connection.execute(select):
                yield f"{name}\n"
            connection.close()

        connections = app.config["CONNECTIONS"] = []
        return generate()

    read_out, left = client.get("/"), client.get("/")
    next(left)
    assert database.pool.checkedout() == 1
    text = failure_of(left.assert_cleaned_up)
    assert text.splitlines()[0] == "assert_cleaned_up(): GET / left 'connection' open"
    assert part(text, "cause") == "nobody closes it when the client leaves"
    assert database.pool.checkedout() == 1
    app.config["CONNECTIONS"].pop().close()

    read_out.drain()
    read_out.assert_cleaned_up()
    assert database.pool.checkedout() == 0


def test_a_scoped_session_is_removed_after_the_stream_that_keeps_its_context(
    app, client, database, select, over_the_wire
):
    orm = pytest.importorskip("sqlalchemy.orm")
    sessions = orm.scoped_session(orm.sessionmaker(database))

    @app.teardown_appcontext
    def remove(error):
        sessions.remove()

    @app.get("/")
    def view():
        def generate():
            for (name,) in sessions.execute(select):
                yield f"{name}\n"

        return stream_with_context(generate())

    stream = client.get("/")
    stream.assert_chunk_count(5)
    stream.assert_cleaned_up()
    assert database.pool.checkedout() == 0
    if removes_before_the_first_chunk():
        text = failure_of(stream.assert_teardown_after_stream)
        assert part(text, "cause").startswith("this is Flask 3.1.")
        assert "not the app" in part(text, "cause")
    else:
        stream.assert_teardown_after_stream()

    next(left := client.get("/"))
    assert over_the_wire or database.pool.checkedout() == 1
    left.assert_cleaned_up()
    assert database.pool.checkedout() == 0
    if not removes_before_the_first_chunk():
        left.assert_teardown_after_stream()


def test_a_scoped_session_removed_under_the_rows_of_the_view(app, client, database):
    sa = pytest.importorskip("sqlalchemy")
    orm = pytest.importorskip("sqlalchemy.orm")
    sessions = orm.scoped_session(orm.sessionmaker(database))

    class User(orm.declarative_base()):
        __tablename__ = "users"
        id = sa.Column(sa.Integer, primary_key=True)
        name = sa.Column(sa.String)

    @app.teardown_appcontext
    def remove(error):
        sessions.remove()

    @app.get("/<how>")
    def view(how):
        users = sessions.scalars(sa.select(User).execution_options(yield_per=1))
        names = (f"{user.name}\n" for user in users)
        return stream_with_context(names) if how == "kept" else names

    lost = client.get("/lost")
    lost.assert_raises(sa.exc.InvalidRequestError, after=0)
    lost.assert_cleaned_up()
    kept = client.get("/kept")
    if removes_before_the_first_chunk():
        kept.assert_raises(sa.exc.InvalidRequestError, after=0)
        assert "this is Flask 3.1." in failure_of(kept.assert_teardown_after_stream)
    else:
        kept.assert_chunk_count(5)
        kept.assert_teardown_after_stream()
    assert database.pool.checkedout() == 0


# Subscriptions


class Hub:
    """Passes messages on to whoever has subscribed."""

    def __init__(self):
        self.subscribers = []

    @property
    def count(self):
        return len(self.subscribers)

    def subscribe(self):
        subscription = Subscription(self)
        self.subscribers.append(subscription)
        return subscription

    def publish(self, message):
        for subscription in self.subscribers:
            subscription.messages.put(message)


class Subscription:
    """An endless iterable of messages."""

    def __init__(self, hub):
        self.hub = hub
        self.messages = queue.Queue()

    def __iter__(self):
        return iter(self.messages.get, None)

    def close(self):
        self.hub.subscribers.remove(self)


@pytest.fixture
def hub():
    return Hub()


def add_events(app, hub, *, subscribes, unsubscribes):
    @app.get("/events")
    def events():
        messages = Source(hub.subscribe(), "subscription") if subscribes == "in the view" else None

        def generate():
            source = messages or Source(hub.subscribe(), "subscription")
            try:
                for message in source:
                    yield f"data: {message}\n\n"
            finally:
                if unsubscribes:
                    source.close()

        return generate()


@pytest.mark.in_process("a server notices nothing while the generator waits")
def test_a_subscriber_unsubscribes_when_it_leaves(app, client, hub):
    add_events(app, hub, subscribes="in the generator", unsubscribes=True)
    with client.get("/events") as stream:
        stream.start(until=lambda: hub.count == 1)
        hub.publish("hello")
        assert next(stream) == b"data: hello\n\n"
        stream.assert_cleaned_up()
        assert hub.count == 0
    client.get("/events").assert_cleaned_up()
    assert hub.count == 0


@pytest.mark.in_process("a server notices nothing while the generator waits")
def test_a_subscriber_that_stays_is_told_of(app, client, hub):
    add_events(app, hub, subscribes="in the generator", unsubscribes=False)
    stream = client.get("/events")
    stream.start(until=lambda: hub.count == 1)
    hub.publish("hello")
    next(stream)
    text = failure_of(stream.assert_cleaned_up)
    assert text.splitlines()[0] == "assert_cleaned_up(): GET /events left 'subscription' open"
    assert part(text, "seen") == (
        "source 'subscription' was neither closed nor read out; 1 item pulled, 1 chunk delivered"
    )
    assert hub.count == 1


@pytest.mark.in_process("a server begins every body")
def test_who_subscribes_in_the_view_stays_when_the_client_never_reads(app, client, hub):
    add_events(app, hub, subscribes="in the view", unsubscribes=True)
    stream = client.get("/events")
    assert hub.count == 1
    text = failure_of(stream.assert_cleaned_up)
    assert "a generator that never starts runs no finally block" in part(text, "cause")
    assert hub.count == 1


# Iterables that are no generators


def test_an_iterator_with_a_close_is_closed_however_it_ends(app, ended):
    rows = Rows()
    app.add_url_rule("/", "view", lambda: Response(rows))
    stream = ended()
    stream.assert_cleaned_up()
    assert rows.closed


@pytest.mark.parametrize("wrapper", [itertools.chain, lambda rows: map(str.upper, rows), iter])
def test_what_wraps_an_iterable_may_lose_its_close(app, client, wrapper):
    rows = Rows(LONG)

    @app.get("/")
    def view():
        return Response(wrapper(Source(rows, "rows")))

    next(stream := client.get("/"))
    if wrapper is iter:
        stream.assert_cleaned_up()
    else:
        assert "left 'rows' open" in failure_of(stream.assert_cleaned_up)
    assert rows.closed is (wrapper is iter)


def test_a_chain_closes_nothing_and_a_generator_around_it_does(app, client, over_the_wire):
    rows = {"chain": Rows(LONG), "generator": Rows(LONG)}

    @app.get("/<name>")
    def view(name):
        source = Source(rows[name], name)
        if name == "chain":
            return Response(itertools.chain(["head\n"], source))

        def generate():
            with contextlib.closing(source):
                yield from itertools.chain(["head\n"], source)

        return Response(generate())

    for name, pulled in (("chain", 1), ("generator", 1)):
        stream = client.get(f"/{name}")
        assert stream.take(2) == [b"head\n", b"%d\n" % (LONG - 1)]
        if name == "generator":
            stream.assert_cleaned_up()
        else:
            text = failure_of(stream.assert_cleaned_up)
            seen = part(text, "seen")
            assert over_the_wire or f"{pulled} item pulled, 2 chunks delivered" in seen
        assert rows[name].closed is (name == "generator")


@pytest.mark.parametrize("hand_on", [iter, stream_with_context, itertools.chain])
def test_a_generator_that_was_begun_in_the_view_is_let_go_of_as_by_any_server(app, ended, hand_on):
    """It finishes when nobody holds it any more, also where no ``close()`` reaches it."""
    subscribed = []

    def listen():
        subscribed.append(True)
        try:
            yield "hello\n"
            yield from (f"{number}\n" for number in range(3))
        finally:
            subscribed.clear()

    @app.get("/")
    def view():
        events = listen()
        next(events)
        return Response(hand_on(events))

    ended().disconnect()
    assert subscribed == []


# Generators of every temper


def test_generators_that_let_generator_exit_out_in_their_own_way(app, client):
    def returns():
        try:
            yield from itertools.repeat("a")
        except GeneratorExit:
            return

    def catches_all_and_ends():
        with contextlib.suppress(BaseException):
            yield from itertools.repeat("a")

    def raises_again():
        try:
            yield from itertools.repeat("a")
        except BaseException:
            app.config["SEEN"] = True
            raise

    for generate in (returns, catches_all_and_ends, raises_again):
        app.add_url_rule(f"/{generate.__name__}", generate.__name__, generate)
    for generate in (returns, catches_all_and_ends, raises_again):
        next(stream := client.get(f"/{generate.__name__}"))
        stream.assert_cleaned_up()
    assert app.config["SEEN"]


def test_generators_that_go_on(app, client, over_the_wire):
    def in_a_loop():
        while True:
            try:
                yield "a"
            except BaseException:
                app.logger.debug("once more")
                if app.config.get("STOP"):
                    raise

    def in_finally():
        try:
            while True:
                yield "a"
        finally:
            yield "the end"

    for generate in (in_a_loop, in_finally):
        app.add_url_rule(f"/{generate.__name__}", generate.__name__, generate)
    for generate in (in_a_loop, in_finally):
        next(stream := client.get(f"/{generate.__name__}"))
        text = failure_of(stream.assert_cleaned_up)
        assert "could not be closed" in text.splitlines()[0]
        seen = part(text, "seen")
        assert seen.startswith("close() raised RuntimeError after ")
        assert over_the_wire or seen.endswith(" after 1 chunk")
        assert part(text, "remedy").startswith("let GeneratorExit out of the generator")
        app.config["STOP"] = True


# Teardown, whatever this Flask does with stream_with_context


class KeepsContext:
    """A layer that makes the request's context itself, and ends it with the body, or never."""

    def __init__(self, app, *, pops=True):
        self.app = app
        self.pops = pops

    def __call__(self, environ, start_response):
        context = self.app.request_context(environ)
        context.push()
        body = self.app.full_dispatch_request()(environ, start_response)
        return ClosingIterator(body, [lambda: context.pop(None)] if self.pops else [])


def test_teardown_functions_that_run_once_after_the_last_chunk(app, client):
    app.wsgi_app = KeepsContext(app)
    app.add_url_rule("/", "view", lambda: ("ab" for _ in range(300)))
    stream = client.get("/")
    stream.assert_request_context()
    stream.assert_teardown_after_stream()
    stream.assert_cleaned_up()


def test_teardown_functions_that_never_run(app, client):
    app.wsgi_app = KeepsContext(app, pops=False)
    app.add_url_rule("/", "view", lambda: iter("ab"))
    stream = client.get("/")
    for claim in (stream.assert_teardown_after_stream, stream.assert_cleaned_up):
        text = failure_of(claim)
        assert text.splitlines()[0].endswith(": GET / was not torn down")
        assert part(text, "seen") == "no teardown function ran; 2 chunks, exhausted"


def test_without_a_flask_request_there_is_nothing_to_tear_down(app, client):
    def health(environ, start_response):
        start_response("200 OK", [])
        return [b"ok"]

    app.wsgi_app = health
    stream = client.get("/")
    stream.assert_cleaned_up()
    assert "was not torn down" in failure_of(stream.assert_teardown_after_stream)


def test_a_context_pushed_once_more_for_each_chunk_is_told_of(app, client):
    @app.get("/")
    def view():
        path = copy_current_request_context(lambda: request.path)
        return (path() for _ in range(2))

    stream = client.get("/")
    text = failure_of(stream.assert_teardown_after_stream)
    assert text.splitlines()[0].endswith("was torn down twice")
    assert part(text, "seen") == (
        "the teardown functions ran 3 times: after 0, after 0, after 1 of 2 chunks"
    )
    assert part(text, "cause") == (
        "a context of this request was pushed and popped once more, in a generator or a thread"
    )


def test_a_context_pushed_once_more_behind_the_last_chunk_is_not_flasks_doing(app, client):
    @app.get("/")
    def view():
        path = copy_current_request_context(lambda: request.path)

        def generate():
            with app.app_context():
                yield "a"
            path()

        return generate()

    text = failure_of(client.get("/").assert_teardown_after_stream)
    assert part(text, "seen") == "the teardown functions ran 2 times: after 0, after 1 of 1 chunk"
    assert "in a generator or a thread" in part(text, "cause")


def test_an_app_context_pushed_once_more_is_told_of(app, client):
    @app.get("/")
    def view():
        context = app_ctx._get_current_object()

        def generate():
            with context:
                yield "a"

        return generate()

    text = failure_of(client.get("/").assert_teardown_after_stream)
    assert part(text, "seen").startswith("the teardown functions ran 2 times: after 0, after 1")
    assert "in a generator or a thread" in part(text, "cause")


def test_a_kept_context_without_a_chunk(app, client):
    @app.get("/")
    def view():
        return stream_with_context(iter(()))

    stream = client.get("/")
    if removes_before_the_first_chunk():
        text = failure_of(stream.assert_teardown_after_stream)
        assert part(text, "cause").startswith("this is Flask 3.1.")
    else:
        stream.assert_teardown_after_stream()


def test_a_stream_that_no_view_has_made(app, client):
    app.before_request(lambda: Response(Rows(2)))
    stream = client.get("/nowhere")
    text = failure_of(stream.assert_teardown_after_stream)
    assert part(text, "cause").startswith("what the view handed over does not keep the context")
    stream.assert_cleaned_up()


def test_what_an_error_leaves_open(app, client):
    @app.get("/")
    def view():
        source = Source(Rows(), "rows")

        def generate():
            yield next(source)
            raise LookupError("lost")

        return generate()

    stream = client.get("/")
    stream.assert_raises(LookupError)
    text = failure_of(stream.assert_cleaned_up)
    assert part(text, "cause") == "nobody closes it when an error ends the body"


def test_what_the_end_leaves_open(app, client):
    @app.get("/")
    def view():
        source = Source(Rows(), "rows")
        return (row for row in itertools.islice(source, 2))

    stream = client.get("/")
    stream.drain()
    text = failure_of(stream.assert_cleaned_up)
    assert part(text, "cause") == "nobody closes it when the body comes to its end"


# Sources that are closed behind their back


class HasMethod(Rows):
    def __init__(self, count):
        super().__init__(count)
        self.was_closed = False
        del self.closed

    def closed(self):
        return self.was_closed

    def close(self):
        self.was_closed = True


def test_what_a_source_wraps_may_be_closed_itself(app, client):
    wrapped = {
        "generator": (row for row in "abc"),
        "rows": Rows(),
        "source": Source(Rows(), "inner"),
    }

    @app.get("/<name>")
    def view(name):
        def generate():
            source = Source(wrapped[name], name)
            with contextlib.closing(wrapped[name]):
                for item in source:
                    yield item.upper()

        return generate()

    for name in wrapped:
        next(stream := client.get(f"/{name}"))
        stream.assert_cleaned_up()


def test_a_method_of_that_name_tells_nothing(app, client):
    @app.get("/")
    def view():
        return iter(Source(HasMethod(LONG), "rows").__next__, None)

    next(stream := client.get("/"))
    assert "left 'rows' open" in failure_of(stream.assert_cleaned_up)


@pytest.mark.parametrize("claim", ["assert_cleaned_up", "assert_teardown_after_stream"])
def test_the_users_line_is_the_last_one_shown(app, client, claim):
    @app.get("/")
    def view():
        source = Source(Rows(), "rows")
        return (next(source) for _ in range(2))

    with pytest.raises(AssertionError) as caught:
        getattr(client.get("/"), claim)()
    frames = caught.traceback.filter(caught)
    assert frames[-1].path.name == "test_cleanup_resources.py"


@pytest.mark.parametrize("how", ["read", "closed"])
def test_an_error_of_what_a_source_wraps_is_shown_where_it_comes_from(how):
    class Broken:
        def __iter__(self):
            return self

        def __next__(self):
            raise LookupError("read")

        def close(self):
            raise LookupError("closed")

    source = Source(Broken(), "rows")
    with pytest.raises(LookupError, match=how) as caught:
        source.close() if how == "closed" else next(source)
    frames = caught.traceback.filter(caught)
    assert {frame.path.name for frame in frames} == {"test_cleanup_resources.py"}
