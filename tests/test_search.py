"""The search for fragments, against ``bytes.find`` on the whole body."""

from __future__ import annotations

import pytest

from pytest_flask_stream.search import Needle, OrderedSearch

hypothesis = pytest.importorskip("hypothesis")
st = pytest.importorskip("hypothesis.strategies")

few_letters = st.binary(max_size=6).map(lambda data: bytes(97 + byte % 2 for byte in data))
chunked = st.lists(few_letters, max_size=8)
wanted = st.lists(few_letters.filter(bool), min_size=1, max_size=4)


def found_in_whole(body: bytes, fragments: list[bytes]) -> list[int]:
    """Where each fragment is after the one before, by the book."""
    found: list[int] = []
    end = 0
    for fragment in fragments:
        index = body.find(fragment, end)
        if index < 0:
            break
        found.append(index)
        end = index + len(fragment)
    return found


@hypothesis.given(chunks=chunked, fragments=wanted)
@hypothesis.settings(deadline=None)
def test_finds_what_bytes_find_finds_on_the_whole(chunks, fragments):
    search = OrderedSearch(fragments)
    told = [search.feed(chunk) for chunk in chunks]
    expected = found_in_whole(b"".join(chunks), fragments)
    assert search.found == expected
    assert any(told) == (len(expected) == len(fragments))


@hypothesis.given(chunks=chunked, fragments=wanted)
@hypothesis.settings(deadline=None)
def test_tells_of_the_end_with_the_first_chunk_that_completes_it(chunks, fragments):
    search = OrderedSearch(fragments)
    body = b""
    for chunk in chunks:
        body += chunk
        assert search.feed(chunk) == (len(found_in_whole(body, fragments)) == len(fragments))


@hypothesis.given(chunks=chunked, fragment=few_letters.filter(bool))
@hypothesis.settings(deadline=None)
def test_a_needle_is_found_where_the_body_so_far_contains_it(chunks, fragment):
    needle = Needle(fragment)
    body = b""
    for chunk in chunks:
        body += chunk
        found = needle(chunk)
        assert found == (fragment in body)
        if found:
            return


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_holds_no_more_than_may_begin_a_fragment(size):
    search = OrderedSearch([b"abc", b"never"])
    body = b"xxabcab" + b"y" * 1000
    for start in range(0, len(body), size):
        search.feed(body[start : start + size])
        assert len(search._held) < len(b"never")
    assert search.found == [2]


def test_holds_nothing_once_all_is_found():
    search = OrderedSearch([b"a"])
    assert [search.feed(chunk) for chunk in (b"xax", b"more", b"and more")] == [True] * 3
    assert search.found == [1]
    assert search._held == b""


def test_fragments_do_not_overlap():
    search = OrderedSearch([b"aba", b"ba"])
    assert not search.feed(b"aba")
    assert search.feed(b"ba")
    assert search.found == [0, 3]
