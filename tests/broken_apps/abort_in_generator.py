"""`abort(404)` stands in the generator, when status 200 has been sent long ago."""

from flask import Flask, abort

STOCK_SAYS = "fails"
RAISES = "NotFound"
SAYS = ("404 Not Found", "The requested URL was not found on the server")

USERS = {"ada": ["first\n", "second\n"]}


def broken():
    app = Flask(__name__)

    @app.get("/posts/<name>")
    def posts(name):
        def generate():
            if name not in USERS:
                abort(404)
            yield from USERS[name]

        return generate()

    return app


def correct():
    app = Flask(__name__)

    @app.get("/posts/<name>")
    def posts(name):
        def generate():
            yield from USERS[name]

        if name not in USERS:
            abort(404)
        return generate()

    return app


def check(client):
    stream = client.get("/posts/nobody")
    stream.drain()
    assert stream.status_code == 404


def stock(client):
    assert client.get("/posts/nobody").status_code == 404
