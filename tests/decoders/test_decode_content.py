from __future__ import annotations

import gzip
import zlib
from typing import Any

import pytest
from decoder_tools import Chunks, byte_by_byte, cuttings, outcomes, random_cuts
from hypothesis import given
from hypothesis import strategies as st

from pytest_flask_stream.decoders import (
    ContentDecoder,
    Decoding,
    NDJSONDecoder,
    TextDecoder,
    content,
)
from pytest_flask_stream.errors import DecodeError


def raw_deflate(data: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflate.compress(data) + deflate.flush()


def join_compressed(bodies: list[bytes]) -> bytes:
    return b"".join(map(gzip.compress, bodies))


CODINGS: list[tuple[str, Any]] = [
    ("gzip", gzip.compress),
    ("x-gzip", gzip.compress),
    ("GZip", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", raw_deflate),
    ("identity", bytes),
    ("", bytes),
    ("deflate, gzip", lambda data: gzip.compress(zlib.compress(data))),
    ("identity,, gzip", gzip.compress),
]


def decoded(codings: str, chunks: list[bytes]) -> bytes:
    pieces: Decoding[bytes] = Decoding(chunks, ContentDecoder(codings))
    return b"".join(pieces)


@pytest.mark.parametrize(("codings", "encode"), CODINGS)
def test_codings_cut_anywhere(codings: str, encode: Any) -> None:
    for data in (b"", b"hello, " * 5):
        for chunks in cuttings(encode(data)):
            assert decoded(codings, chunks) == data


@given(random_cuts(st.lists(st.binary(), max_size=3).map(join_compressed)))
def test_members_equal_gzip_decompress(chunks: list[bytes]) -> None:
    assert decoded("gzip", chunks) == gzip.decompress(b"".join(chunks))


def test_padding_between_members() -> None:
    body = gzip.compress(b"a") + b"\0" * 9 + gzip.compress(b"b") + b"\0\0"
    for chunks in cuttings(body):
        assert decoded("gzip", chunks) == b"ab"


def test_bare_deflate_that_looks_like_zlib_at_first() -> None:
    body = b"\x08\x01\x00\xfe\xffa" + raw_deflate(b"")  # a stored block, its padding not zero
    for chunks in cuttings(body):
        assert decoded("deflate", chunks) == b"a"


def test_an_empty_body_has_no_coding_to_end() -> None:
    assert decoded("gzip", []) == b""
    assert decoded("deflate", [b"", b""]) == b""


def test_what_was_flushed_comes_at_once() -> None:
    packer = zlib.compressobj(wbits=31)
    decoder = ContentDecoder("gzip")
    for word in (b"one", b"two"):
        chunk = packer.compress(word) + packer.flush(zlib.Z_SYNC_FLUSH)
        assert b"".join(decoder.feed(chunk)) == word


@pytest.mark.parametrize("name", ["br", "zstd", "compress", "gzip;q=1"])
def test_any_other_coding_is_named_at_once(name: str) -> None:
    with pytest.raises(
        DecodeError, match=f"the content coding '{name}' cannot be decoded"
    ) as caught:
        ContentDecoder(f"gzip, {name}")
    assert (caught.value.record, caught.value.chunk, caught.value.offset) == (0, 0, 0)


@pytest.mark.parametrize(
    ("codings", "chunks", "values", "chunk", "reason"),
    [
        ("gzip", [b"", b"hello"], [], 1, "not coded as its header says: .*incorrect header"),
        ("deflate", [b"\xff\xff\xff"], [], 0, "not coded as its header says"),
        ("gzip", [gzip.compress(b"a"), b"\0xyz"], [b"a"], 1, "not coded as its header says"),
        ("deflate", [zlib.compress(b"a"), b"b"], [b"a"], 1, "bytes after its end"),
        ("gzip", [gzip.compress(b"a")[:-1]], [b"a"], 0, "ends before its content coding 'gzip'"),
        ("gzip", [gzip.compress(b"a")[:-8] + b"x" * 8], [b"a"], 0, "incorrect data check"),
        ("deflate", [b"x"], [], 0, "ends before its content coding 'deflate' does"),
        ("deflate, gzip", [gzip.compress(b"x\x9c")], [], 0, "coding 'deflate' does"),
    ],
)  # fmt: skip
def test_what_is_not_coded_so(
    codings: str, chunks: list[bytes], values: list[bytes], chunk: int, reason: str
) -> None:
    found = outcomes(Decoding(chunks, ContentDecoder(codings)))
    error = found.pop()
    assert error.chunk == error.record == chunk
    assert error.offset == sum(map(len, chunks[:chunk])) or "ends before" in error.reason
    with pytest.raises(DecodeError, match=reason):
        raise error
    assert b"".join(found) == b"".join(values)


@given(st.sampled_from(["gzip", "deflate", "gzip, deflate"]), random_cuts(st.binary()))
def test_random_bytes(codings: str, chunks: list[bytes]) -> None:
    found = outcomes(Decoding(chunks, ContentDecoder(codings)))
    assert all(isinstance(one, bytes | DecodeError) for one in found)


@pytest.mark.parametrize("place", [10, 12, 20, 40, -9, -5, -1])
def test_what_comes_before_an_error_does_not_depend_on_cuts(place: int) -> None:
    body = bytearray(gzip.compress(bytes(range(60)) * 2))
    body[place] ^= 0x55
    results = set()
    for chunks in cuttings(bytes(body)):
        *found, error = outcomes(Decoding(chunks, ContentDecoder("gzip")))
        assert isinstance(error, DecodeError)
        results.add((b"".join(found), error.reason))
    assert len(results) == 1


class TestHostileSizes:
    def test_a_long_body_comes_in_pieces_as_they_are_asked_for(self) -> None:
        bomb = gzip.compress(bytes(300_000_000), 9)
        pieces = ContentDecoder("gzip").feed(bomb)
        for _ in range(3):
            assert 0 < len(next(pieces)) <= 65536

    def test_all_pieces_come(self) -> None:
        data = bytes(1_000_000) + bytes(range(256)) * 1000
        for codings, encode in CODINGS:
            if codings not in ("", "identity"):
                pieces = list(Decoding([encode(data)], ContentDecoder(codings)))
                assert b"".join(pieces) == data
                assert max(map(len, pieces)) <= 65536

    def test_the_input_that_zlib_copies_is_bounded(self, monkeypatch: Any) -> None:
        given_sizes: list[int] = []
        from_member = content._Stage._from_member

        def watched(member: Any, data: bytes) -> Any:
            given_sizes.append(len(data))
            return from_member(member, data)

        monkeypatch.setattr(content._Stage, "_from_member", staticmethod(watched))
        body = gzip.compress(b"") * 5000
        assert decoded("gzip", [body]) == b""
        assert max(given_sizes) <= 4096


class TestUnderAnotherDecoder:
    def test_records_name_the_chunks_as_they_came(self) -> None:
        packer = zlib.compressobj(wbits=31)
        chunks = [
            packer.compress(line) + packer.flush(zlib.Z_SYNC_FLUSH)
            for line in (b"1\n", b"", b"2\nno", b"pe\n3\n")
        ]
        chunks.append(packer.flush())
        decoding = Decoding(chunks, NDJSONDecoder(), content=ContentDecoder("gzip"))
        one, two, error, three = outcomes(decoding)
        assert (one, two, three) == (1, 2, 3)
        assert (error.record, error.chunk, error.offset) == (2, 2, 4)

    def test_a_piece_is_made_only_when_the_values_before_are_taken(self) -> None:
        chunks = Chunks([gzip.compress(b"x" * 1_000_000)])
        texts = Decoding(chunks, TextDecoder(), content=ContentDecoder("gzip"))
        assert len(next(texts)) <= 65536
        assert chunks.pulled == 1
        assert len("".join(texts)) >= 900_000

    def test_nothing_is_pulled_after_a_coding_error(self) -> None:
        chunks = Chunks([b"nonsense"] * 5)
        texts = Decoding(chunks, TextDecoder(), content=ContentDecoder("gzip"))
        with pytest.raises(DecodeError):
            next(texts)
        assert list(texts) == []
        assert chunks.pulled == 1

    def test_what_the_end_of_the_body_completes(self) -> None:
        body = gzip.compress(b"1\n2")
        decoding = Decoding(byte_by_byte(body), NDJSONDecoder(), content=ContentDecoder("gzip"))
        assert list(decoding) == [1, 2]

    def test_a_body_that_is_cut_off_is_an_error_behind_its_values(self) -> None:
        body = gzip.compress(b"1\n2")[:-4]
        found = outcomes(Decoding([body], NDJSONDecoder(), content=ContentDecoder("gzip")))
        assert found[0] == 1
        assert isinstance(found[1], DecodeError)
        assert found[2:] == []
