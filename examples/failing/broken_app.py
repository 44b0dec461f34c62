"""An app with two mistakes that are easily made and that Flask's own test client does not show."""

from collections.abc import Iterator

from flask import Flask, Response, request


def create_app() -> Flask:
    app = Flask(__name__)

    @app.after_request
    def count_bytes(response: Response) -> Response:
        # Mistake 1: to count the bytes of a body is to read it to its end, here and now
        if response.mimetype == "text/csv":
            response.headers["X-Body-Size"] = str(response.calculate_content_length())
        return response

    @app.get("/users.csv")
    def users() -> tuple[Iterator[str], dict[str, str]]:
        def generate() -> Iterator[str]:
            yield "id,name\n"
            yield "1,ada\n"
            yield "2,grace\n"

        return generate(), {"Content-Type": "text/csv"}

    @app.get("/hello")
    def hello() -> Iterator[str]:
        def greet() -> Iterator[str]:
            yield "Hello "
            yield request.args["name"]

        # Mistake 2: the request is gone when the generator runs; stream_with_context is missing
        return greet()

    return app
