"""Run the example suite, then show what a failing stream test prints.

``python examples/demo.py``, with the Python of an environment in which pytest-flask-stream is
installed. Ends with status 0 only if the suite of the good app passes and each test of the broken
app fails with the text it should.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree as ET

HERE = Path(__file__).parent

# What the failure of each test of the broken app says, in this order: the claim, what was seen,
# the cause, the remedy, and the transcript.
EXPECTED = {
    "test_the_table_is_streamed": (
        "assert_streamed(): GET /users.csv",
        "seen:",
        "cause:",
        "count_bytes",
        "broken_app.py:",
        "calculate_content_length()",
        "remedy:",
        "GET /users.csv  200 text/csv",
        "#0 ",
    ),
    "test_the_greeting_is_complete": (
        "assert_complete(): GET /hello",
        "seen:",
        "cause:",
        "broken_app.py:",
        "request.args",
        "remedy:",
        "stream_with_context",
        "GET /hello?name=ada  200 text/html",
        "#0 ",
    ),
}


def run_pytest(folder: Path, *options: str) -> int:
    options = ("-q", "-p", "no:cacheprovider", *options)
    command = [sys.executable, "-m", "pytest", *options, str(folder)]
    return subprocess.run(command, check=False).returncode


def failures(report: Path) -> dict[str, str]:
    """Read the text of each test of a JUnit report; a test that has passed has none."""
    return {
        case.attrib["name"]: "".join(part.text or "" for part in case.iter("failure"))
        for case in ET.parse(report).getroot().iter("testcase")
    }


def first_missing(fragments: tuple[str, ...], text: str) -> str | None:
    """Give the first of ``fragments`` that ``text`` lacks after those before it."""
    position = 0
    for fragment in fragments:
        position = text.find(fragment, position)
        if position < 0:
            return fragment
        position += len(fragment)
    return None


def problems_of_the_broken_app() -> list[str]:
    """Run its tests and tell what is wrong with how they fail."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        status = run_pytest(HERE / "failing", "--tb=short", f"--junitxml={report}")
        if status != 1:  # 1: tests were run, and some failed
            return [f"pytest ended with status {status}"]
        texts = failures(report)
    if texts.keys() != EXPECTED.keys():
        return [f"other tests were run than expected: {sorted(texts)}"]
    missing = {name: first_missing(EXPECTED[name], texts[name]) for name in EXPECTED}
    return [f"{name}: its text lacks {part!r}" for name, part in missing.items() if part]


def main() -> int:
    print("The example suite, on an app without mistakes:\n", flush=True)
    passed = run_pytest(HERE) == 0
    print("\nThe same claims, on an app with two mistakes:\n", flush=True)
    problems = problems_of_the_broken_app()
    if not passed:
        problems.insert(0, "the example suite has not passed")
    if problems:
        print("\nNot as it should be:", *problems, sep="\n  ")
        return 1
    print("\nAll as it should be: one suite passed, the other failed and said why.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
