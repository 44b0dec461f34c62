"""What every test of the example is given: the app, and what it was told to wait for.

The suite runs in process, and with ``--flask-stream-live`` over a socket. What it says of how far
the app has got holds in process only, for a server pulls by itself: such a test has a marker.
"""

import pytest
from streaming_app import create_app


def pytest_runtest_setup(item):
    if item.get_closest_marker("in_process") and item.config.getoption("flask_stream_live"):
        pytest.skip("a real server pulls by itself")


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
def hub(app):
    """Give what the event stream of ``app`` listens to."""
    return app.config["HUB"]
