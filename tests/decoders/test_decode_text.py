from __future__ import annotations

import re

import pytest
from decoder_tools import Bad, byte_by_byte, check, decode, in_alphabet, random_cuts
from hypothesis import given
from hypothesis import strategies as st

from pytest_flask_stream.decoders import LineDecoder, TextDecoder
from pytest_flask_stream.errors import DecodeError

CHARSETS = [
    "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "utf-7", "latin-1", "cp1252", "ascii",
    "shift_jis", "euc_jp", "euc_jisx0213", "iso2022_jp", "gb18030", "gbk", "big5hkscs", "hz",
    "cp037", "koi8-r",
]  # fmt: skip


def text_of(chunks: list[bytes], charset: str) -> str:
    return "".join(decode(TextDecoder(charset), chunks))


def first_bad_byte(body: bytes) -> int | None:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return error.start
    return None


class TestText:
    def test_text_comes_as_it_becomes_decodable(self) -> None:
        decoder = TextDecoder()
        assert list(decoder.feed("aé".encode()[:2])) == ["a"]
        assert list(decoder.feed(b"")) == []
        assert list(decoder.feed("é".encode()[1:] + b"b")) == ["éb"]
        assert list(decoder.end()) == []

    def test_a_part_of_a_character_gives_no_empty_text(self) -> None:
        assert decode(TextDecoder(), byte_by_byte("€".encode())) == ["€"]

    @pytest.mark.parametrize("charset", CHARSETS)
    def test_charsets_cut_anywhere(self, charset: str) -> None:
        text = "line one\r\nsecond, ~x+y-z\n"
        for extra in ("é", "я", "日本語", "Ê̄", "😀"):
            try:
                extra.encode(charset)
            except UnicodeEncodeError:
                continue
            text += extra + "\n"
        body = text.encode(charset)
        assert text_of([body], charset) == text
        assert text_of(byte_by_byte(body), charset) == text

    @given(random_cuts(st.text().map(str.encode)))
    def test_equals_decoding_the_whole(self, chunks: list[bytes]) -> None:
        assert text_of(chunks, "utf-8") == b"".join(chunks).decode()

    @given(random_cuts(in_alphabet(b"a", b"\xc3", b"\xa9", b"\xe2\x82\xac", b"\xe2", b"\xff")))
    def test_names_the_byte_that_decoding_the_whole_names(self, chunks: list[bytes]) -> None:
        body = b"".join(chunks)
        found = decode(TextDecoder(), chunks)
        start = first_bad_byte(body)
        if start is not None:
            assert found.pop().offset == start
        assert "".join(found) == body[:start].decode()

    @pytest.mark.parametrize(
        ("charset", "body", "offset"),
        [
            ("utf-8", b"ab\xffcd", 2),
            ("utf-8", b"ab\xc3(d", 2),
            ("utf-8", b"ab\xe2\x82", 2),
            ("utf-8-sig", b"\xef\xbb\xbfa\xff", 4),
            ("utf-8-sig", b"\xef\xbb\xbf\xff", 3),
            ("utf-8-sig", b"\xef\xbb", 0),
            ("ascii", b"abc\x80", 3),
            ("utf-16", "ab".encode("utf-16") + b"x", 6),
            ("utf-16-le", b"a\x00\x00\xdc", 2),
            ("shift_jis", b"ab\x81\x00", 2),
        ],
    )
    def test_offset_of_bad_bytes(self, charset: str, body: bytes, offset: int) -> None:
        for chunks in ([body], byte_by_byte(body), [b"", body]):
            assert decode(TextDecoder(charset), chunks)[-1].offset == offset

    def test_the_record_is_the_chunk(self) -> None:
        with pytest.raises(DecodeError, match="not utf-8: invalid start byte") as caught:
            list(_feed_all(TextDecoder(), [b"ab", b"", b"c\xff"]))
        error = caught.value
        assert (error.record, error.chunk, error.offset) == (2, 2, 3)
        assert isinstance(error.__cause__, UnicodeDecodeError)

    def test_decoding_ends_at_bad_bytes(self) -> None:
        decoder = TextDecoder()
        values = decoder.feed(b"a\xffb")
        assert next(values) == "a"
        with pytest.raises(DecodeError):
            next(values)
        assert list(values) == []
        assert decoder.failed
        assert list(decoder.feed(b"more")) == []
        assert list(decoder.end()) == []

    @pytest.mark.parametrize(
        "name", ["nope", "", "rot13", "hex", "zlib", "idna", "a\0b", "é\ud800"]
    )
    def test_an_unknown_charset_is_an_error_at_once(self, name: str) -> None:
        with pytest.raises(ValueError, match="no charset"):
            TextDecoder(name)

    def test_a_charset_that_is_no_str_is_an_error_at_once(self) -> None:
        with pytest.raises(TypeError, match="encoding must be the name of a charset, not 8"):
            TextDecoder(8)  # type: ignore[arg-type]


