"""Downloads: a generator behind a view, row by row."""

from itertools import count

import pytest
from streaming_app import create_app

ROWS = ["1,ada\n", "2,grace\n", "3,linus\n", "4,margaret\n"]

every_download = pytest.mark.parametrize(
    "path",
    [
        "/users.csv",
        "/users-tuple.csv",
        "/users-response-class.csv",
        "/users-passthrough.csv",
    ],
)


@every_download
def test_the_headers_come_before_the_first_row_is_made(in_process, path):
    stream = in_process.get(path)
    assert stream.status_code == 200
    assert stream.mimetype == "text/csv"
    assert stream.content_length is None
    assert stream.produced == 0


@every_download
def test_a_download_is_streamed(stream_client, path):
    stream_client.get(path).assert_streamed()


@every_download
def test_each_row_is_a_chunk(stream_client, path):
    stream = stream_client.get(path)
    stream.assert_chunks(ROWS)
    stream.assert_complete()


@every_download
def test_a_row_is_made_when_it_is_asked_for(stream_client, path):
    stream = stream_client.get(path)
    assert next(stream) == b"1,ada\n"
    stream.assert_lazy()


@every_download
def test_a_table_of_any_length_can_be_downloaded(make_stream_client, path):
    endless = ((str(number), "user") for number in count())
    stream = make_stream_client(create_app(users=endless)).get(path)
    assert stream.take(3) == [b"0,user\n", b"1,user\n", b"2,user\n"]
    stream.disconnect()
    stream.assert_lazy()


@every_download
def test_no_row_is_read_that_nobody_has_asked_for(in_process, app, path):
    app.config["USERS"] = ((str(number), "user") for number in count())
    in_process.get(path).take(3)
    assert next(app.config["USERS"]) == ("3", "user")


def test_two_downloads_do_not_mix(stream_client):
    one, two = stream_client.get("/users.csv"), stream_client.get("/users-tuple.csv")
    assert [next(one), next(two), next(one), next(two)] == [
        b"1,ada\n",
        b"1,ada\n",
        b"2,grace\n",
        b"2,grace\n",
    ]


def test_the_body_can_be_read_after_a_look_at_its_beginning(stream_client):
    stream = stream_client.get("/users.csv")
    stream.take(1)
    assert stream.read_text() == "".join(ROWS)


def test_head_makes_no_row(stream_client):
    stream = stream_client.head("/users.csv")
    stream.assert_chunk_count(0)
    assert stream.produced == 0


def test_text_that_is_passed_through_stops_the_server(stream_client):
    stream = stream_client.get("/users-passthrough-text.csv")
    with pytest.raises(TypeError, match="str"):
        next(stream)
