"""What every test of the example is given: the app, and what it was told to wait for."""

import pytest
from streaming_app import create_app


@pytest.fixture
def pauses():
    """List the pauses that the app would have made, in seconds."""
    return []


@pytest.fixture
def app(pauses):
    """Make an app that writes its pauses down instead of making them."""
    app = create_app(sleep=pauses.append)
    app.testing = True
    return app


@pytest.fixture
def hub(app):
    """Give what the event stream of ``app`` listens to."""
    return app.config["HUB"]
