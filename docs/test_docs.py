"""Runs the examples of these pages, so that no page can show what is not so.

The first line of an example names its file, in a comment of its language. Behind the name of a
test file stands what pytest says of it::

    # app.py
    # test_export.py: 2 passed, 1 failed
    ; pytest.ini
    {# templates/users.html -#}

All files of a page are written into one folder, where pytest is run once. Then each test file must
have the outcome that its first line names, and each ``text`` block must stand in what pytest has
printed of the failures of the test file above it, line by line; only times may differ. A test file
that begins with ``pytest.importorskip`` is left out where that package is not installed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from importlib.metadata import entry_points
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

import pytest

import pytest_flask_stream

DOCS = Path(__file__).parent
REFERENCE = DOCS / "reference"
PAGES = sorted({*DOCS.rglob("*.md")} - {DOCS / "broken-apps.md"})  # tests/broken_app.py writes it

FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FIRST_LINES = {
    "python": re.compile(r"# (?P<name>\w+\.py)(: (?P<outcome>\d.*))?"),
    "ini": re.compile(r"; (?P<name>pytest\.ini)(?P<outcome>)"),
    "jinja": re.compile(r"\{# (?P<name>templates/\w+\.html) -#\}(?P<outcome>)"),
}
NOT_RUN = ("console", "yaml")
FAILURE_HEAD = re.compile(r"^_{3,} .+ _{3,}$", re.MULTILINE)
TEST_LINE = re.compile(r"^(test_\w+\.py):\d+: ", re.MULTILINE)
NEEDED = re.compile(r"^\w+ = pytest\.importorskip\(\"(\w+)\"\)$", re.MULTILINE)
TIME = re.compile(r"\d+\.\d{3} s")


class Shown(NamedTuple):
    """A ``text`` block, and the test file above it."""

    text: str
    test_file: str


class Page(NamedTuple):
    """What a page has of examples."""

    files: dict[str, str]
    outcomes: dict[str, str]
    shown: list[Shown]


def read_page(path: Path) -> Page:
    """Read the examples of a page; each of them must be one that can be checked."""
    page = Page({}, {}, [])
    for language, text in FENCE.findall(path.read_text("utf-8")):
        if language in FIRST_LINES:
            add_file(page, language, text)
        elif language == "text":
            assert page.outcomes, f"there is no test file above this output:\n{text}"
            page.shown.append(Shown(text, list(page.outcomes)[-1]))
        else:
            assert language in NOT_RUN, f"examples in {language} are not checked"
    return page


def add_file(page: Page, language: str, text: str) -> None:
    first_line = text.partition("\n")[0]
    found = FIRST_LINES[language].fullmatch(first_line)
    assert found, f"an example names its file first, not {first_line!r}"
    name, outcome = found["name"], found["outcome"]
    assert name not in page.files, f"there are two files named {name}"
    page.files[name] = text
    if name.startswith("test_"):
        assert outcome, f"{name} does not say how it ends"
        page.outcomes[name] = outcome


def runnable(page: Page) -> Page:
    """Leave out the test files that need what is not installed."""
    left_out = {
        name
        for name, text in page.files.items()
        if any(find_spec(package) is None for package in NEEDED.findall(text))
    }
    return Page(
        {name: text for name, text in page.files.items() if name not in left_out},
        {name: outcome for name, outcome in page.outcomes.items() if name not in left_out},
        [shown for shown in page.shown if shown.test_file not in left_out],
    )


PAGES_WITH_EXAMPLES = [path for path in PAGES if read_page(path).files]


@pytest.mark.parametrize(
    "path", PAGES_WITH_EXAMPLES, ids=lambda path: path.relative_to(DOCS).as_posix()
)
def test_the_examples_of_a_page_do_what_it_says(path: Path, tmp_path: Path) -> None:
    page = runnable(read_page(path))
    for name, text in {"pytest.ini": "[pytest]\n", **page.files}.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, "utf-8")

    printed = run_pytest(tmp_path)

    assert outcomes(tmp_path / "report.xml") == page.outcomes, printed
    failures = failures_by_file(printed)
    for shown in page.shown:
        told = failures.get(shown.test_file, "")
        assert normal(shown.text) in normal(told), (
            f"{path.name} shows of {shown.test_file}:\n\n{shown.text}\npytest printed:\n\n{told}"
        )


# Running pytest


def run_pytest(folder: Path) -> str:
    """Run pytest in a folder, with this plugin and no other; give what it prints."""
    arguments = ["-p", plugin(), "-p", "no:cacheprovider", "-W", "error", "--strict-markers"]
    arguments += ["--strict-config", "--color=no", "--junitxml=report.xml"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert run.returncode in (0, 1), run.stdout  # 1: some tests have failed
    return run.stdout


def plugin() -> str:
    """Give the name by which pytest finds the plugin: its entry point, or else its module."""
    installed = entry_points(group="pytest11", name="flask_stream")
    return "flask_stream" if installed else "pytest_flask_stream.plugin"


def environment() -> dict[str, str]:
    left_out = ("PYTEST_", "COV_", "CI", "BUILD_NUMBER")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(left_out)}
    root = Path(pytest_flask_stream.__file__).parents[1]
    path = [str(root), *filter(None, [kept.get("PYTHONPATH")])]
    return {
        **kept,
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONPATH": os.pathsep.join(path),
        "PYTHONUTF8": "1",
        "COLUMNS": "80",
    }


# What came of it


def outcomes(report: Path) -> dict[str, str]:
    """Give the outcome of each test file, in pytest's words: ``2 passed, 1 failed``."""
    counts: dict[str, Counter[str]] = {}
    for case in ET.parse(report).getroot().iter("testcase"):
        kinds = {child.tag for child in case}
        outcome = "error" if "error" in kinds else "failed" if "failure" in kinds else "passed"
        file = case.attrib["classname"].partition(".")[0] + ".py"
        counts.setdefault(file, Counter())[outcome] += 1
    return {file: in_words(count) for file, count in counts.items()}


