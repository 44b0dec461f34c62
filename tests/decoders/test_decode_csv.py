from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from decoder_tools import Bad, byte_by_byte, check, decode, in_alphabet, random_cuts
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_flask_stream.decoders import CSVDecoder, Decoding, row_reader
from pytest_flask_stream.errors import DecodeError

REFUSED = "refused"


class Semicolons(csv.Dialect):
    delimiter = ";"
    quotechar = "'"
    doublequote = True
    lineterminator = "\n"
    quoting = csv.QUOTE_MINIMAL


def read_whole(text: str, **fmtparams: Any) -> list[Any]:
    """The rows of ``csv.reader`` over the whole text, going on behind what it refuses."""
    reader = csv.reader(io.StringIO(text, newline=""), **fmtparams)
    rows: list[Any] = []
    while True:
        try:
            rows.append(next(reader))
        except StopIteration:
            return rows
        except (csv.Error, ValueError):
            rows.append(REFUSED)


def read_cut(chunks: list[bytes], **fmtparams: Any) -> list[Any]:
    found = decode(CSVDecoder(encoding="utf-8", **fmtparams), chunks)
    return [REFUSED if isinstance(row, Bad) else row for row in found]


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        (b"", []),
        (b"a,b\n1,2\n", [["a", "b"], ["1", "2"]]),
        (b"a,b\r\n1,2", [["a", "b"], ["1", "2"]]),
        (b"a\rb\r\rc", [["a"], ["b"], [], ["c"]]),
        (b"a\r\n\r\nb\n\n", [["a"], [], ["b"], []]),
        (b'"a\nb","c\r\nd"\r\n"e\rf"\r', [["a\nb", "c\r\nd"], ["e\rf"]]),
        (b'"a""b\n""",c\n', [['a"b\n"', "c"]]),
        (b'a"b,"c"d\n', [['a"b', "cd"]]),
        (b'x\n"a\nb', [["x"], ["a\nb"]]),
        ("é,\u2028\x85\x0b€\n".encode(), [["é", "\u2028\x85\x0b€"]]),
        ("\ufeffid,é\n".encode(), [["id", "é"]]),
        (b",\n", [["", ""]]),
        (b'""\n', [[""]]),
    ],
)
def test_rows(body: bytes, rows: list[list[str]]) -> None:
    check(CSVDecoder, body, rows)


@pytest.mark.parametrize(
    ("options", "body", "rows"),
    [
        ({"dialect": "excel-tab"}, b"a\tb\n", [["a", "b"]]),
        ({"dialect": Semicolons}, b"'a;\n';b\n", [["a;\n", "b"]]),
        ({"dialect": Semicolons()}, b"a;b\n", [["a", "b"]]),
        ({"delimiter": ";"}, b"a;b\n", [["a", "b"]]),
        ({"escapechar": "\\"}, b"a\\\nb,c\n", [["a\nb", "c"]]),
        ({"escapechar": "\\", "quoting": csv.QUOTE_NONE}, b'a\\\n"b,c\n', [['a\n"b', "c"]]),
        ({"escapechar": "\\", "doublequote": False}, b'"a\\"\\\nb",c\n', [['a"\nb', "c"]]),
        ({"quoting": csv.QUOTE_NONE}, b'"a\nb"\n', [['"a'], ['b"']]),
        ({"quoting": csv.QUOTE_NONNUMERIC}, b'1,"a\n2"\n2\n', [[1.0, "a\n2"], [2.0]]),
        ({"quoting": csv.QUOTE_NONNUMERIC}, b"x,1\n2\n", [Bad(0, 0), [2.0]]),
        ({"skipinitialspace": True}, b'a, "b\nc"\n', [["a", "b\nc"]]),
        ({"strict": True}, b'a\n"b"c,d\ne\n', [["a"], Bad(1, 2), ["e"]]),
        ({"strict": True}, b'a\n"b\n"c,d\ne\n', [["a"], Bad(1, 2), ["e"]]),
        ({"strict": True}, b'a\n\n"b\nc', [["a"], [], Bad(2, 3)]),
        ({"strict": True}, b'"a"b\r\n"c"d\r\n', [Bad(0, 0), Bad(1, 6)]),
        ({"encoding": "utf-16"}, 'a,"é\n"\nb\n'.encode("utf-16"), [["a", "é\n"], ["b"]]),
        ({"encoding": "latin-1"}, b"\xe9\n", [["é"]]),
        ({"encoding": "utf-8"}, b"\xef\xbb\xbfa\n", [["\ufeffa"]]),
    ],
)  # fmt: skip
def test_options(options: dict[str, Any], body: bytes, rows: list[Any]) -> None:
    check(lambda: CSVDecoder(**options), body, rows)


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        (b"a\nb\xff\nc\n", [["a"], Bad(1, 2)]),
        (b'\xef\xbb\xbf"a\nb\xff', [Bad(0, 0)]),
        (b"a\r\n\xc3", [["a"], Bad(1, 3)]),
        ('é\n"€\n'.encode() + b"\xff", [["é"], Bad(1, 3)]),
    ],
)
def test_bad_bytes_end_the_decoding(body: bytes, rows: list[Any]) -> None:
    check(CSVDecoder, body, rows)


