"""A teardown function closes the database before the generator reads the rows."""

import contextlib
import sqlite3

from flask import Flask, g

AMBIENT = "app"
STOCK_SAYS = "passes"
SAYS = ("ended in ProgrammingError", "Cannot operate on a closed database")
LINE = "for (name,) in cursor:"


def database():
    connection = sqlite3.connect(":memory:")
    connection.execute("create table users (name)")
    connection.executemany("insert into users values (?)", [("ada",), ("bob",)])
    return connection


def app_that_disconnects():
    app = Flask(__name__)

    @app.teardown_appcontext
    def disconnect(error):
        if "database" in g:
            g.pop("database").close()

    return app


def names(cursor):
    for (name,) in cursor:
        yield f"{name}\n"


def broken():
    app = app_that_disconnects()

    @app.get("/users")
    def users():
        g.database = database()
        return names(g.database.execute("select name from users"))

    return app


def correct():
    app = app_that_disconnects()

    @app.get("/users")
    def users():
        def generate():
            with contextlib.closing(database()) as connection:
                yield from names(connection.execute("select name from users"))

        return generate()

    return app


def check(client):
    client.get("/users").assert_order("ada", "bob")


def stock(client):
    assert client.get("/users").text == "ada\nbob\n"
