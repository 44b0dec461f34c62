"""Mutation of the modules that a team relies on: what is recorded, watched, claimed and explained.

``python .ci/mutation.py [--sample N] [MODULE...]``, from a checkout, with the Python of an
environment in which pytest-flask-stream, its ``tests`` extra and Cosmic Ray are installed. Each
module is mutated in a copy of the checkout, one small change at a time, and the tests that are to
notice are run; ``--sample`` tries so many of each module, always the same ones. Prints the
survivors as diffs, and a table; ends with status 1 where fewer are killed than ``FLOOR`` says.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "pytest_flask_stream"
COPIED = (PACKAGE, "tests", "examples", "docs", "pyproject.toml", "README.md")
FLOOR = 0.85  # of all mutants together: what is left is mostly no change at all
SLOWER = 5  # times what the tests take without a mutant: then something waits for ever, and that
SECONDS = 10  # is noticed as well; so many at least

CLAIM_TESTS = ("claims", "failure_texts", "cleanup", "bad_input", "broken_apps")
TESTS = {
    "source": ("cleanup", "cleanup_resources", "record"),
    "record_claims": ("record_claims", "bad_input"),
    "record_cuts": ("record_claims",),
    "record_findings": ("record_texts", "record_claims", "broken_apps"),
    "cleanup_claims": ("cleanup", "cleanup_resources", "broken_apps", "bad_input"),
    "record": ("record", "probes", "claims", "bad_input"),
    "explain": ("failure_texts", "claims", "corners", "broken_apps"),
    "assertions": CLAIM_TESTS,
    "reading": CLAIM_TESTS,
    "tape": ("tape", "record", "probes", "claims", "cleanup", "failure_texts", "stream"),
    "columns": ("tape", "record", "probes", "claims", "stream"),
    "body": ("tape", "record", "stream", "failure_texts"),
    "pulling": (
        *("tape", "record", "stream", "probes", "client", "claims", "bad_input", "isolation"),
        *("cleanup", "deadline", "start", "broken_apps"),
    ),
    "probes": (
        *("probes", "isolation", "failure_texts", "cleanup", "client", "tape", "corners"),
        *("stream", "broken_apps"),
    ),
}
"""The test files that are to notice what is wrong in a module, the likeliest first."""

# Annotations are never looked at, so to write `str ^ None` there changes nothing; nowhere else do
# these modules use `|`.
NO_CHANGE = ["core/ReplaceBinaryOperator_BitOr_.*"]


SKIP = """
import random, sys
from cosmic_ray.work_db import use_db
from cosmic_ray.work_item import WorkResult, WorkerOutcome
with use_db("mutants.sqlite") as db:
    pending = sorted(db.pending_work_items, key=lambda item: str(item.mutations))
    random.Random(0).shuffle(pending)
    for item in pending[int(sys.argv[1]):]:
        db.set_result(item.job_id, WorkResult(WorkerOutcome.SKIPPED, "not in the sample"))
"""


class Score(NamedTuple):
    """What became of the mutants of a module."""

    module: str
    killed: int
    survived: int
    seconds: float

    @property
    def tried(self) -> int:
        """How many there were."""
        return self.killed + self.survived

    def __str__(self) -> str:
        share = self.killed / self.tried if self.tried else 1.0
        return (
            f"{self.module:<16} {self.tried:>6} {self.killed:>7} {self.survived:>9} {share:>7.1%}"
            f" {self.seconds:>6.0f} s"
        )


def copy_checkout(folder: Path) -> None:
    """Copy what the tests need; a mutant lives in the copy."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, folder / name, ignore=ignored)
        else:
            shutil.copy(source, folder / name)


def configuration(module: str, timeout: float) -> str:
    """Write the configuration of Cosmic Ray for one module.

    :param timeout: How many seconds the tests may take.
    """
    files = [f"tests/test_{name}.py" for name in TESTS[module]]
    there = " ".join(file for file in files if (ROOT / file).exists())
    options = "-x -q -p no:cacheprovider -p no:randomly -p no:asyncio -p no:xdist"
    return "\n".join(
        [
            "[cosmic-ray]",
            f"module-path = '{PACKAGE}/{module}.py'",
            f"timeout = {timeout:.1f}",
            "excluded-modules = []",
            f"test-command = '{sys.executable} -m pytest {options} {there}'",
            "[cosmic-ray.distributor]",
            "name = 'local'",
            "[cosmic-ray.filters.operators-filter]",
            f"exclude-operators = {NO_CHANGE}",
        ]
    )


def run(folder: Path, *command: str) -> str:
    """Run a command of Cosmic Ray in the copy."""
    # Two mutants of one size that are written in the same second share their bytecode.
    environ = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    tool = Path(sys.executable).with_name(command[0])
    done = subprocess.run(
        [tool, *command[1:]], cwd=folder, env=environ, check=False, capture_output=True, text=True
    )
    if done.returncode:
        said = done.stdout + done.stderr
        sys.exit(f"{' '.join(command)} ended with status {done.returncode}:\n{said}")
    return done.stdout


def score(module: str, sample: int | None) -> Score:
    """Mutate one module, print the diff of each survivor, and count."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy_checkout(folder)
        config = folder / "mutation.toml"
        config.write_text(configuration(module, 600), "utf-8")
        run(folder, "cosmic-ray", "baseline", "mutation.toml")
        timeout = max(SECONDS, SLOWER * (time.monotonic() - began))
        config.write_text(configuration(module, timeout), "utf-8")
        run(folder, "cosmic-ray", "init", "mutation.toml", "mutants.sqlite")
        run(folder, "cr-filter-operators", "mutants.sqlite", "mutation.toml")
        if sample is not None:
            run(folder, Path(sys.executable).name, "-c", SKIP, str(sample))
        run(folder, "cosmic-ray", "exec", "mutation.toml", "mutants.sqlite")
        lines = run(folder, "cosmic-ray", "dump", "mutants.sqlite").splitlines()
    results = [result for line in lines if (result := json.loads(line)[1]) is not None]
    ran = [result for result in results if result["worker_outcome"] != "skipped"]
    survivors = [result for result in ran if result["test_outcome"] == "survived"]
    for survivor in survivors:
        print(survivor["diff"], flush=True)
    return Score(module, len(ran) - len(survivors), len(survivors), time.monotonic() - began)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sample", type=int)
    parser.add_argument("modules", nargs="*", choices=[*TESTS, []])
    given = parser.parse_args(arguments)
    scores = [score(module, given.sample) for module in given.modules or TESTS]
    killed, survived = (sum(column) for column in zip(*[s[1:3] for s in scores], strict=True))
    scores.append(Score("all", killed, survived, sum(each.seconds for each in scores)))
    print("module            tried  killed  survived   score")
    print(*scores, sep="\n")
    return int(killed < FLOOR * scores[-1].tried)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
