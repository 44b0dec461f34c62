"""What is counted of records that are split or share a chunk, word by word."""

import re

import pytest

SAYS = {
    "one split over two chunks": (
        "line", ["a\n", "b", "\n"],
        r"record 1 is split over chunks 1 and 2, b'b' and b'\n'; 2 records in 3 chunks",
    ),
    "one split over three": (
        "line", ["a\n", "b", "c", "\n"],
        r"record 1 is split over chunks 1 to 3, b'b' to b'\n'; 2 records in 4 chunks",
    ),
    "two in a chunk": (
        "line", ["a\n", "b\n", "c\n", "d\ne\n"],
        r"chunk 3 holds 2 records, 3 and 4: b'd\ne\n'; 5 records in 4 chunks",
    ),
    "three in a chunk": (
        "line", ["a\n", "b\n", "c\nd\ne\n"],
        r"chunk 2 holds 3 records, 2 to 4: b'c\nd\ne\n'; 5 records in 3 chunks",
    ),
    "a crowd comes before a split": (
        "line", ["a\n", "b\nc", "\n", "d\n"],
        r"chunk 1 holds 2 records, 1 and 2, whole or in part: b'b\nc'; in all, 1 of 4 records is"
        r" split, and 1 of 4 chunks holds more than one",
    ),
    "a split comes before a crowd": (
        "line", ["a", "\n", "b\nc\n"],
        r"record 0 is split over chunks 0 and 1, b'a' and b'\n'; in all, 1 of 3 records is split,"
        r" and 1 of 3 chunks holds more than one",
    ),
    "a split ends in the crowd": (
        "line", ["a", "b\nc\n"],
        r"record 0 is split over chunks 0 and 1, b'a' and b'b\nc\n'; in all, 1 of 2 records is"
        r" split, and 1 of 2 chunks holds more than one",
    ),
    "two are split": (
        "line", ["a", "\n", "b", "\n"],
        r"record 0 is split over chunks 0 and 1, b'a' and b'\n'; in all, 2 of 2 records are split,"
        r" and 0 of 4 chunks hold more than one",
    ),
    "two crowds": (
        "line", ["a\nb\n", "c\nd\n"],
        r"chunk 0 holds 2 records, 0 and 1: b'a\nb\n'; in all, 0 of 4 records are split, and 2 of"
        r" 2 chunks hold more than one",
    ),
    "two of each": (
        "line", ["a\nb\n", "c\n", "d", "\n", "e\nf\n", "g", "\n"],
        r"chunk 0 holds 2 records, 0 and 1, whole or in part: b'a\nb\n'; in all, 2 of 7 records"
        r" are split, and 2 of 7 chunks hold more than one",
    ),
    "the last one not ended": (
        "sse", ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n", "data: 4\n"],
        r"record 3, in chunk 3, is not ended: b'data: 4\n'; 4 records in 4 chunks",
    ),
    "the last one split and not ended": (
        "sse", ["data: 1\n\n", "data: 2\n\n", "data: 3\n", "data: 4\n"],
        r"record 2 is split over chunks 2 and 3 and not ended, b'data: 3\n' and b'data: 4\n';"
        r" 3 records in 4 chunks",
    ),
}  # fmt: skip
CAUSES = {
    "one split over two chunks": "yields a record in several items",
    "two in a chunk": "yields several records at once",
    "two of each": "yields items that are cut elsewhere than between two records",
    "the last one not ended": "does not end it: an SSE block is ended by an empty line, and clients"
    " drop one that is not",
}


@pytest.mark.parametrize("name", SAYS)
def test_what_was_seen(get, name):
    kind, items, seen = SAYS[name]
    with pytest.raises(AssertionError) as caught:
        get(lambda: iter(items)).assert_one_record_per_chunk(kind)
    assert re.search(r"^  seen: +(.*)$", str(caught.value), re.MULTILINE)[1] == seen


@pytest.mark.parametrize("name", CAUSES)
def test_why(get, name):
    kind, items, _ = SAYS[name]

    def view():
        return iter(items)

    with pytest.raises(AssertionError) as caught:
        get(view).assert_one_record_per_chunk(kind)
    cause = re.search(r"^  cause: +view view \(.*\) (.*)$", str(caught.value), re.MULTILINE)[1]
    assert cause == CAUSES[name]
