from __future__ import annotations

import email
import email.policy
import re
from typing import Any

import pytest
from decoder_tools import Bad, byte_by_byte, check, decode, in_alphabet, random_cuts
from hypothesis import assume, given
from hypothesis import strategies as st
from werkzeug.datastructures import Headers

from pytest_flask_stream.decoders import MultipartDecoder, Part
from pytest_flask_stream.decoders.part_headers import content_length, find_boundary
from pytest_flask_stream.errors import DecodeError


def part(body: bytes, *headers: tuple[str, str]) -> Part:
    return Part(Headers(list(headers)), body)


A = ("A", "1")


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        (b"", []),
        (b"--b\r\nA: 1\r\n\r\nx\r\n--b--\r\n", [part(b"x", A)]),
        (b"--b\r\nA: 1\r\n\r\nx\r\n--b\r\n\r\ny\r\n--b--", [part(b"x", A), part(b"y")]),
        # Preamble and epilogue
        (b"pre\r\n--bb\r\nx--b\r\n--b\r\n\r\nx\r\n--b--", [part(b"x")]),
        (b"--b\r\n\r\nx\r\n--b--\r\nepi\r\n--b\r\n\r\nno\r\n--b--", [part(b"x")]),
        (b"\r\n--b\r\n\r\nx\r\n--b--", [part(b"x")]),
        # Bodies
        (b"--b\r\n\r\n\r\n--b--", [part(b"")]),
        (b"--b\r\nA: 1\r\n\r\n--b--", [part(b"", A)]),
        (b"--b\r\nA: 1\r\n--b\r\nA: 1\r\n--b--", [part(b"", A), part(b"", A)]),
        (b"--b\r\nA: 1\r\n--b--\r\n", [part(b"", A)]),
        (b"--b\r\n\r\n\r\n\r\n\r\n--b--", [part(b"\r\n\r\n")]),
        (b"--b\r\n\r\n\xff\xd8\x00\r\r\n--b--", [part(b"\xff\xd8\x00\r")]),
        (b"--b\r\n\r\nx--b\r\n--bc\r\n-b\r\n--b--", [part(b"x--b\r\n--bc\r\n-b")]),
        (b"--b\r\n\r\n--b x\r\n--b-\r\n--b--", [part(b"--b x\r\n--b-")]),
        # Delimiters
        (b"--b \t \r\n\r\nx\r\n--b \t\r\n\r\ny\r\n--b--  ", [part(b"x"), part(b"y")]),
        (b"--b\r\n--b\r\n\r\nx\r\n--b--", [part(b"x")]),
        (b"--b\n\nx\n--b\nA: 1\n\ny\n--b--\n", [part(b"x"), part(b"y", A)]),
        (b"--b\r\n\r\nx\r\n--b", [part(b"x")]),
        (b"--b\r\n\r\nx\r\n--b  ", [part(b"x")]),
        (b"--b--\r\n", []),
        (b"--b", []),
        # Headers
        (b"--b\r\nA:1\r\nB :  2 \r\nA: 3\r\n--b--", [part(b"", A, ("B", "2"), ("A", "3"))]),
        (b"--b\r\nA: 1\r\n  2\r\n\t3\r\n\r\nx\r\n--b--", [part(b"x", ("A", "1 2 3"))]),
        ("--b\r\nA: é\r\n\r\nx\r\n--b--".encode(), [part(b"x", ("A", "é"))]),
        (b"--b\r\nA: \xe9\r\n\r\nx\r\n--b--", [part(b"x", ("A", "é"))]),
        (b"--b\r\nA:\r\n\r\nx\r\n--b--", [part(b"x", ("A", ""))]),
        (b"--b\r\n--bc: 1\r\n\r\nx\r\n--b--", [part(b"x", ("--bc", "1"))]),
        # A last part without a delimiter behind it
        (b"--b\r\nContent-Length: 2\r\n\r\nxy", [part(b"xy", ("Content-Length", "2"))]),
        (b"--b\r\nContent-Length: 2\r\n\r\nxy\r\n", [part(b"xy", ("Content-Length", "2"))]),
        (b"--b\r\nContent-Length: 2\r\n\r\nxy\r\n-", [part(b"xy", ("Content-Length", "2"))]),
        (b"--b\r\nContent-Length: 2\r\n\r\nxy\r\n--b-", [part(b"xy", ("Content-Length", "2"))]),
        (b"--b\r\ncontent-length: 0\r\n\r\n", [part(b"", ("content-length", "0"))]),
        (b"--b\r\nContent-Length: 3\r\n\r\nxy", []),
        (b"--b\r\nContent-Length: 0\r\n", []),
        (b"--b\r\n\r\nxy\r\n", []),
        (b"--b\r\nA: 1", []),
        # A Content-Length is not asked where there is a delimiter
        (b"--b\r\nContent-Length: 9\r\n\r\nx\r\n--b--", [part(b"x", ("Content-Length", "9"))]),
        (b"--b\r\nContent-Length: 1\r\n\r\nxyz\r\n--b--", [part(b"xyz", ("Content-Length", "1"))]),
        # Bad parts
        (b"--b\r\nA: 1\r\n\r\nx\r\n--b\r\nnone\r\n\r\ny\r\n--b--", [part(b"x", A), Bad(1, 21)]),
        (b"--b\r\n: 1\r\n\r\n", [Bad(0, 5)]),
        (b"--b\r\nA: 1\rB: 2\r\n\r\n", [Bad(0, 5)]),
        (b"--b\n  1\nA: 1\n--b--", [Bad(0, 4)]),
        (b"no boundary\r\n --b\r\n", [Bad(0, 0)]),
        (b"--c\r\n\r\nx\r\n--c--", [Bad(0, 0)]),
    ],
)  # fmt: skip
def test_parts(body: bytes, parts: list[Any]) -> None:
    check(lambda: MultipartDecoder("b"), body, parts)


