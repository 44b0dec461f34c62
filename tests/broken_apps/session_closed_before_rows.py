"""A teardown function removes the SQLAlchemy session before the generator reads its rows."""

import pytest
from flask import Flask

sa = pytest.importorskip("sqlalchemy", reason="SQLAlchemy is not installed")
orm = pytest.importorskip("sqlalchemy.orm")

AMBIENT = "app"
STOCK_SAYS = "passes"
SAYS = ("ended in InvalidRequestError", "Has the owning Session been closed?")
LINE = "for user in users:"

Base = orm.declarative_base()


class User(Base):
    __tablename__ = "users"
    id = sa.Column(sa.Integer, primary_key=True)
    name = sa.Column(sa.String)


def app_with_sessions():
    app = Flask(__name__)
    app.engine = sa.create_engine(
        "sqlite://", poolclass=sa.pool.StaticPool, connect_args={"check_same_thread": False}
    )
    app.sessions = orm.scoped_session(orm.sessionmaker(app.engine))
    Base.metadata.create_all(app.engine)
    with orm.Session(app.engine) as session:
        session.add_all([User(name="ada"), User(name="bob")])
        session.commit()

    @app.teardown_appcontext
    def remove(error):
        app.sessions.remove()

    return app


def tidy(app):
    app.engine.dispose()


def names(users):
    for user in users:
        yield f"{user.name}\n"


def broken():
    app = app_with_sessions()

    @app.get("/users")
    def users():
        return names(app.sessions.scalars(sa.select(User)))

    return app


def correct():
    app = app_with_sessions()

    @app.get("/users")
    def users():
        def generate():
            with orm.Session(app.engine) as session:
                yield from names(session.scalars(sa.select(User)))

        return generate()

    return app


def check(client):
    client.get("/users").assert_order("ada", "bob")


def stock(client):
    assert client.get("/users").text == "ada\nbob\n"
