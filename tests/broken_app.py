"""Loads, runs and describes the mistakes in ``broken_apps``.

``python tests/broken_app.py`` writes what is printed of each mistake to ``broken_apps/printed/``,
and the page ``docs/broken-apps.md``. ``test_broken_apps.py`` checks that both are as they would be
written now.

A text is the same in every run but for a few things, which :func:`printed` makes equal: times, and
the folder in which a module lies.
"""

from __future__ import annotations

import contextlib
import contextvars
import difflib
import importlib.util
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from pytest_flask_stream import StreamClient

HERE = Path(__file__).parent
FOLDER = HERE / "broken_apps"
PRINTED = FOLDER / "printed"
PAGE = HERE.parent / "docs" / "broken-apps.md"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))


# Running a mistake


@contextlib.contextmanager
def loaded(name: str) -> Iterator[ModuleType]:
    """Import a mistake; skips where what it is made of is not installed."""
    path = FOLDER / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"broken_app_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # Flask looks an app's module up
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        del sys.modules[spec.name]


def setting(mistake: ModuleType, name: str, default: Any) -> Any:
    return getattr(mistake, name, default)


@contextlib.contextmanager
def around(mistake: ModuleType, app: Flask) -> Iterator[FlaskClient]:
    """Push what the test of this mistake has pushed, and give Flask's client."""
    client = app.test_client()
    ambient = setting(mistake, "AMBIENT", None)
    with {
        None: contextlib.nullcontext,
        "app": app.app_context,
        "request": app.test_request_context,
        "client": lambda: client,
    }[ambient]():
        yield client


@contextlib.contextmanager
def app_of(mistake: ModuleType, make: Callable[[], Flask]) -> Iterator[Flask]:
    app = make()
    yield app
    setting(mistake, "tidy", lambda app: None)(app)


def error_of(judge: Callable[[], None]) -> BaseException | None:
    """Run a judge in a Context of its own, and give what it raised."""
    try:
        contextvars.copy_context().run(judge)
    except (Exception, pytest.fail.Exception) as error:
        return error
    return None


def our_error(
    mistake: ModuleType,
    make: Callable[[], Flask],
    new_client: Callable[..., StreamClient] = StreamClient,
    **settings: Any,
) -> BaseException | None:
    def judge() -> None:
        with around(mistake, app) as flask_client, new_client(flask_client, **settings) as client:
            try:
                mistake.check(client)
            finally:
                let_go(app)  # a server's thread that is stuck there

    let_go = setting(mistake, "let_go", lambda app: None)
    with app_of(mistake, make) as app:
        return error_of(judge)


# What is printed


def printed(error: BaseException) -> str:
    """Give the text of an error as pytest prints it, without what differs from run to run."""
    text = pytest.ExceptionInfo.from_exception(error).exconly(tryshort=True)
    for pattern, same in SAME_IN_EVERY_RUN.items():
        text = re.sub(pattern, same, text)
    return "".join(f"E   {line}\n" for line in text.splitlines())


SAME_IN_EVERY_RUN = {
    r"\b\d+\.\d{3} s\b": "0.000 s",
    r"[^\s(]*\bbroken_apps[/\\]": "",  # the folder, seen from where pytest runs
    r"\b0x[0-9a-f]+\b": "0x…",
    r"(https://sqlalche\.me/e)/\d+/": r"\1/…/",  # the version of SQLAlchemy
}


def printed_of(mistake: ModuleType) -> str:
    """Give what is printed where the test of this mistake fails."""
    error = our_error(mistake, mistake.broken, **setting(mistake, "SETTINGS", {}))
    assert error is not None, "not caught"
    return printed(error)


# The page

HEAD = """\
# Broken apps

<!-- Written by tests/broken_app.py: change the modules in tests/broken_apps, and run it again. -->

Realistic mistakes in apps that stream. Each has a correct twin, a test that uses Flask's own
client, and one that uses `stream_client`. The project's own tests prove each row: our test catches
the mistake with the text shown here, and passes the twin; Flask's client says of the mistake what
stands in the table, and passes the twin too.

*passes* means that the client hides the mistake, or shows something else than a server would.
*cannot look* means that it has no view of the thing: a suite would have to bring its own means.
*fails* means that its test is red too; what it lacks there is the text. *hangs* means that it never
ends. Where the test has a context pushed, as many suites have, the table says which.

The first column leads to the app, the test and the text. In the app, `-` is the mistake and `+` its
remedy. In the texts, every time reads `0.000 s`. They are the same on Flask 2.3 to 3.1.
"""

