"""A generator catches GeneratorExit with every other exception, and goes on."""

from flask import Flask

STOCK_SAYS = "fails"
IN_PROCESS = "the server has read the body out when the client leaves"
SAYS = ("could not be closed", "the generator yields again after GeneratorExit")


def broken():
    app = Flask(__name__)

    @app.get("/jobs")
    def jobs():
        def generate():
            for number in range(3):
                try:
                    yield f"{6 // number}\n"
                except BaseException as error:
                    yield f"failed: {error}\n"

        return generate()

    return app


def correct():
    app = Flask(__name__)

    @app.get("/jobs")
    def jobs():
        def generate():
            for number in range(3):
                try:
                    yield f"{6 // number}\n"
                except Exception as error:
                    yield f"failed: {error}\n"

        return generate()

    return app


def check(client):
    stream = client.get("/jobs")
    stream.take(2)
    stream.assert_cleaned_up()


def stock(client):
    with client.get("/jobs") as response:
        next(response.response)
        next(response.response)