@pytest.mark.parametrize(
    ("boundary", "body", "bodies"),
    [
        ("--b", b"--b\r\n\r\nx\r\n--b\r\n\r\ny\r\n--b--", [b"x", b"y"]),
        ("--b", b"----b\r\n\r\nx\r\n----b\r\n\r\ny\r\n----b--", [b"x", b"y"]),
        ("--b", b"----b\r\n\r\nx\r\n--b\r\ny\r\n----b--", [b"x\r\n--b\r\ny"]),
        ("--b", b"--b\r\n\r\nx\r\n----b\r\ny\r\n--b--", [b"x\r\n----b\r\ny"]),
        ("--b", b"pre----b\r\n-----b\r\n----b\r\n\r\nx\r\n----b--", [b"x"]),
        ("--b--", b"--b--\r\n\r\nx\r\n--b--\r\n\r\ny\r\n--b----", [b"x", b"y"]),
        ("a b", b"--a b\r\n\r\nx\r\n--a b--", [b"x"]),
        (".*", b"--.*\r\n\r\nx\r\n--ab\r\n--.*--", [b"x\r\n--ab"]),
        (b"\xe9", b"--\xe9\r\n\r\nx\r\n--\xe9--", [b"x"]),
        ("é", b"--\xe9\r\n\r\nx\r\n--\xe9--", [b"x"]),
        ("€", b"--\xe2\x82\xac\r\n\r\nx\r\n--\xe2\x82\xac--", [b"x"]),
    ],
)
def test_boundaries(boundary: str | bytes, body: bytes, bodies: list[bytes]) -> None:
    check(lambda: MultipartDecoder(boundary), body, [part(found) for found in bodies])


