"""A generator asks for `session` after Flask has popped it; `with client:` shows one."""

from flask import Flask, session, stream_with_context

AMBIENT = "client"
STOCK_SAYS = "passes"
SAYS = ("ended in RuntimeError", "profile touched session when the request context was gone")
LINE = 'yield session["user"]'


def app_that_logs_in():
    app = Flask(__name__)
    app.secret_key = "for the tests"

    @app.get("/login")
    def login():
        session["user"] = "ada"
        return "welcome"

    return app


def profile():
    yield "You are "
    yield session["user"]


def broken():
    app = app_that_logs_in()

    @app.get("/me")
    def me():
        assert "user" in session
        return profile()

    return app


def correct():
    app = app_that_logs_in()

    @app.get("/me")
    def me():
        assert "user" in session
        return stream_with_context(profile())

    return app


def check(client):
    client.get("/login").drain()
    client.get("/me").assert_chunks(["You are ", "ada"])


def stock(client):
    client.get("/login")
    assert client.get("/me").text == "You are ada"