def in_words(count: Counter[str]) -> str:
    order = ("passed", "failed", "error")
    return ", ".join(f"{count[outcome]} {outcome}" for outcome in order if count[outcome])


def failures_by_file(printed: str) -> dict[str, str]:
    """Cut what pytest has printed into what is said of the failures of each test file."""
    texts: dict[str, str] = {}
    for text in FAILURE_HEAD.split(printed)[1:]:
        for file in TEST_LINE.findall(text)[-1:]:  # an error behind a test names none
            texts[file] = texts.get(file, "") + text
    return texts


def normal(text: str) -> str:
    return "\n".join(TIME.sub("0.000 s", line).rstrip() for line in text.splitlines())


# The checks themselves


def test_an_outcome_that_is_not_so_is_told(tmp_path: Path) -> None:
    wrong = tmp_path / "page.md"
    wrong.write_text("```python\n# test_it.py: 1 passed\ndef test_it():\n    assert 0\n```\n")
    with pytest.raises(AssertionError):
        test_the_examples_of_a_page_do_what_it_says(wrong, tmp_path)


def test_an_output_that_is_not_so_is_told(tmp_path: Path) -> None:
    wrong = tmp_path / "page.md"
    test_file = "```python\n# test_it.py: 1 failed\ndef test_it():\n    assert 0\n```\n"
    wrong.write_text(test_file + "```text\nE       assert 1\n```\n")
    with pytest.raises(AssertionError, match=r"page\.md shows"):
        test_the_examples_of_a_page_do_what_it_says(wrong, tmp_path)


def test_a_test_file_that_needs_what_is_not_there_is_left_out() -> None:
    needy = 'absent = pytest.importorskip("no_such_package")\n'
    page = Page({"test_a.py": "", "test_b.py": needy}, {"test_b.py": "1 passed"}, [])
    assert runnable(page) == Page({"test_a.py": ""}, {}, [])


# The reference is complete


def documented(pattern: str) -> set[str]:
    """Find what the pages of the reference have an entry for."""
    pages = "\n".join(path.read_text("utf-8") for path in sorted(REFERENCE.glob("*.md")))
    return set(re.findall(rf"^\.\. auto\w+:: {pattern}$", pages, re.MULTILINE))


def test_the_reference_has_every_public_name() -> None:
    assert documented(r"(\w+)") == set(pytest_flask_stream.__all__)


@pytest.mark.parametrize("name", ["StreamClient", "StreamedResponse", "StreamRecord"])
def test_the_reference_has_every_public_member(name: str) -> None:
    home = getattr(pytest_flask_stream, name)
    own = [kind for kind in home.__mro__ if kind.__module__.startswith("pytest_flask_stream.")]
    annotations = (
        annotation for kind in own for annotation in vars(kind).get("__annotations__", {})
    )
    # Of a name that says which one to use instead, there is no such attribute.
    there = (member for member in chain.from_iterable(map(vars, own)) if hasattr(home, member))
    members = {member for member in (*there, *annotations) if not member.startswith("_")}
    inherited = {"default_mimetype", "headers"} if name == "StreamedResponse" else set()
    assert documented(rf"{name}\.(\w+)") == members - inherited


def test_the_options_that_are_shown_are_there(pytestconfig: pytest.Config) -> None:
    for path in PAGES:
        for option in re.findall(r"--flask-stream-[a-z]+", path.read_text("utf-8")):
            pytestconfig.getoption(option)


@pytest.mark.parametrize("name", ["LiveStreamedResponse", "Wire"])
def test_the_reference_has_what_live_mode_adds(name: str) -> None:
    own = vars(getattr(pytest_flask_stream, name))
    assert documented(rf"{name}\.(\w+)") == {member for member in own if not member.startswith("_")}


# The map is complete


def test_the_map_of_the_code_has_every_module() -> None:
    package = Path(pytest_flask_stream.__file__).parent
    modules = {path.relative_to(package).with_suffix("") for path in package.rglob("*.py")}
    page = (DOCS / "architecture.md").read_text("utf-8").partition("## The map")[2]
    tables = re.findall(r"^\| (`[^|]+`) \|", page, re.MULTILINE)
    on_map = [name for row in tables for name in re.findall(r"`([\w/]+)`", row)]
    assert sorted(on_map) == sorted(
        module.as_posix() for module in modules if module.name != "__init__"
    )