class TestMotionJPEG:
    headers = b"Content-Type: image/jpeg\r\n\r\n"

    def test_a_frame_is_given_with_the_delimiter_that_trails_it(self) -> None:
        decoder = MultipartDecoder("frame")
        assert list(decoder.feed(b"--frame\r\n")) == []
        for jpeg in (b"\xff\xd8one\xff\xd9", b"\xff\xd8two\xff\xd9"):
            (found,) = decoder.feed(self.headers + jpeg + b"\r\n--frame\r\n")
            assert found == part(jpeg, ("Content-Type", "image/jpeg"))
        assert list(decoder.end()) == []

    def test_a_frame_whose_delimiter_leads_is_given_with_the_next_one(self) -> None:
        decoder = MultipartDecoder("frame")
        chunk = b"--frame\r\n" + self.headers + b"jpeg\r\n"
        assert list(decoder.feed(chunk)) == []
        assert [found.body for found in decoder.feed(chunk)] == [b"jpeg"]
        assert list(decoder.end()) == []

    def test_a_part_does_not_wait_for_the_whole_line_end_of_its_delimiter(self) -> None:
        decoder = MultipartDecoder("frame")
        list(decoder.feed(b"--frame\r"))
        list(decoder.feed(b"\nA: 1\r\n\r\n"))
        assert list(decoder.feed(b"x\r\n--frame")) == []
        assert list(decoder.feed(b"\r")) == [part(b"x", A)]
        assert list(decoder.feed(b"\n\r\ny\r\n--frame--")) == [part(b"y")]


contents = in_alphabet(b"a", b"b", b"-", b"--", b"\r", b"\n", b"\r\n", b"\0", b"--b", size=12)


@given(st.lists(contents, min_size=1, max_size=3), st.sampled_from([b"\r\n", b"\n"]), st.data())
def test_gives_back_what_was_put_together(
    bodies: list[bytes], end: bytes, data: st.DataObject
) -> None:
    assume(not any(re.search(rb"(?:\A|\n)--b(?:--|[ \t]*[\r\n]|[ \t]*\Z)", b) for b in bodies))
    assume(end == b"\r\n" or not any(b.endswith(b"\r") for b in bodies))
    body = b"".join(b"--b" + end + b"A: 1" + end + end + b + end for b in bodies) + b"--b--" + end
    expected = [part(b, A) for b in bodies]
    assert decode(MultipartDecoder("b"), data.draw(random_cuts(st.just(body)))) == expected


lines = st.lists(st.sampled_from([b"", b"x", b"--bx", b"b", b" --b", b"\xff"]), max_size=4)
fields = st.lists(st.sampled_from([b"A: 1", b"B:2", b"C: 3\r\n 4"]), max_size=2)


@given(lines, st.lists(st.tuples(fields, lines), min_size=1, max_size=3), lines, st.data())
def test_equals_the_email_parser(
    preamble: list[bytes],
    parts: list[tuple[list[bytes], list[bytes]]],
    epilogue: list[bytes],
    data: st.DataObject,
) -> None:
    written = [line for head, body in parts for line in (b"--b", *head, b"", *body)]
    body = b"\r\n".join([*preamble, *written, b"--b--", *epilogue])
    head = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    message = email.message_from_bytes(head + body, policy=email.policy.HTTP)
    payload: Any = message.get_payload()
    found = decode(MultipartDecoder("b"), data.draw(random_cuts(st.just(body))))
    assert [(list(one.headers), one.body) for one in found] == [
        (list(one.items()), one.get_payload(decode=True)) for one in payload
    ]


class Counted(bytearray):
    """A buffer that counts how many bytes were searched, and copied out of it."""

    work = 0

    def find(self, needle: Any, start: Any = 0, end: Any = None) -> int:
        at = super().find(needle, start)
        self.work += (at if at >= 0 else len(self)) - start + len(needle)
        return at

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        self.work += len(found) if isinstance(key, slice) else 1
        return found


@pytest.mark.parametrize(
    "body",
    [
        b"x" * 3000 + b"\r\n--b\r\n\r\nx\r\n--b--",
        b"--b\r\nA: " + b"x" * 3000 + b"\r\n\r\nx\r\n--b--",
        b"--b\r\n\r\n" + b"\xff" * 3000 + b"\r\n--b--",
        b"--b\r\n\r\n" + b"\r\n--bx" * 500 + b"\r\n--b--",
        b"--b\r\n\r\n" + b"\r\n--b" * 500 + b"\r\n--b--",
        b"--b" + b" " * 3000 + b"\r\n\r\nx\r\n--b--",
        b"--b\r\n\r\n" + b"\r\n--b    x" * 400 + b"\r\n--b--",
        b"--b\r\n" * 600 + b"\r\nx\r\n--b--",
        b"--b\r\n" + b"A: 1\r\n" * 500 + b"\r\nx\r\n--b--",
    ],
)
def test_no_byte_is_searched_twice(body: bytes, monkeypatch: Any) -> None:
    class CountedPadding:
        work = 0

        def match(self, buffer: bytearray, start: int) -> Any:
            found = re.compile(rb"[ \t]*").match(buffer, start)
            self.work += 0 if found is None else found.end() - start
            return found

    padding = CountedPadding()
    monkeypatch.setattr("pytest_flask_stream.decoders.delimiters._PADDING", padding)
    for chunks in ([body], byte_by_byte(body)):
        decoder = MultipartDecoder("b")
        decoder._buffer = decoder._search._buffer = Counted()
        decode(decoder, chunks)
        assert decoder._state == "epilogue"
        assert 0 < decoder._buffer.work + padding.work < 20 * len(body)


