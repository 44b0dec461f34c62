"""Realistic mistakes in apps that stream: each is caught, and its correct twin is not.

A mistake is a module in ``broken_apps``, whose README says what it is made of. Whatever runs there
runs in a Context of its own: what Flask's client leaves behind is none of the next test's business.
"""

import contextlib
import difflib
import importlib.metadata
import inspect
import re
import shutil
import sys
import threading
from pathlib import Path

import pytest
from broken_app import (
    FOLDER,
    NAMES,
    PAGE,
    PRINTED,
    TOPICS,
    app_of,
    around,
    error_of,
    loaded,
    name_of,
    our_error,
    page,
    printed_of,
    setting,
)
from every_claim import make_every_claim

WRITE_AGAIN = "where this is meant: python tests/broken_app.py"
MOST_LINES_APART = 10
ENOUGH = 2000  # chunks, of a stream without an end
HANG = 0.2  # seconds in which nothing comes of what never comes
PATIENCE = 10  # seconds that a correct app may take on a busy machine


@pytest.fixture(params=NAMES)
def mistake(request):
    with loaded(request.param) as module:
        yield module


@pytest.fixture
def client_for(mistake, new_client, over_the_wire):
    """``client_for(app)`` makes the client that the test of this mistake is given."""
    if over_the_wire and hasattr(mistake, "IN_PROCESS"):
        pytest.skip(mistake.IN_PROCESS)
    return new_client


def stock_verdict(mistake, make, *, expected):
    def judge():
        with around(mistake, app) as client:
            mistake.stock(client)

    with app_of(mistake, make) as app:
        if hasattr(mistake, "let_go"):
            seconds = HANG if expected == "hangs" else PATIENCE
            return verdict_in_time(judge, seconds, lambda: mistake.let_go(app))
        return "passes" if error_of(judge) is None else "fails"


def verdict_in_time(judge, seconds, let_go):
    """Judge in a thread, and let it go when nothing came of it for a while."""
    errors = []
    thread = threading.Thread(target=lambda: errors.append(error_of(judge)))
    thread.start()
    thread.join(seconds)
    verdict = "hangs" if thread.is_alive() else "passes" if errors == [None] else "fails"
    let_go()
    thread.join()
    return verdict


def cause_of(text):
    """Give the part of a failure text that says why; of other errors the whole text."""
    found = re.search(r"^  cause: +(.*)$", text, re.MULTILINE)
    return found[1] if found else text


def lines_that_read(mistake, source):
    lines = inspect.getsource(mistake).splitlines()
    return [number for number, line in enumerate(lines, 1) if line.strip() == source]


def test_the_mistake_is_caught(mistake, client_for):
    error = our_error(mistake, mistake.broken, client_for, **setting(mistake, "SETTINGS", {}))
    assert error is not None, "not caught"
    text = str(error)
    assert type(error).__name__ == setting(mistake, "RAISES", "AssertionError"), text
    verdict, cause = mistake.SAYS
    assert verdict in text.splitlines()[0]
    assert cause in cause_of(text), text
    assert_names_the_line(mistake, text)


def assert_names_the_line(mistake, text):
    source = setting(mistake, "LINE", None)
    if source is None:
        return  # no one line makes the mistake, or the test looks for itself
    name = Path(mistake.__file__).name
    places = [f"{name}:{number}  {source}" for number in lines_that_read(mistake, source)]
    assert places, f"{name} has no line {source!r}"
    assert any(place in text for place in places), text


def test_the_correct_twin_passes(mistake, client_for):
    # A correct app on a busy machine may well be slower than a stuck one is waited for.
    settings = {**setting(mistake, "SETTINGS", {}), "timeout": PATIENCE}
    for _ in range(2):
        error = our_error(mistake, mistake.correct, client_for, **settings)
        assert error is None, error


