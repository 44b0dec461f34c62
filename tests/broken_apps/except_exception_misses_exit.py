"""`except Exception` around `yield` releases on an error, and misses GeneratorExit."""

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
            try:
                for row in cursor:
                    yield f"{row}\n"
            except Exception:
                cursor.close()
                raise

        return generate()

    return app


def correct():
    app = Flask(__name__)

    @app.get("/rows")
    def rows():
        def generate():
            cursor = Source(Cursor(), "cursor")
            try:
                for row in cursor:
                    yield f"{row}\n"
            except BaseException:
                cursor.close()
                raise

        return generate()

    return app


def check(client):
    stream = client.get("/rows")
    stream.take(2)
    stream.assert_cleaned_up()


def stock(client):
    with client.get("/rows") as response:
        assert next(response.response) == b"0\n"