def test_the_offset_of_a_bad_row_in_a_wide_charset() -> None:
    body = 'é\n€"x"\n"b"c\nd'.encode("utf-16-le")
    check(
        lambda: CSVDecoder(encoding="utf-16-le", strict=True), body,
        [["é"], ['€"x"'], Bad(2, 14), ["d"]],
    )  # fmt: skip


cells = st.lists(st.lists(st.text("ab,\"'\r\n é;"), min_size=1, max_size=3), max_size=5)


@given(cells, st.sampled_from(["excel", "excel-tab", "unix"]), st.data())
def test_gives_back_what_csv_writer_wrote(
    rows: list[list[str]], dialect: str, data: st.DataObject
) -> None:
    file = io.StringIO(newline="")
    csv.writer(file, dialect).writerows(rows)
    chunks = data.draw(random_cuts(st.just(file.getvalue().encode("utf-8-sig"))))
    assert decode(CSVDecoder(dialect), chunks) == rows


formats = st.fixed_dictionaries(
    {},
    optional={
        "escapechar": st.just("\\"),
        "doublequote": st.booleans(),
        "skipinitialspace": st.booleans(),
        "strict": st.booleans(),
        "quoting": st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_NONE, csv.QUOTE_NONNUMERIC]),
        "quotechar": st.sampled_from(["'", '"', "b"]),
        "delimiter": st.sampled_from([",", "a"]),
    },
)
hostile = in_alphabet(b"a", b"b", b'"', b'"', b"'", b",", b"\\", b"\n", b"\r", b" ", b"1")


@settings(max_examples=300)
@given(random_cuts(hostile), formats)
def test_equals_csv_reader_on_anything(chunks: list[bytes], fmtparams: dict[str, Any]) -> None:
    assert read_cut(chunks, **fmtparams) == read_whole(b"".join(chunks).decode(), **fmtparams)


@settings(max_examples=100)
@given(hostile, formats)
def test_equals_csv_reader_byte_by_byte(body: bytes, fmtparams: dict[str, Any]) -> None:
    assert read_cut(byte_by_byte(body), **fmtparams) == read_whole(body.decode(), **fmtparams)


@pytest.fixture
def short_fields() -> Any:
    before = csv.field_size_limit(4)
    yield
    csv.field_size_limit(before)


