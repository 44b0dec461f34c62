"""Makes every claim that applies of every stream of a test that has passed: a plugin of pytest.

``-p every_claim``, with ``tests`` on the path. What applies follows from facts: how the stream
ended, and whether the view's source calls ``stream_with_context``; never from whether the claim
holds. So a claim that does not hold of an app without mistakes is a false alarm.

``--rounds N`` runs each test so many times, all in one random order; ``--rounds-seed`` repeats it.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Iterator

import flask
import pytest

from pytest_flask_stream import StreamClient, StreamedResponse

FORMATS = {
    "text/event-stream": "sse",
    "application/x-ndjson": "ndjson",
    "application/jsonl": "ndjson",
}
_clients: pytest.StashKey[list[StreamClient]] = pytest.StashKey()


def tears_down_twice() -> bool:
    """Probe whether this Flask tears a kept context down before the first chunk, too."""
    runs: list[object] = []
    app = flask.Flask(__name__)
    app.teardown_request(runs.append)
    app.add_url_rule("/", "view", lambda: flask.stream_with_context(iter("x")))
    app.test_client().get("/", buffered=True)
    return len(runs) == 2


def keeps_context(stream: StreamedResponse, app: flask.Flask) -> bool:
    """Tell whether the view that answered calls ``stream_with_context``."""
    view = app.view_functions.get(stream.record.endpoint)
    return view is not None and "stream_with_context" in inspect.getsource(inspect.unwrap(view))


def applicable(stream: StreamedResponse, client: StreamClient) -> Iterator[Callable[[], object]]:
    """Give the claims that apply to a stream that has ended or was left."""
    if stream.state == "timeout":
        return  # the claims raise the timeout itself
    if stream.state == "failed":
        yield lambda: stream.assert_raises(type(stream.error), after=stream.delivered)
        yield stream.assert_cleaned_up
        return
    if stream.streamed and stream.delivered:
        yield stream.assert_streamed
        yield stream.assert_lazy
        if keeps_context(stream, client.flask_client.application):
            yield stream.assert_request_context
            if stream.state == "exhausted" and not tears_down_twice():
                yield stream.assert_teardown_after_stream
    if stream.state == "exhausted":
        yield stream.assert_complete
    if sum(chunk.size for chunk in stream.record.chunks) <= client.keep_bytes:
        yield lambda: stream.assert_chunks(stream.chunks)
        if fragments := [chunk for chunk in stream.chunks if chunk]:
            yield lambda: stream.assert_order(*fragments)
    yield lambda: stream.assert_chunk_count(stream.delivered)
    if stream.streamed and stream.mimetype in FORMATS and stream.state == "exhausted":
        yield lambda: stream.assert_one_record_per_chunk(FORMATS[stream.mimetype])
    yield stream.assert_cleaned_up


def make_every_claim(client: StreamClient) -> None:
    """Make every claim that applies of every stream of a client, twice; leave the open ones."""
    for stream in client.streams:
        stream.disconnect()  # harmless where it has ended
        for _ in range(2):
            for claim in applicable(stream, client):
                claim()


# The plugin


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("every claim")
    group.addoption("--rounds", type=int, default=1, help="run each test so many times")
    group.addoption("--rounds-seed", type=int, default=0, help="the seed of their order")


def pytest_report_header(config: pytest.Config) -> str:
    return "rounds: {rounds}, seed {rounds_seed}".format(**vars(config.option))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    rounds = metafunc.config.option.rounds
    if rounds > 1:
        metafunc.fixturenames.append("a_round")
        metafunc.parametrize("a_round", range(rounds))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.option.rounds > 1:
        random.Random(config.option.rounds_seed).shuffle(items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    clients = item.stash[_clients] = []
    make = StreamClient.__init__

    def make_and_note(self: StreamClient, *args: object, **kwargs: object) -> None:
        make(self, *args, **kwargs)
        clients.append(self)

    StreamClient.__init__ = make_and_note
    try:
        return (yield)
    finally:
        StreamClient.__init__ = make
        clients.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    result = yield
    for client in item.stash[_clients]:
        make_every_claim(client)
    return result
