"""What the streams of httpbin, a Flask app that we have not written, really do.

Four of its routes stream: ``/stream/<n>`` (lines of JSON), ``/stream-bytes/<n>`` (random bytes),
``/range/<n>`` (the alphabet, with ranges) and ``/drip`` (a byte now and then).
"""

import json
from string import ascii_lowercase

import pytest

FOUR_STREAMS = ["/stream/3", "/stream-bytes/3", "/range/3", "/drip?numbytes=3&duration=0"]


def sizes(stream):
    stream.drain()
    return [chunk.size for chunk in stream.record.chunks]


# What the four have in common


@pytest.mark.parametrize("path", FOUR_STREAMS)
def test_it_is_streamed(stream_client, path):
    stream = stream_client.get(path)
    assert stream.status_code == 200
    stream.assert_streamed()
    stream.assert_lazy()
    stream.assert_complete()


@pytest.mark.parametrize("path", FOUR_STREAMS)
def test_the_after_request_function_adds_headers_and_leaves_the_body_alone(in_process, path):
    stream = in_process.get(path, headers={"Origin": "https://example.org"})
    assert stream.headers["Access-Control-Allow-Origin"] == "https://example.org"
    assert stream.produced == 0


@pytest.mark.parametrize("path", FOUR_STREAMS)
def test_head_has_the_headers_of_get_and_no_chunk(stream_client, path):
    head = stream_client.head(path)
    assert head.status_code == 200
    assert head.headers.to_wsgi_list() == stream_client.get(path).headers.to_wsgi_list()
    head.assert_chunk_count(0)
    head.assert_complete()
    assert head.produced == 0
    assert head.read() == b""


@pytest.mark.parametrize("path", FOUR_STREAMS)
def test_no_generator_looks_at_the_request(stream_client, path):
    # they are no mistake without stream_with_context: all is taken from the request in the view
    stream = stream_client.get(path)
    stream.drain()
    assert stream.record.chunks
    assert not any(chunk.request_context for chunk in stream.record.chunks)


@pytest.mark.parametrize("path", ["/stream/99", "/stream-bytes/99?chunk_size=1", "/drip"])
def test_a_client_may_leave_in_the_middle(stream_client, path):
    stream = stream_client.get(path)
    stream.take(1)
    stream.disconnect()
    stream.assert_chunk_count(1)
    stream.assert_lazy()
    assert stream.state == "closed"


# /stream/<n>


@pytest.mark.parametrize(("asked", "given"), [(0, 0), (1, 1), (20, 20), (100, 100), (101, 100)])
def test_stream_sends_at_most_a_hundred_lines(stream_client, asked, given):
    stream = stream_client.get(f"/stream/{asked}")
    stream.assert_chunk_count(given)
    assert stream.read_text().count("\n") == given


def test_stream_sends_one_numbered_document_in_each_chunk(stream_client):
    stream = stream_client.get("/stream/5?colour=red")
    documents = [json.loads(chunk) for chunk in stream]
    assert [document["id"] for document in documents] == [0, 1, 2, 3, 4]
    assert all(document["args"] == {"colour": "red"} for document in documents)
    assert all(chunk.endswith(b"}\n") for chunk in stream.chunks)


def test_stream_makes_each_line_when_it_is_asked_for(in_process):
    stream = in_process.get("/stream/100")
    assert [json.loads(chunk)["id"] for chunk in stream.take(3)] == [0, 1, 2]
    assert stream.produced == 3


def test_stream_declares_no_length(stream_client):
    stream = stream_client.get("/stream/2")
    assert stream.content_length is None
    assert stream.mimetype == "application/json"


# /stream-bytes/<n>


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/stream-bytes/0", []),
        ("/stream-bytes/5", [5]),
        ("/stream-bytes/8?chunk_size=4", [4, 4]),
        ("/stream-bytes/10?chunk_size=4", [4, 4, 2]),
        ("/stream-bytes/3?chunk_size=0", [1, 1, 1]),
        ("/stream-bytes/20485", [10240, 10240, 5]),
        ("/stream-bytes/999999", [10240] * 10),
    ],
)
def test_stream_bytes_cuts_its_body_by_chunk_size(stream_client, path, expected):
    stream = stream_client.get(path)
    assert sizes(stream) == expected
    stream.assert_complete()


def test_stream_bytes_repeats_itself_for_the_same_seed(stream_client):
    path = "/stream-bytes/32?seed=7&chunk_size=8"
    assert stream_client.get(path).read() == stream_client.get(path).read()


def test_stream_bytes_does_not_when_another_request_comes_in_between(in_process):
    # The seed is set in the view and the numbers are drawn in the generator, all from the one
    # random generator of the process: clients that are served at the same time disturb each other.
    path = "/stream-bytes/32?seed=7&chunk_size=8"
    alone = in_process.get(path).read()
    one = in_process.get(path)
    start = next(one)
    two = in_process.get(path)
    assert start == alone[:8]
    assert next(one) == alone[:8]  # and not the second eight bytes
    assert two.read() != alone


# /range/<n>