@pytest.mark.usefixtures("short_fields")
class TestFieldSizeLimit:
    @settings(max_examples=150)
    @given(random_cuts(hostile), formats)
    def test_equals_csv_reader(self, chunks: list[bytes], fmtparams: dict[str, Any]) -> None:
        whole = read_whole(b"".join(chunks).decode(), **fmtparams)
        assert read_cut(chunks, **fmtparams) == whole
        assert read_cut(byte_by_byte(b"".join(chunks)), **fmtparams) == whole

    def test_a_field_that_is_as_long_as_it_may_be(self) -> None:
        check(lambda: CSVDecoder(escapechar="\\"), b"aaa\\\n,b\n", [["aaa\n", "b"]])
        check(lambda: CSVDecoder(escapechar="\\"), b"aaa\\\nb\nc\n", [Bad(0, 0), ["c"]])
        check(CSVDecoder, b'x,"aaa\n",b\n"aaa\nb"\n', [["x", "aaa\n", "b"], Bad(1, 11)])

    def test_a_full_field_does_not_wait_for_more(self) -> None:
        decoder = CSVDecoder(escapechar="\\")
        assert list(decoder.feed(b"aaa\\\n")) == []
        assert list(decoder.feed(b",b\n")) == [["aaa\n", "b"]]

    def test_a_field_that_grows_too_long_is_refused_before_its_row_ends(self) -> None:
        decoder = CSVDecoder()
        assert list(decoder.feed(b'x\n"12\n')) == [["x"]]
        values = decoder.feed(b"34\n5\n")
        with pytest.raises(DecodeError, match=r"field larger than field limit \(4\)") as caught:
            next(values)
        assert (caught.value.record, caught.value.chunk, caught.value.offset) == (1, 0, 2)
        assert list(values) == [["5"]]


def test_a_row_does_not_wait_for_the_rest_of_its_line_end() -> None:
    decoder = CSVDecoder()
    assert list(decoder.feed(b"a\r")) == [["a"]]
    assert list(decoder.feed(b"\n")) == []
    assert list(decoder.feed(b'"b\r')) == []
    assert list(decoder.feed(b"\n")) == []
    assert list(decoder.feed(b'"\n')) == [["b\r\n"]]


@pytest.mark.parametrize(
    ("begun", "ended", "row"),
    [
        (b'"a\n', b'b"\n', ["a\nb"]),
        (b"a\\\n", b"b\n", ["a\nb"]),
        (b"a\\\n", b'"b\n', ['a\n"b']),
        (b'x,"a\\\n', b'"\n', ["x", "a\n"]),
        (b'"\n\n', b'""\n,"\n', ['\n\n"\n,']),
    ],
)
def test_a_row_is_given_with_the_line_that_ends_it(
    begun: bytes, ended: bytes, row: list[str]
) -> None:
    decoder = CSVDecoder(escapechar="\\")
    assert list(decoder.feed(begun)) == []
    assert list(decoder.feed(ended)) == [row]


def test_each_byte_of_a_long_row_is_parsed_a_few_times_only(monkeypatch: Any) -> None:
    parsed = 0
    make_reader = row_reader._reader

    def counting_reader(lines: Any, *args: Any, **fmtparams: Any) -> Any:
        def counted() -> Any:
            nonlocal parsed
            for line in lines:
                parsed += len(line)
                yield line

        return make_reader(counted(), *args, **fmtparams)

    monkeypatch.setattr(row_reader, "_reader", counting_reader)
    body = b'"' + b'some, ""text""\n' * 2000 + b'"\n'
    chunks = [body[i : i + 7] for i in range(0, len(body), 7)]
    rows = list(Decoding(chunks, CSVDecoder()))
    assert [len(row) for row in rows] == [1]
    assert parsed < 5 * len(body)


@pytest.mark.parametrize(
    ("args", "options", "error", "text"),
    [
        (["nope"], {}, ValueError, r"unknown dialect \(dialect 'nope'; known are: 'excel'"),
        ([], {"delimiter": "ab"}, TypeError, "delimiter"),
        ([], {"delimitr": ","}, TypeError, "delimitr"),
        ([], {"quoting": 99}, TypeError, "quoting"),
        ([], {"encoding": "nope"}, ValueError, "there is no charset 'nope'"),
        ([], {"encoding": None}, TypeError, "encoding must be"),
    ],
)
def test_bad_arguments_are_errors_at_once(
    args: list[Any], options: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        CSVDecoder(*args, **options)