TOPICS = {
    "A context is missing": (
        "forgot_request",
        "forgot_app",
        "view_is_a_generator",
        "pool_without_context",
        "worker_without_context",
    ),
    "A context is missing, and the test hides it": (
        "masked_by_request_context",
        "masked_by_app_context",
        "masked_by_client_block",
        "masked_by_half_read_stream",
        "masked_by_after_request",
        "forgot_g",
        "forgot_session",
        "forgot_url_for",
        "links_of_the_test",
        "uploaded_too_late",
    ),
    "The body is read early": (
        "read_by_get_data",
        "read_by_content_length",
        "read_by_add_etag",
        "read_by_make_conditional",
        "read_by_minifier",
        "read_by_cache",
        "read_by_cache_after_request",
        "read_by_profiler",
        "merged_by_gzip_layer",
        "layer_reads_ahead",
        "gzip_without_flush",
    ),
    "The view makes it all at once": (
        "view_makes_a_list",
        "view_joins_its_text",
        "view_measures_its_response",
        "fetches_all_rows",
        "template_rendered_at_once",
        "template_in_one_block",
    ),
    "A database is closed too early": (
        "database_closed_before_rows",
        "session_closed_before_rows",
        "rows_lazily_loaded",
    ),
    "Something is left behind": (
        "cursor_left_open",
        "except_exception_misses_exit",
        "closed_after_the_loop",
        "lock_held_on_disconnect",
        "generator_exit_swallowed",
        "file_left_open_before_first_chunk",
        "file_left_open_by_head",
        "layer_loses_close",
        "after_request_loses_close",
        "direct_passthrough_forgets_callbacks",
        "context_left_pushed",
    ),
    "The end does not come, or is wrong": (
        "stuck_generator",
        "never_says_goodbye",
        "error_becomes_a_clean_end",
        "abort_in_generator",
        "wrong_content_length",
    ),
    "The content is wrong": (
        "yields_a_number",
        "yields_a_bytearray",
        "buffer_never_emptied",
        "buffer_never_flushed",
        "records_cut_by_blocks",
        "records_without_line_ends",
        "sse_without_blank_line",
        "two_clients_share_a_buffer",
        "two_clients_share_a_generator",
    ),
}
PUSHED = {
    None: "",
    "app": ", app context pushed",
    "request": ", request context pushed",
    "client": " in `with client:`",
}


def page() -> str:
    """Write the page that tells of every mistake; skips where one cannot be loaded."""
    with contextlib.ExitStack() as stack:
        mistakes = {name: stack.enter_context(loaded(name)) for name in NAMES}
        tables = [
            f"\n## {topic}\n\n{table(mistakes[name] for name in names)}"
            for topic, names in TOPICS.items()
        ]
        texts = [section(mistakes[name]) for names in TOPICS.values() for name in names]
    return "".join([HEAD, *tables, "\n## What is printed\n", *texts])


def table(mistakes: Iterable[ModuleType]) -> str:
    rows = ["| mistake | Flask's client | our text says |", "|---|---|---|"]
    return "".join(f"{row}\n" for row in (*rows, *map(table_row, mistakes)))


def table_row(mistake: ModuleType) -> str:
    stock = mistake.STOCK_SAYS + PUSHED[setting(mistake, "AMBIENT", None)]
    if not setting(mistake, "STOCK_CAN_LOOK", True):
        stock += ", cannot look"
    says = "; ".join(f"`{words}`" for words in mistake.SAYS)
    return f"| [{mistake.__doc__}](#{name_of(mistake)}) | {stock} | {says} |"


def section(mistake: ModuleType) -> str:
    name = name_of(mistake)
    text = (PRINTED / f"{name}.txt").read_text("utf-8")
    return (
        f"\n### {name}\n\n{mistake.__doc__}\n"
        f"\n```diff\n{twins(mistake)}```\n"
        f"\n```python\n{inspect.getsource(mistake.check)}```\n"
        f"\n```text\n{text}```\n"
    )


def twins(mistake: ModuleType) -> str:
    """Show what is to be changed in the app."""
    broken, correct = (
        textwrap.dedent("".join(inspect.getsource(twin).splitlines(keepends=True)[1:]))
        for twin in (mistake.broken, mistake.correct)
    )
    both = (text.splitlines(keepends=True) for text in (broken, correct))
    apart = (line for line in difflib.ndiff(*both) if line[0] != "?")
    return "".join(f"{line.rstrip()}\n" for line in apart)


def name_of(mistake: ModuleType) -> str:
    return Path(mistake.__file__ or "").stem


def write() -> None:
    """Write down what is printed now, and the page."""
    PRINTED.mkdir(exist_ok=True)
    for path in PRINTED.glob("*.txt"):
        path.unlink()
    for name in NAMES:
        with loaded(name) as mistake:
            (PRINTED / f"{name}.txt").write_text(printed_of(mistake), "utf-8")
    PAGE.write_text(page(), "utf-8")


if __name__ == "__main__":
    write()