class TestLines:
    @pytest.mark.parametrize(
        ("body", "lines"),
        [
            (b"", []),
            (b"a", ["a"]),
            (b"a\n", ["a"]),
            (b"\n", [""]),
            (b"\r", [""]),
            (b"\r\n", [""]),
            (b"a\r\nb\rc\nd", ["a", "b", "c", "d"]),
            (b"\n\r", ["", ""]),
            (b"\r\r\n\n", ["", "", ""]),
            (b"a\r\n\r\nb\r\n", ["a", "", "b"]),
            ("a\x0b\x0c\x1c\x85\u2028\u2029b\n".encode(), ["a\x0b\x0c\x1c\x85\u2028\u2029b"]),
            ("é€😀\r\nü".encode(), ["é€😀", "ü"]),
            (b"\xef\xbb\xbfa\n", ["\ufeffa"]),
        ],
    )
    def test_lines(self, body: bytes, lines: list[str]) -> None:
        check(LineDecoder, body, lines)

    @pytest.mark.parametrize("charset", CHARSETS)
    def test_charsets(self, charset: str) -> None:
        body = "one\r\ntwo\rthree\n\nlast".encode(charset)
        check(lambda: LineDecoder(charset), body, ["one", "two", "three", "", "last"])

    @given(random_cuts(in_alphabet(b"\r", b"\n", b"a", "é".encode(), "\u2028".encode())))
    def test_equals_splitting_the_whole(self, chunks: list[bytes]) -> None:
        lines = re.split("\r\n|\r|\n", b"".join(chunks).decode())
        if not lines[-1]:
            lines.pop()
        assert decode(LineDecoder(), chunks) == lines

    def test_a_line_that_ends_in_cr_does_not_wait(self) -> None:
        decoder = LineDecoder()
        assert list(decoder.feed(b"a\r")) == ["a"]
        assert list(decoder.feed(b"")) == []
        assert list(decoder.feed(b"\nb\n")) == ["b"]

    def test_a_line_feed_behind_half_a_character_is_no_half_of_a_line_end(self) -> None:
        assert decode(LineDecoder("utf-16-le"), [b"a\0\r\0", b"\n", b"\0b\0"]) == ["a", "b"]

    @pytest.mark.parametrize(
        ("charset", "body", "expected"),
        [
            ("utf-8", b"a\nb\xffc\nd\n", ["a", Bad(1, 2)]),
            ("utf-8", b"a\n\xff", ["a", Bad(1, 2)]),
            ("utf-8", b"a\r\n\xc3", ["a", Bad(1, 3)]),
            ("utf-8", "é\n€x".encode() + b"\xe2\x82(", ["é", Bad(1, 3)]),
            ("utf-16", "é\r\nab".encode("utf-16") + b"\x00\xdc\x00", ["é", Bad(1, 8)]),
            ("utf-8-sig", b"\xef\xbb\xbfab\xff", [Bad(0, 0)]),
            ("gb18030", "日\n本".encode("gb18030") + b"\xff", ["日", Bad(1, 3)]),
        ],
    )
    def test_a_bad_line(self, charset: str, body: bytes, expected: list[object]) -> None:
        check(lambda: LineDecoder(charset), body, expected)

    def test_a_bad_line_names_the_bad_byte_too(self) -> None:
        with pytest.raises(DecodeError, match="not utf-8 at byte 4: invalid start byte"):
            list(_feed_all(LineDecoder(), [b"a\nbc\xff"]))

    def test_what_waits_is_not_joined_before_its_line_ends(self) -> None:
        decoder = LineDecoder()
        for _ in range(1000):
            assert list(decoder.feed(b"x")) == []
        assert decoder._parts == ["x"] * 1000
        assert list(decoder.feed(b"\n")) == ["x" * 1000]
        assert decoder._parts == []


def _feed_all(decoder: TextDecoder | LineDecoder, chunks: list[bytes]) -> list[str]:
    return [value for chunk in chunks for value in decoder.feed(chunk)]
