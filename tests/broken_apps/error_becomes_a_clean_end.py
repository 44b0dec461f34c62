"""An error in the middle is logged, and the body ends as if it were whole."""

import pytest
from flask import Flask

STOCK_SAYS = "fails"
SAYS = ("did not end in OSError", "or a layer turns its error into a clean end")
LINE = "def export():"


def rows():
    yield "name\n"
    yield "ada\n"
    raise OSError("the database is gone")


def broken():
    app = Flask(__name__)

    @app.get("/users.csv")
    def export():
        def generate():
            try:
                yield from rows()
            except OSError:
                app.logger.warning("export failed")

        return generate()

    return app


def correct():
    app = Flask(__name__)

    @app.get("/users.csv")
    def export():
        def generate():
            try:
                yield from rows()
            except OSError:
                app.logger.warning("export failed")
                raise

        return generate()

    return app


def check(client):
    client.get("/users.csv").assert_raises(OSError, after=2)


def stock(client):
    with pytest.raises(OSError, match="the database is gone"):
        client.get("/users.csv").get_data()
