"""Nobody closes the cursor when the client leaves before the last row."""

from contextlib import closing

from flask import Flask

from pytest_flask_stream import Source

STOCK_SAYS = "passes"
STOCK_CAN_LOOK = False
IN_PROCESS = "the server has read the body out when the client leaves"
SAYS = ("left 'cursor' open", "nobody closes it when the client leaves")


class Cursor:
    """As a database has one."""

    def __iter__(self):
        return iter(range(1000))

    def close(self):
        pass


def broken():
    app = Flask(__name__)

    @app.get("/rows")
    def rows():
        def generate():
            cursor = Source(Cursor(), "cursor")
            for row in cursor:
                yield f"{row}\n"

        return generate()

    return app


def correct():
    app = Flask(__name__)

    @app.get("/rows")
    def rows():
        def generate():
            with closing(Source(Cursor(), "cursor")) as cursor:
                for row in cursor:
                    yield f"{row}\n"

        return generate()

    return app


def check(client):
    stream = client.get("/rows")
    stream.take(2)
    stream.assert_cleaned_up()


def stock(client):
    with client.get("/rows") as response:
        assert next(response.response) == b"0\n"
