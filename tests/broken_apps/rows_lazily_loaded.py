"""A generator loads a relation of rows whose session the teardown has removed."""

import pytest
from flask import Flask

sa = pytest.importorskip("sqlalchemy", reason="SQLAlchemy is not installed")
orm = pytest.importorskip("sqlalchemy.orm")

AMBIENT = "app"
STOCK_SAYS = "passes"
SAYS = ("ended in DetachedInstanceError", "lazy load operation of attribute 'books'")
LINE = 'yield f"{author.name}: {len(author.books)}\\n"'

Base = orm.declarative_base()


class Author(Base):
    __tablename__ = "authors"
    id = sa.Column(sa.Integer, primary_key=True)
    name = sa.Column(sa.String)
    books = orm.relationship("Book")


class Book(Base):
    __tablename__ = "books"
    id = sa.Column(sa.Integer, primary_key=True)
    author_id = sa.Column(sa.ForeignKey("authors.id"))


def app_with_sessions():
    app = Flask(__name__)
    app.engine = sa.create_engine(
        "sqlite://", poolclass=sa.pool.StaticPool, connect_args={"check_same_thread": False}
    )
    app.sessions = orm.scoped_session(orm.sessionmaker(app.engine))
    Base.metadata.create_all(app.engine)
    with orm.Session(app.engine) as session:
        session.add(Author(name="ada", books=[Book(), Book()]))
        session.commit()

    @app.teardown_appcontext
    def remove(error):
        app.sessions.remove()

    return app


def tidy(app):
    app.engine.dispose()


def counts(authors):
    for author in authors:
        yield f"{author.name}: {len(author.books)}\n"


def broken():
    app = app_with_sessions()

    @app.get("/authors")
    def authors():
        return counts(app.sessions.query(Author).all())

    return app


def correct():
    app = app_with_sessions()

    @app.get("/authors")
    def authors():
        books = orm.joinedload(Author.books)
        return counts(app.sessions.query(Author).options(books).all())

    return app


def check(client):
    client.get("/authors").assert_chunks(["ada: 2\n"])


def stock(client):
    assert client.get("/authors").text == "ada: 2\n"
