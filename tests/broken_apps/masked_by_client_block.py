"""A forgotten request context, hidden by `with client:` from the second chunk on."""

from flask import Flask, request, stream_with_context

AMBIENT = "client"
STOCK_SAYS = "passes"
SAYS = ("ended in RuntimeError", "table touched request when the request context")
LINE = 'columns = request.args["columns"].split()'


def table():
    yield "name\n"
    columns = request.args["columns"].split()
    yield ",".join(columns)


def broken():
    app = Flask(__name__)

    @app.get("/table.csv")
    def download():
        return table()

    return app


def correct():
    app = Flask(__name__)

    @app.get("/table.csv")
    def download():
        return stream_with_context(table())

    return app


def check(client):
    client.get("/table.csv?columns=a b").assert_order("name", "a,b")


def stock(client):
    assert client.get("/table.csv?columns=a b").text == "name\na,b"
