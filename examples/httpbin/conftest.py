"""The real httpbin, as the ``app`` of the suite."""

import httpbin
import pytest

from pytest_flask_stream import StreamClient


@pytest.fixture
def app():
    return httpbin.app


@pytest.fixture
def in_process(app):
    """Give a client that stays in process, for what a real server decides by itself."""
    with StreamClient(app) as client:
        yield client
