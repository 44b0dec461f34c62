"""The real httpbin, as the ``app`` of the suite."""

import httpbin
import pytest


@pytest.fixture
def app():
    return httpbin.app