def test_every_claim_that_applies_holds_of_the_correct_twin(mistake, client_for):
    settings = {**setting(mistake, "SETTINGS", {}), "timeout": PATIENCE}

    def judge(app):
        with around(mistake, app) as flask_client:
            with client_for(flask_client, **settings) as client:
                mistake.check(client)
                requests = [stream.record for stream in client.streams]
                make_every_claim(client)
            with client_for(flask_client, **settings) as client:
                for request in requests:
                    stream = client.open(
                        request.path, query_string=request.query_string, method="GET"
                    )
                    with contextlib.suppress(OSError):  # a correct app may well raise one
                        stream.take(ENOUGH)
                make_every_claim(client)

    with app_of(mistake, mistake.correct) as app:
        error = error_of(lambda: judge(app))
    assert error is None, error


def test_flasks_own_client_says_what_is_stated(mistake):
    of_broken = mistake.STOCK_SAYS
    assert stock_verdict(mistake, mistake.broken, expected=of_broken) == of_broken
    assert stock_verdict(mistake, mistake.correct, expected="passes") == "passes"


def test_the_mistake_is_told_in_one_line_and_is_all_that_the_twins_differ_in(mistake):
    assert mistake.__doc__.count("\n") == 0
    assert mistake.__doc__.endswith(".")
    twins = [inspect.getsource(twin).splitlines()[1:] for twin in (mistake.broken, mistake.correct)]
    apart = [line for line in difflib.ndiff(*twins) if line[0] in "+-"]
    assert 0 < len(apart) <= MOST_LINES_APART


def test_what_is_printed_is_stored_beside_the_mistake(mistake):
    stored = (PRINTED / f"{name_of(mistake)}.txt").read_text("utf-8")
    if sys.version_info < (3, 11):  # where code does not know the class it belongs to
        stored = re.sub(r"\b[A-Z]\w+\.(__\w+__ read the body)", r"\1", stored)
    assert printed_of(mistake) == stored, WRITE_AGAIN


def test_the_page_of_the_docs_is_as_it_would_be_written_now():
    assert PAGE.read_text("utf-8") == page(), WRITE_AGAIN


def test_each_mistake_is_on_the_page_once_and_nothing_else():
    on_page = [name for names in TOPICS.values() for name in names]
    assert sorted(on_page) == NAMES
    assert len(NAMES) >= 60
    assert sorted(path.stem for path in PRINTED.iterdir()) == NAMES


def test_what_pytest_prints_is_what_is_stored(pytester):
    shutil.copy(FOLDER / "read_by_add_etag.py", pytester.path)
    pytester.makepyfile(
        """
        import read_by_add_etag
        from pytest_flask_stream import StreamClient

        def test_it():
            with StreamClient(read_by_add_etag.broken()) as client:
                read_by_add_etag.check(client)
        """
    )
    result = pytester.runpytest("-p", "no:asyncio", "-p", "no:randomly", "--tb=short")
    stored = (PRINTED / "read_by_add_etag.txt").read_text("utf-8").splitlines()
    lines = [re.sub(r"\d+\.\d{3} s", "0.000 s", line) for line in result.outlines]
    assert [line for line in lines if line.startswith("E ")] == stored


def test_pytest_flask_hides_the_mistake_and_we_show_it(pytester):
    pytest.importorskip("pytest_flask", reason="pytest-flask is not installed")
    shutil.copy(FOLDER / "masked_by_request_context.py", pytester.path / "masked.py")
    pytester.makeconftest(
        """
        import masked, pytest

        @pytest.fixture(params=["broken", "correct"])
        def app(request):
            return getattr(masked, request.param)()
        """
    )
    pytester.makepyfile(
        """
        import masked

        def test_stock(client):
            masked.stock(client)

        def test_ours(client, stream_client):
            masked.check(stream_client)
        """
    )
    named = {point.name for point in importlib.metadata.entry_points(group="pytest11")}
    plugin = [] if "flask_stream" in named else ["-p", "pytest_flask_stream.plugin"]
    result = pytester.runpytest("-p", "no:asyncio", "-p", "no:randomly", *plugin)
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*assert_chunks(*ended in RuntimeError",
            "*greet touched request when the request context was gone: masked.py:*",
            "FAILED *::test_ours[[]broken[]]*",
        ]
    )
