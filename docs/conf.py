"""How Sphinx builds these pages: ``sphinx-build -W --keep-going -b html docs <folder>``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from pytest_flask_stream import __all__ as public_names
from pytest_flask_stream import __version__

project = "pytest-flask-stream"
author = "the pytest-flask-stream authors"
copyright = author
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
html_theme = "furo"
html_title = f"{project} {release}"
exclude_patterns = ["test_docs.py"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
add_module_names = False

# Every reference to a name of this project must lead somewhere. Others' names are not looked up, so
# that the pages can be built without a network.
nitpicky = True
nitpick_ignore_regex = [
    ("py:class", rf"(?!(.*\.)?({'|'.join(public_names)})$).*"),
    ("py:meth", r"(flask|werkzeug)\..*"),
]

MADE_BY_US = {
    "LiveStreamedResponse",
    "MakeStreamClient",
    "StreamRecord",
    "StreamedResponse",
    "Wire",
}


def leave_out_constructors(_app, what, name, _obj, _options, _signature, _returns):
    """Show no arguments of what users never make themselves."""
    if what == "exception" or (what == "class" and name.rpartition(".")[2] in MADE_BY_US):
        return "", None
    return None


def setup(app):
    app.connect("autodoc-process-signature", leave_out_constructors)