def alphabet(first, last):
    return "".join(ascii_lowercase[place % 26] for place in range(first, last + 1))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/range/1", [1]),
        ("/range/26?chunk_size=10", [10, 10, 6]),
        ("/range/20?chunk_size=10", [10, 10]),
        ("/range/20490", [10240, 10240, 10]),
        ("/range/102400", [10240] * 10),
    ],
)
def test_range_sends_the_alphabet_cut_by_chunk_size(stream_client, path, expected):
    stream = stream_client.get(path)
    assert sizes(stream) == expected
    assert stream.status_code == 200
    assert stream.content_length == sum(expected)
    assert stream.read_text() == alphabet(0, sum(expected) - 1)
    stream.assert_complete()


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-9", 0, 9),
        ("bytes=10-29", 10, 29),
        ("bytes=30-", 30, 39),
        ("bytes=-5", 35, 39),
        ("bytes=-1", 39, 39),
    ],
)
def test_range_sends_the_part_that_was_asked_for(stream_client, asked, first, last):
    stream = stream_client.get("/range/40?chunk_size=8", headers={"Range": asked})
    assert stream.status_code == 206
    assert stream.headers["Content-Range"] == f"bytes {first}-{last}/40"
    assert stream.content_length == last - first + 1
    assert stream.headers["ETag"] == "range40"
    stream.assert_streamed()
    stream.assert_lazy()
    stream.assert_complete()
    assert stream.read_text() == alphabet(first, last)


def test_range_cuts_a_part_as_it_cuts_the_whole(in_process):
    stream = in_process.get("/range/40?chunk_size=8", headers={"Range": "bytes=10-29"})
    stream.assert_chunks(["klmnopqr", "stuvwxyz", "abcd"])


def test_the_whole_range_is_no_part(stream_client):
    stream = stream_client.get("/range/40", headers={"Range": "bytes=0-39"})
    assert stream.status_code == 200
    stream.assert_chunk_count(1)


def test_head_of_a_range_tells_its_length_and_sends_nothing(stream_client):
    head = stream_client.head("/range/40", headers={"Range": "bytes=10-29"})
    assert head.status_code == 206
    assert head.content_length == 20
    head.assert_chunk_count(0)
    head.assert_complete()


@pytest.mark.parametrize("asked", ["bytes=40-", "bytes=0-40", "bytes=9-3"])
def test_a_range_outside_is_refused_without_a_stream(stream_client, asked):
    stream = stream_client.get("/range/40", headers={"Range": asked})
    assert stream.status_code == 416
    assert stream.headers["Content-Range"] == "bytes */40"
    assert stream.streamed is False
    assert stream.read() == b""


@pytest.mark.parametrize("size", [0, 102401])
def test_a_range_of_a_size_that_is_not_served_is_not_found(stream_client, size):
    stream = stream_client.get(f"/range/{size}")
    assert stream.status_code == 404
    assert stream.streamed is False
    assert "must be in the range" in stream.read_text()


def test_range_pauses_after_a_full_chunk_and_before_the_rest(stream_client):
    stream = stream_client.get("/range/5?chunk_size=2&duration=0.1")
    stream.drain()
    first, second, rest = stream.record.chunks
    assert (first.size, second.size, rest.size) == (2, 2, 1)
    assert second.waited >= 0.039  # two bytes' share of the duration
    assert rest.waited >= 0.059  # those of the second chunk, and its own


# /drip


def test_drip_sends_byte_by_byte(in_process):
    stream = in_process.get("/drip?numbytes=5&duration=0")
    stream.assert_chunks(["*"] * 5)
    stream.assert_complete()
    assert stream.content_length == 5


def test_drip_pauses_after_each_byte(stream_client):
    stream = stream_client.get("/drip?numbytes=4&duration=0.08")
    stream.take(4)
    assert all(chunk.waited >= 0.019 for chunk in stream.record.chunks[1:])


def test_the_delay_of_drip_is_made_before_the_headers_are_sent(stream_client):
    stream = stream_client.get("/drip?numbytes=1&duration=0&delay=0.05")
    stream.take(1)
    chunk = stream.record.chunks[0]
    assert chunk.at - chunk.waited >= 0.049


@pytest.mark.parametrize("code", [200, 206, 404, 503])
def test_drip_has_the_status_it_is_told_to_have(stream_client, code):
    stream = stream_client.get(f"/drip?numbytes=2&duration=0&code={code}")
    assert stream.status_code == code
    assert sizes(stream) == [1, 1]


@pytest.mark.parametrize("code", [204, 304])
def test_drip_with_a_status_that_has_no_body_sends_no_byte(stream_client, code):
    stream = stream_client.get(f"/drip?numbytes=2&duration=0&code={code}")
    assert stream.status_code == code
    stream.assert_chunk_count(0)
    assert stream.produced == 0


def test_drip_of_nothing_is_refused_without_a_stream(stream_client):
    stream = stream_client.get("/drip?numbytes=0")
    assert stream.status_code == 400
    assert stream.streamed is False
    assert stream.read_text() == "number of bytes must be positive"
