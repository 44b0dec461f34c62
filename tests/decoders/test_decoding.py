"""What holds for all decoders, and how they are driven."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from decoder_tools import Chunks, byte_by_byte, decode, outcomes, random_cuts
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_flask_stream import decoders
from pytest_flask_stream.decoders import (
    ContentDecoder,
    CSVDecoder,
    Decoder,
    Decoding,
    LineDecoder,
    MultipartDecoder,
    NDJSONDecoder,
    SSEDecoder,
    TextDecoder,
)
from pytest_flask_stream.errors import DecodeError

FORMATS: dict[str, Callable[[], Decoder[Any]]] = {
    "text": TextDecoder,
    "lines": LineDecoder,
    "lines in utf-16": lambda: LineDecoder("utf-16"),
    "ndjson": NDJSONDecoder,
    "csv": CSVDecoder,
    "csv, strict": lambda: CSVDecoder(strict=True, quoting=2, escapechar="\\"),
    "sse": SSEDecoder,
    "multipart": lambda: MultipartDecoder("b"),
    "multipart, dashes": lambda: MultipartDecoder("--b"),
    "content": lambda: ContentDecoder("gzip"),
}
every_format = pytest.mark.parametrize("make", FORMATS.values(), ids=FORMATS)

# A body of three records and the beginning of a fourth, for the formats with records.
BODIES: dict[str, tuple[Callable[[], Decoder[Any]], bytes]] = {
    "lines": (LineDecoder, b"a\n" * 3 + b"b"),
    "ndjson": (NDJSONDecoder, b"1\n" * 3 + b"2"),
    "csv": (CSVDecoder, b"a,b\n" * 3 + b'"c'),
    "sse": (SSEDecoder, b"data: a\n\n" * 3 + b"data: b\n"),
    "multipart": (lambda: MultipartDecoder("b"), b"--b" + b"\r\n\r\nx\r\n--b" * 3 + b"\r\n\r\ny"),
}
each_with_records = pytest.mark.parametrize(("make", "body"), BODIES.values(), ids=BODIES)

anything = st.lists(
    st.binary(max_size=3)
    | st.sampled_from(
        [b"\n", b"\r\n", b"\r", b'"', b",", b":", b"data: ", b"--b", b"--b\r\n", b"--", b"[", b"1",
         b"Content-Length: 1\r\n", b"\r\n\r\n", b"\\", b"\xef\xbb\xbf", b"\xff\xfe", b"\0"]
    ),
    max_size=20,
).map(b"".join)  # fmt: skip


@every_format
@settings(max_examples=100)
@given(chunks=random_cuts(anything))
def test_anything_is_decoded_or_refused_the_same_however_cut(
    make: Callable[[], Decoder[Any]], chunks: list[bytes]
) -> None:
    if isinstance(make(), TextDecoder | ContentDecoder):
        assert "".join(map(str, outcomes(Decoding(chunks, make())))) or not any(chunks)
        return
    body = b"".join(chunks)
    whole = decode(make(), [body])
    assert decode(make(), chunks) == whole
    assert decode(make(), byte_by_byte(body)) == whole


@every_format
class TestEveryDecoder:
    def test_is_a_decoder(self, make: Callable[[], Decoder[Any]]) -> None:
        assert isinstance(make(), Decoder)

    def test_an_empty_body_has_no_values(self, make: Callable[[], Decoder[Any]]) -> None:
        assert decode(make(), []) == []
        assert decode(make(), [b"", b""]) == []

    def test_a_body_ends_once(self, make: Callable[[], Decoder[Any]]) -> None:
        decoder = make()
        assert list(decoder.end()) == []
        with pytest.raises(ValueError, match="end\\(\\) was called before"):
            decoder.end()
        with pytest.raises(ValueError, match="nothing can be fed after end"):
            decoder.feed(b"")

    def test_repr_is_one_line_with_counts(self, make: Callable[[], Decoder[Any]]) -> None:
        decoder = make()
        decoder.feed(b"ab")
        decoder.feed(b"c", continued=True)
        decoder.feed(b"")
        assert repr(decoder) == f"<{type(decoder).__name__}: 2 chunks, 3 bytes fed>"


@each_with_records
class TestLaziness:
    def test_no_chunk_is_pulled_while_values_are_left(
        self, make: Callable[[], Decoder[Any]], body: bytes
    ) -> None:
        chunks = Chunks([body, b"", b"never"])
        values = Decoding(chunks, make())
        for _ in range(3):
            next(values)
            assert chunks.pulled == 1
        with contextlib.suppress(DecodeError):
            next(values, None)
        assert chunks.pulled == 3

    def test_a_record_waits_for_no_byte_that_it_does_not_need(
        self, make: Callable[[], Decoder[Any]], body: bytes
    ) -> None:
        whole = make()
        count = 0
        for number, byte in enumerate(byte_by_byte(body), 1):
            for _ in whole.feed(byte):
                count += 1
                assert len(list(make().feed(body[:number]))) == count
                assert len(list(make().feed(body[: number - 1]))) == count - 1
        assert count == 3

    def test_nothing_is_pulled_before_the_first_value_is_asked_for(
        self, make: Callable[[], Decoder[Any]], body: bytes
    ) -> None:
        chunks = Chunks([body])
        values = Decoding(chunks, make())
        assert chunks.pulled == 0
        assert "0 chunks" in repr(values)

    def test_a_piece_of_a_chunk_is_no_chunk(
        self, make: Callable[[], Decoder[Any]], body: bytes
    ) -> None:
        decoder = make()
        for piece in byte_by_byte(body):
            list(decoder.feed(piece, continued=True))
        assert f"1 chunks, {len(body)} bytes" in repr(decoder)


class Broken(Iterator[bytes]):
    """Chunks among which errors are raised."""

    def __init__(self, *chunks: bytes | Exception) -> None:
        self._chunks = iter(chunks)

    def __next__(self) -> bytes:
        chunk = next(self._chunks)
        if isinstance(chunk, Exception):
            raise chunk
        return chunk


class TestErrorsOfTheChunks:
    def test_pass_through_when_they_are_come_to(self) -> None:
        boom = RuntimeError("boom")
        values = Decoding(Broken(b"1\n2\n3", boom), NDJSONDecoder())
        assert (next(values), next(values)) == (1, 2)
        with pytest.raises(RuntimeError) as caught:
            next(values)
        assert caught.value is boom

    def test_are_not_taken_for_the_end_of_the_body(self) -> None:
        values = Decoding(Broken(b"1\n2", RuntimeError()), NDJSONDecoder())
        assert next(values) == 1
        with pytest.raises(RuntimeError):
            next(values)
        assert list(values) == []

    def test_do_not_hinder_going_on(self) -> None:
        values = Decoding(Broken(b"1\n2", RuntimeError(), b"3\n4"), NDJSONDecoder())
        assert next(values) == 1
        with pytest.raises(RuntimeError):
            next(values)
        assert list(values) == [23, 4]


class TestTheEnd:
    def test_chunks_are_not_asked_again(self) -> None:
        asked: list[int] = []

        class Endless(Iterator[bytes]):
            def __next__(self) -> bytes:
                asked.append(1)
                if len(asked) == 2:
                    raise StopIteration
                return b"a\n"

        values = Decoding(Endless(), LineDecoder())
        assert list(values) == ["a"]
        assert list(values) == []
        assert len(asked) == 2

    def test_chunks_are_not_asked_after_an_error_that_ends_the_decoding(self) -> None:
        chunks = Chunks([b"a\n\xff", b"b\n"])
        values = Decoding(chunks, LineDecoder())
        assert next(values) == "a"
        with pytest.raises(DecodeError):
            next(values)
        assert list(values) == []
        assert chunks.pulled == 1

    def test_errors_at_the_end_of_the_body(self) -> None:
        values = Decoding([b"1\n{"], NDJSONDecoder())
        assert next(values) == 1
        with pytest.raises(DecodeError):
            next(values)
        assert list(values) == []


def test_a_batch_without_an_error_is_a_plain_list_iterator() -> None:
    decoder = NDJSONDecoder()
    plain: type = type(iter([]))
    kinds = [type(decoder.feed(chunk)) is plain for chunk in (b"1\n", b"x\n", b"2\n")]
    assert kinds == [True, False, True]


def test_reading_goes_on_over_chunks_after_a_bad_record() -> None:
    chunks = Chunks([b"1\nx\n2\n", b"y\n", b"3\n"])
    one, bad, two, worse, three = outcomes(Decoding(chunks, NDJSONDecoder()))
    assert (one, two, three) == (1, 2, 3)
    assert [(error.record, error.chunk, error.offset) for error in (bad, worse)] == [
        (1, 0, 2),
        (3, 1, 6),
    ]


def test_an_error_shows_no_frame_of_the_package() -> None:
    with pytest.raises(DecodeError) as caught:
        next(Decoding([b"x\n"], NDJSONDecoder()))
    shown = [entry for entry in caught.traceback if not entry.ishidden(caught)]
    assert [Path(entry.path).name for entry in shown] == ["test_decoding.py"]


@pytest.mark.parametrize(
    ("make", "body"),
    [
        (TextDecoder, b"\xc3"),
        (LineDecoder, b"\xc3"),
        (NDJSONDecoder, b'{"a'),
        (NDJSONDecoder, b'{"a\n'),
        (lambda: CSVDecoder(strict=True), b'"a'),
        (lambda: MultipartDecoder("b"), b"a"),
        (lambda: ContentDecoder("gzip"), b"\x1f"),
    ],
)
def test_behind_an_error_stands_its_cause_and_nothing_else(
    make: Callable[[], Decoder[Any]], body: bytes
) -> None:
    with pytest.raises(DecodeError) as caught:
        next(Decoding([body], make()))
    cause = caught.value.__cause__
    assert caught.value.__suppress_context__
    assert cause is None or (cause.__cause__, cause.__context__) == (None, None)


def test_every_public_name_is_exported() -> None:
    assert len(set(decoders.__all__)) == 12
    assert all(hasattr(decoders, name) for name in decoders.__all__)


def test_decoders_need_neither_pytest_nor_flask() -> None:
    code = (
        "import sys, pytest_flask_stream.decoders;"
        "sys.exit(bool({'pytest', 'flask'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
