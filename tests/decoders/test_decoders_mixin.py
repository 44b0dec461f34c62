"""The ``iter_*`` methods, on a host with nothing but what they need."""

from __future__ import annotations

import csv
import gzip
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from decoder_tools import Chunks
from werkzeug.datastructures import Headers
from werkzeug.sansio.response import Response

from pytest_flask_stream.decoders import (
    Decoders,
    LineDecoder,
    MultipartDecoder,
    Part,
    ServerSentEvent,
)
from pytest_flask_stream.errors import DecodeError


class Host(Decoders, Response):
    """A response that replays what was pulled, then pulls on."""

    def __init__(
        self, chunks: list[bytes], content_type: str = "text/plain", **headers: str
    ) -> None:
        super().__init__(headers=Headers({"Content-Type": content_type}))
        for name, value in headers.items():
            self.headers[name.replace("_", "-")] = value
        self.source = Chunks(chunks)
        self.kept: list[bytes] = []
        self.opened = 0

    def _iter_chunks(self) -> Iterator[bytes]:
        self.opened += 1
        return self._replayed()

    def _replayed(self) -> Iterator[bytes]:
        number = 0
        while True:
            if number == len(self.kept):
                chunk = next(self.source, None)
                if chunk is None:
                    return
                self.kept.append(chunk)
            yield self.kept[number]
            number += 1


MIXED = "multipart/mixed; boundary=b"
READS: dict[str, tuple[str, list[bytes], Callable[[Host], Iterator[Any]], list[Any]]] = {
    "text": ("text/plain", [b"a\xc3", b"\xa9"], Host.iter_text, ["a", "é"]),
    "lines": ("text/plain", [b"a\r", b"\nb"], Host.iter_lines, ["a", "b"]),
    "ndjson": ("application/x-ndjson", [b"1\n", b"2"], Host.iter_ndjson, [1, 2]),
    "csv": ("text/csv", [b'a,"b', b'\n"\n'], Host.iter_csv, [["a", "b\n"]]),
    "sse": ("text/event-stream", [b"data: a\n", b"\n"], Host.iter_sse, [ServerSentEvent(data="a")]),
    "parts": (MIXED, [b"--b\n\nx\n", b"--b--"], Host.iter_parts, [Part(Headers(), b"x")]),
}


@pytest.mark.parametrize(("content_type", "chunks", "read", "values"), READS.values(), ids=READS)
class TestEveryMethod:
    def test_reads(self, content_type: str, chunks: Any, read: Any, values: Any) -> None:
        found = read(Host(chunks, content_type))
        assert list(found) == values
        assert list(found) == []

    def test_starts_at_the_first_byte_at_every_call(
        self, content_type: str, chunks: Any, read: Any, values: Any
    ) -> None:
        host = Host(chunks, content_type)
        for count in (1, 2):
            assert list(read(host)) == values
            assert host.opened == count
        assert host.source.pulled == len(chunks)

    def test_pulls_nothing_at_the_call(
        self, content_type: str, chunks: Any, read: Any, values: Any
    ) -> None:
        host = Host(chunks, content_type)
        found = read(host)
        assert host.source.pulled == 0
        assert iter(found) is found

    def test_decodes_a_compressed_body(
        self, content_type: str, chunks: Any, read: Any, values: Any
    ) -> None:
        body = gzip.compress(b"".join(chunks))
        host = Host([body[:15], body[15:]], content_type, Content_Encoding="gzip")
        found = list(read(host))
        assert found == values or "".join(found) == "".join(values)

    def test_another_content_coding_is_an_error_at_the_call(
        self, content_type: str, chunks: Any, read: Any, values: Any
    ) -> None:
        host = Host(chunks, content_type, Content_Encoding="br")
        with pytest.raises(DecodeError, match="the content coding 'br' cannot be decoded"):
            read(host)
        assert host.opened == 0


def test_no_method_is_a_generator_function() -> None:
    for name in dir(Decoders):
        if name.startswith("iter_"):
            assert not inspect.isgeneratorfunction(getattr(Decoders, name))


