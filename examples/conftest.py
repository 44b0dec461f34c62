"""What every test of the example is given: the app, and what it was told to wait for.

The suite runs in process, and with ``--flask-stream-live`` over a socket. How far the app has got
can be said in process only, for a server pulls by itself: such a test takes ``in_process``.
"""

import pytest
from streaming_app import create_app

from pytest_flask_stream import StreamClient


@pytest.fixture
def pauses():
    """List the pauses that the app would have made, in seconds."""
    return []


@pytest.fixture
def app(pauses):
    """Make an app that writes its pauses down instead of making them."""
    app = create_app(sleep=pauses.append, heartbeat=0.05)
    app.testing = True
    return app


@pytest.fixture
def in_process(app):
    """Give a client that stays in process, whatever the options say."""
    with StreamClient(app, timeout=0.5) as client:
        yield client


@pytest.fixture
def hub(app):
    """Give what the event stream of ``app`` listens to."""
    return app.config["HUB"]
