"""Two tests that fail, each with a text that names the mistake: see ``demo.py``."""


def test_the_table_is_streamed(stream_client):
    stream_client.get("/users.csv").assert_streamed()


def test_the_greeting_is_complete(stream_client):
    stream_client.get("/hello?name=ada").assert_complete()
