"""A CSV writer's buffer is never emptied, so that each chunk repeats all rows before it."""

import csv
from io import StringIO

from flask import Flask

STOCK_SAYS = "fails"
SAYS = ("differs in chunk 1", "view export")
LINE = "def export():"


def broken():
    app = Flask(__name__)

    @app.get("/users.csv")
    def export():
        def generate():
            buffer = StringIO()
            writer = csv.writer(buffer, lineterminator="\n")
            for row in [("id", "name"), (1, "ada")]:
                writer.writerow(row)
                yield buffer.getvalue()

        return generate()

    return app


def correct():
    app = Flask(__name__)

    @app.get("/users.csv")
    def export():
        def generate():
            buffer = StringIO()
            writer = csv.writer(buffer, lineterminator="\n")
            for row in [("id", "name"), (1, "ada")]:
                writer.writerow(row)
                yield buffer.getvalue()
                buffer.seek(0)
                buffer.truncate()

        return generate()

    return app


def check(client):
    client.get("/users.csv").assert_chunks(["id,name\n", "1,ada\n"])


def stock(client):
    assert client.get("/users.csv").text == "id,name\n1,ada\n"
