"""A Flask app with every way to stream a response that Flask's documentation has shown.

Each module is a blueprint with one kind of them: ``downloads`` (generators), ``pages``
(templates), ``greetings`` (with and without a context) and ``live`` (slow, broken and endless
ones). The tests beside this package read them chunk by chunk.

To look at it with a browser or ``curl -N``, run ``flask --app streaming_app run`` in the folder
above.
"""

import time
from collections.abc import Callable, Iterable

from flask import Flask

from . import downloads, greetings, live, pages

USERS = (
    ("1", "ada"),
    ("2", "grace"),
    ("3", "linus"),
    ("4", "margaret"),
)


def create_app(
    *,
    users: Iterable[tuple[str, str]] = USERS,
    sleep: Callable[[float], object] = time.sleep,
    heartbeat: float = live.HEARTBEAT,
) -> Flask:
    """Make the app.

    ``users`` is what it lists, ``sleep`` how it pauses between two chunks, and ``heartbeat`` after
    how many seconds without an event it says that there was none.
    """
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY="only an example",
        GREETING="Hello",
        USERS=users,
        SLEEP=sleep,
        HUB=live.Hub(heartbeat),
    )
    for module in (downloads, pages, greetings, live):
        app.register_blueprint(module.blueprint)
    return app
