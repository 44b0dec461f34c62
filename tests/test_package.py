"""The package as a whole: its names, what it imports, what it ships, and what its README says."""

from __future__ import annotations

import ast
import graphlib
import importlib.metadata
import importlib.util
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest

import pytest_flask_stream

HERE = Path(__file__).parent
PACKAGE = Path(pytest_flask_stream.__file__).parent
README = HERE.parent / "README.md"

# Facts stand in the middle: they know neither what makes them nor what judges them, and these two
# do not know each other.
FACTS = ("errors", "frames", "columns", "body", "tape", "transcript", "record")
MAKERS = ("context", "app_stack", "budget", "deadline", "probes", "gateway", "pulling", "exchange")
JUDGES = ("search", "explain", "assertions")


def python(*arguments: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run this Python without what the test run around it has in its environment."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**kept, "COLUMNS": "80", **environ},
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


# Names


def public_names() -> list[str]:
    return sorted(pytest_flask_stream.__all__)


@pytest.mark.parametrize("name", public_names())
def test_a_public_name_is_importable_and_documented(name: str) -> None:
    thing = getattr(pytest_flask_stream, name)

    own_text = vars(thing).get("__doc__") or ""
    assert own_text, f"{name} has no docstring"
    assert not own_text.startswith(f"{name}("), f"{name} has only the docstring that Python makes"


@pytest.mark.parametrize("name", public_names())
def test_the_public_members_of_a_public_name_are_documented(name: str) -> None:
    thing = getattr(pytest_flask_stream, name)
    ours = [base for base in inspect.getmro(thing) if base.__module__.startswith(PACKAGE.name)]
    undocumented = [
        f"{base.__name__}.{member}"
        for base in ours
        for member, value in vars(base).items()
        if not member.startswith("_")
        and (inspect.isfunction(value) or isinstance(value, property))
        and not value.__doc__
    ]
    assert undocumented == []


def test_public_names_are_listed_once_and_by_dir() -> None:
    names = pytest_flask_stream.__all__
    assert len(names) == len(set(names))
    assert set(names) <= set(dir(pytest_flask_stream))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'pytest_flask_stream' has no attribute 'Streem'"):
        _ = pytest_flask_stream.Streem  # type: ignore[attr-defined]


# What is shipped


def test_the_version_is_that_of_the_metadata() -> None:
    version = importlib.metadata.version("pytest-flask-stream")
    assert pytest_flask_stream.__version__ == version


def test_type_checkers_are_told_that_the_package_is_typed() -> None:
    assert resources.files(pytest_flask_stream).joinpath("py.typed").is_file()


def test_pytest_and_flask_are_all_that_is_required() -> None:
    requirements = importlib.metadata.requires("pytest-flask-stream") or []
    at_run_time = [text for text in requirements if "extra ==" not in text]
    assert sorted(re.split(r"\W", text)[0] for text in at_run_time) == ["flask", "pytest"]


def test_pytest_finds_the_plugin_by_itself() -> None:
    plugins = importlib.metadata.entry_points(group="pytest11")
    assert plugins["flask_stream"].value == "pytest_flask_stream.plugin"


# What is imported


def units() -> dict[str, list[Path]]:
    """Give the files of each module of the package, and of each package within it."""
    found: dict[str, list[Path]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        found.setdefault(path.relative_to(PACKAGE).parts[0].removesuffix(".py"), []).append(path)
    return found


def iter_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Walk what is run; what is imported for type checkers only is not."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield from iter_nodes(child)


def iter_absolute_imports(path: Path) -> Iterator[str]:
    """Give what a file imports when it is run, also inside functions."""
    package = (PACKAGE.name, *path.relative_to(PACKAGE).parts[:-1])
    for node in iter_nodes(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            inside = package[: len(package) - node.level + 1] if node.level else ()
            home = ".".join([*inside, *([node.module] if node.module else [])])
            if home == PACKAGE.name:
                yield from (f"{home}.{alias.name}" for alias in node.names)
            else:
                yield home


def imported_units(unit: str) -> set[str]:
    imports = {name for path in units()[unit] for name in iter_absolute_imports(path)}
    ours = {name.split(".")[1] for name in imports if name.startswith(f"{PACKAGE.name}.")}
    return ours - {unit}


def units_below(unit: str) -> set[str]:
    below: set[str] = set()
    found = {unit}
    while found:
        below |= found
        found = {name for one in found for name in imported_units(one)} - below
    return below - {unit}


def test_imports_run_one_way() -> None:
    ladder = graphlib.TopologicalSorter({unit: imported_units(unit) for unit in units()})
    assert set(ladder.static_order()) == set(units())  # a CycleError names the circle


@pytest.mark.parametrize("unit", FACTS)
def test_facts_know_neither_makers_nor_judges(unit: str) -> None:
    assert units_below(unit) & {*MAKERS, *JUDGES} == set()


@pytest.mark.parametrize("unit", MAKERS)
def test_makers_do_not_know_the_judges(unit: str) -> None:
    assert units_below(unit) & set(JUDGES) == set()


@pytest.mark.parametrize("unit", JUDGES)
def test_judges_do_not_know_the_makers(unit: str) -> None:
    # What a missing context looks like is a fact about Flask, written down beside the Context.
    assert units_below(unit) & set(MAKERS) - {"context"} == set()


@pytest.mark.parametrize("unit", sorted(units().keys() - {"plugin"}))
def test_only_the_plugin_imports_pytest(unit: str) -> None:
    imports = {name for path in units()[unit] for name in iter_absolute_imports(path)}
    assert {name for name in imports if re.match(r"_?pytest(\.|$)", name)} == set()


def test_the_core_works_where_pytest_is_not_installed(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "sys.modules['pytest'] = None  # an import of it is an ImportError\n"
        "from flask import Flask\n"
        "from pytest_flask_stream import StreamClient\n"
        "app = Flask(__name__)\n"
        "app.add_url_rule('/', view_func=lambda: iter('ab'))\n"
        "with StreamClient(app, timeout=5) as client:\n"
        "    stream = client.get('/')\n"
        "    stream.assert_streamed()\n"
        "    print(list(stream), stream.read())\n"
    )
    result = python("-W", "error", str(script), cwd=tmp_path)
    assert result.stdout == "[b'b'] b'ab'\n"


def test_an_unused_plugin_imports_nothing_of_flask(tmp_path: Path) -> None:
    (tmp_path / "test_nothing.py").write_text(
        "import sys\n"
        "import pytest\n"
        "\n"
        "@pytest.mark.flask_stream(timeout=1)\n"
        "def test_nothing_of_flask_is_loaded(pytestconfig):\n"
        "    assert pytestconfig.pluginmanager.has_plugin('pytest_flask_stream.plugin')\n"
        "    loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "    assert loaded & {'flask', 'werkzeug', 'jinja2'} == set()\n"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\nflask_stream_timeout = 3\n")
    result = python(
        *("-m", "pytest", "-q", "-p", "pytest_flask_stream.plugin"),
        cwd=tmp_path,
        PYTEST_DISABLE_PLUGIN_AUTOLOAD="1",  # other plugins may well import Flask
    )
    assert "1 passed" in result.stdout, result.stdout


# Types


@pytest.mark.skipif(not importlib.util.find_spec("mypy"), reason="mypy is not installed")
def test_what_a_typed_suite_may_write_and_what_not(tmp_path: Path) -> None:
    result = python(
        *("-m", "mypy", "--config-file=", "--strict", "--python-version=3.10"),
        *("--cache-dir", str(tmp_path / "cache"), str(HERE / "typing")),
        cwd=tmp_path,
    )
    assert result.stdout == "Success: no issues found in 2 source files\n"


# README

WITHOUT_ASYNCIO = ("-p", "no:asyncio")  # it warns where its loop scope is not set


@pytest.fixture
def readme() -> str:
    if not README.exists():
        pytest.skip("the README is not beside the tests")
    return README.read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.fixture
def suite_of_the_readme(readme: str, tmp_path: Path) -> Path:
    """Write down the suite that the README tells of."""
    first_test, app, conftest, second_test = blocks(readme, "python")
    (tmp_path / "app.py").write_text(app)
    (tmp_path / "conftest.py").write_text(conftest)
    (tmp_path / "test_users.py").write_text(f"{first_test}\n\n{second_test}")
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    return tmp_path


def test_the_suite_of_the_readme_passes(suite_of_the_readme: Path) -> None:
    result = python("-m", "pytest", "-q", *WITHOUT_ASYNCIO, cwd=suite_of_the_readme)
    assert "2 passed" in result.stdout, result.stdout


def test_the_failure_in_the_readme_is_what_is_printed(
    readme: str, suite_of_the_readme: Path
) -> None:
    app = suite_of_the_readme / "app.py"
    wrapped = app.read_text()
    app.write_text(wrapped.replace("stream_with_context(rows())", "rows()"))
    assert app.read_text() != wrapped

    # pytest-flask pushes a context around a test that has an app, and the text tells of that.
    options = (*WITHOUT_ASYNCIO, "-p", "no:flask")
    result = python("-m", "pytest", "-q", "--tb=short", *options, cwd=suite_of_the_readme)

    assert "2 failed" in result.stdout, result.stdout
    (failure,) = blocks(readme, "text")
    assert without_times(failure) in without_times(result.stdout)


def without_times(text: str) -> str:
    return re.sub(r"waited \d+\.\d+ s", "waited … s", text)
