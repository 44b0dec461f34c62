"""A generator gathers rows, and forgets the ones left over at the end."""

from flask import Flask

STOCK_SAYS = "fails"
SAYS = ("has not these fragments in this order", "view export")
LINE = "def export():"


def broken():
    app = Flask(__name__)

    @app.get("/rows")
    def export():
        def generate():
            block = []
            for row in range(5):
                block.append(f"{row}\n")
                if len(block) == 2:
                    yield "".join(block)
                    block.clear()

        return generate()

    return app


def correct():
    app = Flask(__name__)

    @app.get("/rows")
    def export():
        def generate():
            block = []
            for row in range(5):
                block.append(f"{row}\n")
                if len(block) == 2:
                    yield "".join(block)
                    block.clear()
            yield "".join(block)

        return generate()

    return app


def check(client):
    client.get("/rows").assert_order("0\n", "4\n")


def stock(client):
    assert client.get("/rows").text.endswith("4\n")
