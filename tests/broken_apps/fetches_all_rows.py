"""A generator fetches all rows before it yields the first one."""

from flask import Flask

from pytest_flask_stream import Source

STOCK_SAYS = "fails"
IN_PROCESS = "a server fetches by itself, and does not wait for the client"
SAYS = ("1000 rows were read for one chunk", "<Source 'rows' exhausted")


def broken():
    app = Flask(__name__)
    app.rows = Source(range(1000), "rows")

    @app.get("/rows")
    def show():
        def generate():
            for row in list(app.rows):
                yield f"{row}\n"

        return generate()

    return app


def correct():
    app = Flask(__name__)
    app.rows = Source(range(1000), "rows")

    @app.get("/rows")
    def show():
        def generate():
            for row in app.rows:
                yield f"{row}\n"

        return generate()

    return app


def check(client):
    next(client.get("/rows"))
    rows = client.flask_client.application.rows
    assert rows.pulled == 1, f"{rows.pulled} rows were read for one chunk: {rows}"


def stock(client):
    with client.get("/rows"):
        assert client.application.rows.pulled == 1