def test_what_was_read_is_forgotten() -> None:
    decoder = MultipartDecoder("b")
    for chunk in [b"preamble"] * 100 + [b"\r\n--b\r\n"]:
        list(decoder.feed(chunk))
        assert len(decoder._buffer) < 20
    for _ in range(100):
        list(decoder.feed(b"A: 1\r\n\r\nbody\r\n--b\r\n"))
        assert len(decoder._buffer) == 0


@pytest.mark.parametrize(
    ("value", "length"),
    [
        ("5", 5),
        (" 5 ", 5),
        ("-1", None),
        ("1e3", None),
        ("٣", None),
        ("", None),
        ("9" * 5000, None),
    ],
)
def test_content_length(value: str, length: int | None) -> None:
    assert content_length(Headers([("Content-Length", value)])) == length


@pytest.mark.parametrize("length", [b"9" * 30, b"9" * 5000, b"-1", b"x"])
def test_hostile_lengths(length: bytes) -> None:
    body = b"--b\r\nContent-Length: " + length + b"\r\n\r\nxy\r\n"
    assert decode(MultipartDecoder("b"), [body]) == []


@pytest.mark.parametrize(
    ("parameters", "boundary"),
    [
        ("boundary=b", "b"),
        ("BOUNDARY = b ;x=y", "b"),
        ('boundary="a b;c"', "a b;c"),
        (r'boundary="a\"b\\"', 'a"b\\'),
        ("boundary=----=_Part_1", "----=_Part_1"),
        ("boundary=--my boundary--", "--my boundary--"),
        ('x="; boundary=no"; boundary=yes', "yes"),
        ("charset=utf-8; boundary=a/b?c:d", "a/b?c:d"),
        ('boundary="unclosed', '"unclosed'),
        ("boundary=", None),
        ('boundary=""', None),
        ("xboundary=b", None),
        ("", None),
    ],
)
def test_find_boundary(parameters: str, boundary: str | None) -> None:
    assert find_boundary(f"multipart/mixed; {parameters}") == boundary


def test_bad_arguments_are_errors_at_once() -> None:
    with pytest.raises(ValueError, match="boundary must not be empty"):
        MultipartDecoder("")
    with pytest.raises(TypeError, match="boundary must be str or bytes, not 5"):
        MultipartDecoder(5)  # type: ignore[arg-type]


def test_the_text_of_errors() -> None:
    with pytest.raises(DecodeError, match=r"cannot be read: 'none' is no header field \(record 0"):
        list(MultipartDecoder("b").feed(b"--b\r\nnone\r\n\r\n"))
    picture = b"\xff\xd8" + bytes(100) + b"\r\n"
    with pytest.raises(DecodeError, match="header, which an empty line ends, cannot be") as caught:
        list(MultipartDecoder("b").feed(b"--b\r\n" + picture + b"\r\n"))
    shown = repr("\xff\xd8" + "\0" * 58)
    assert f"cannot be read: {shown}… is no header field" in str(caught.value)
    decoder = MultipartDecoder("b")
    list(decoder.feed(b"x"))
    with pytest.raises(DecodeError, match="does not begin any line of the body"):
        list(decoder.end())


def test_repr_of_a_part_is_one_line() -> None:
    assert (
        repr(part(b"x" * 1000, ("Content-Type", "image/jpeg"))) == "<Part image/jpeg: 1000 bytes>"
    )
    assert repr(part(b"x")) == "<Part no Content-Type: 1 byte>"