class TestCharset:
    def test_is_the_responses(self) -> None:
        host = Host([b"\xe9\n"], 'text/plain; charset="ISO-8859-1"')
        assert list(host.iter_text()) == ["é\n"]
        assert list(host.iter_lines()) == ["é"]

    def test_of_the_argument_wins(self) -> None:
        host = Host([b"\xe9"], "text/plain; charset=utf-8")
        assert list(host.iter_text("latin-1")) == ["é"]
        assert list(host.iter_text(encoding="cp437")) == ["Θ"]

    def test_unknown_in_the_response(self) -> None:
        host = Host([b"a"], "text/plain; charset=nope")
        for read in (host.iter_text, host.iter_lines):
            with pytest.raises(DecodeError, match="charset is unknown: there is no charset 'nope'"):
                read()
        assert list(host.iter_text("utf-8")) == ["a"]

    def test_unknown_in_the_argument(self) -> None:
        host = Host([b"a"])
        with pytest.raises(ValueError, match="there is no charset 'nope'") as caught:
            host.iter_text("nope")
        assert not isinstance(caught.value, DecodeError)
        with pytest.raises(TypeError, match="encoding must be"):
            host.iter_text(5)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="no charset"):
            host.iter_csv(encoding="nope")

    @pytest.mark.parametrize("read", [Host.iter_sse, Host.iter_ndjson, Host.iter_csv])
    def test_is_not_asked_where_the_format_says_what_it_is(self, read: Any) -> None:
        assert list(read(Host([b'"a"\n'], "text/plain; charset=nope"))) in ([], ["a"], [["a"]])


def test_csv_takes_what_csv_reader_takes() -> None:
    class Pipes(csv.excel):
        delimiter = "|"

    assert list(Host([b"a|b\n"]).iter_csv(Pipes)) == [["a", "b"]]
    assert list(Host([b"a\tb\n"]).iter_csv("excel-tab")) == [["a", "b"]]
    assert list(Host([b"a;'b'\n"]).iter_csv(delimiter=";", quotechar="'")) == [["a", "b"]]
    assert list(Host([b"\xef\xbb\xbfa\n"]).iter_csv()) == [["a"]]
    with pytest.raises(ValueError, match="unknown dialect"):
        Host([]).iter_csv("nope")


@pytest.mark.parametrize(
    ("content_type", "reason"),
    [
        ("text/plain; boundary=b", "not multipart: its Content-Type is 'text/plain; boundary=b'"),
        ("multipart/mixed", "names no boundary"),
    ],
)
def test_parts_of_what_has_none(content_type: str, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        Host([b"--b"], content_type).iter_parts()


def test_a_boundary_that_is_no_token() -> None:
    host = Host([b"------=_1\r\n\r\nx\r\n------=_1--"], "Multipart/Mixed; boundary=----=_1")
    assert [part.body for part in host.iter_parts()] == [b"x"]


@pytest.mark.parametrize(
    "call",
    [
        lambda: Host([], "text/plain; charset=nope").iter_text(),
        lambda: Host([], "text/plain; charset=nope").iter_lines(),
        lambda: Host([]).iter_text("nope"),
        lambda: Host([]).iter_text(5),  # type: ignore[arg-type]
        lambda: Host([]).iter_csv("nope"),
        lambda: Host([]).iter_csv(nope=5),
        lambda: Host([]).iter_csv(encoding="nope"),
        lambda: Host([], Content_Encoding="br").iter_sse(),
        lambda: Host([], Content_Encoding="br").iter_ndjson(),
        lambda: Host([]).iter_parts(),
        lambda: Host([], "multipart/mixed").iter_parts(),
        lambda: LineDecoder("nope"),
        lambda: MultipartDecoder(""),
    ],
)
def test_an_error_at_the_call_shows_no_frame_of_the_package(call: Callable[[], object]) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        call()
    shown = [entry for entry in caught.traceback if not entry.ishidden(caught)]
    assert {Path(entry.path) for entry in shown} == {Path(__file__)}
    cause = caught.value.__cause__
    while cause is not None:
        assert cause.__traceback__ is None
        cause = cause.__cause__


def test_content_codings_of_two_header_lines() -> None:
    host = Host([gzip.compress(gzip.compress(b"x"))], Content_Encoding="gzip")
    host.headers.add("Content-Encoding", "gzip")
    assert "".join(host.iter_text()) == "x"


def test_a_host_must_say_where_chunks_come_from() -> None:
    class Bare(Decoders, Response):
        pass

    with pytest.raises(NotImplementedError):
        Bare().iter_lines()
