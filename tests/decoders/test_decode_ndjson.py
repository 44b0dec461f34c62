from __future__ import annotations

import json
from typing import Any

import pytest
from decoder_tools import Bad, check, decode, in_alphabet, random_cuts
from hypothesis import given
from hypothesis import strategies as st

from pytest_flask_stream.decoders import NDJSONDecoder
from pytest_flask_stream.errors import DecodeError

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize(
    ("body", "values"),
    [
        (b"", []),
        (b"1\n2\n", [1, 2]),
        (b"1\n2", [1, 2]),
        (b"1\r\n2\r\n", [1, 2]),
        (b"\n\n1\n\r\n \t\r\n2\n\n", [1, 2]),
        ('{"a": "é\u2028€"}\n"😀"'.encode(), [{"a": "é\u2028€"}, "😀"]),
        (b"null\nfalse\n0\n", [None, False, 0]),
        (b' [1,\r 2] \n"a"', [[1, 2], "a"]),
        (b"1\nnope\n2\n", [1, Bad(1, 2), 2]),
        (b"\n\nx\n\ny\n3\n", [Bad(0, 2), Bad(1, 5), 3]),
        (b'1\n"\xff"\n2', [1, Bad(1, 2), 2]),
        (b"1\n{", [1, Bad(1, 2)]),
        (b"1 2\n3\n", [Bad(0, 0), 3]),
        ("\u00a0\n1\n".encode(), [Bad(0, 0), 1]),
        (b"\xef\xbb\xbf1\n2\n", [Bad(0, 0), 2]),
        ('"é"\n€\n'.encode(), ["é", Bad(1, 5)]),
    ],
)
def test_values(body: bytes, values: list[Any]) -> None:
    check(NDJSONDecoder, body, values)


@given(st.lists(json_values, max_size=5), st.sampled_from(["\n", "\r\n", "\n\n"]), st.data())
def test_equals_json_loads(values: list[Any], end: str, data: st.DataObject) -> None:
    body = "".join(json.dumps(value, ensure_ascii=False) + end for value in values).encode()
    chunks = data.draw(random_cuts(st.just(body)))
    assert decode(NDJSONDecoder(), chunks) == values


@given(random_cuts(in_alphabet(b"1", b"\n", b"\r", b" ", b"[", b"]", b'"', b"\xc3", b"\xa9")))
def test_each_line_is_judged_as_json_loads_does(chunks: list[bytes]) -> None:
    expected: list[Any] = []
    offset = 0
    for line in b"".join(chunks).split(b"\n"):
        if line.strip(b" \t\r"):
            try:
                expected.append(json.loads(line.decode()))
            except ValueError:
                expected.append(Bad(len(expected), offset))
        offset += len(line) + 1
    assert decode(NDJSONDecoder(), chunks) == expected


def test_values_before_a_bad_line_come_first_and_those_behind_it_after() -> None:
    values = NDJSONDecoder().feed(b"1\nbad\n2\n3\n")
    assert next(values) == 1
    with pytest.raises(DecodeError, match="not JSON: Expecting value") as caught:
        next(values)
    cause = caught.value.__cause__
    assert isinstance(cause, json.JSONDecodeError)
    assert cause.__traceback__ is None
    assert list(values) == [2, 3]


def test_a_bad_line_that_began_in_an_earlier_chunk() -> None:
    decoder = NDJSONDecoder()
    list(decoder.feed(b"1\n"))
    list(decoder.feed(b""))
    list(decoder.feed(b"nu"))
    list(decoder.feed(b"l"))
    with pytest.raises(DecodeError) as caught:
        list(decoder.feed(b"\n"))
    assert (caught.value.record, caught.value.chunk, caught.value.offset) == (1, 2, 2)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"[" * 200_000, "nested too deeply"),
        (b"9" * 5000, "not JSON: Exceeds the limit"),
        (b'"\xff"', "not UTF-8: invalid start byte"),
    ],
)
def test_hostile_lines_are_bad_lines(line: bytes, reason: str) -> None:
    values = NDJSONDecoder().feed(line + b"\n1\n")
    with pytest.raises(DecodeError, match=reason):
        next(values)
    assert list(values) == [1]


def test_what_waits_is_not_joined_before_its_line_ends() -> None:
    decoder = NDJSONDecoder()
    for _ in range(1000):
        assert list(decoder.feed(b"1")) == []
    assert decoder._parts == [b"1"] * 1000
    assert list(decoder.feed(b"\n")) == [int("1" * 1000)]
    assert decoder._parts == []
