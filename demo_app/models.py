"""The one table, its file made at the first start, and ``request.db``."""

from datetime import date

from sqlalchemy import NullPool, engine_from_config, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


class Base(DeclarativeBase):
    pass


class Post(Base):
    __tablename__ = "posts"
    # The URL of a deleted post must not come back as that of another one.
    __table_args__ = {"sqlite_autoincrement": True}

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    author: Mapped[str]
    body: Mapped[str]
    published: Mapped[date] = mapped_column(default=date.today)

    def __json__(self, request):
        """The data of a post. JSON, XML, CSV and all other formats ask for this."""
        return {
            "id": self.id,
            "title": self.title,
            "author": self.author,
            "published": self.published,
            "body": self.body,
        }


def includeme(config):
    """Open the database (``sqlalchemy.url``) and give every request a session."""
    engine = engine_from_config(
        config.get_settings(),
        "sqlalchemy.",
        poolclass=NullPool,  # a file is opened in no time: there is nothing to pool
    )
    Base.metadata.create_all(engine)
    with Session(engine) as session, session.begin():
        if session.scalar(select(Post.id).limit(1)) is None:
            session.add_all(seed())

    def db(request):
        session = Session(engine)
        request.add_finished_callback(lambda request: session.close())
        return session

    config.add_request_method(db, reify=True)


def seed():
    """Yield the posts that a new database starts with."""
    yield Post(
        title="One resource, many faces",
        author="Ada",
        published=date(2026, 3, 2),
        body="This post is a page, and it is JSON, XML, CSV, YAML, a spreadsheet "
        "and a PDF.\n\nThere is one view. It returns the post; what is sent is "
        "decided by the extension of the path, or else by the Accept header.",
    )
    yield Post(
        title="A form can do more than POST",
        author="Grace",
        published=date(2026, 3, 9),
        body="HTML forms know GET and POST. The edit form of this post says "
        "_method=PUT in a hidden field, and the application sees a PUT.\n\nWith "
        "JavaScript, a small script sends the real method. Without it, everything "
        "works just the same.",
    )
    yield Post(
        title="Somebody else answers here",
        author="Linus",
        published=date(2026, 3, 16),
        body="What is below /api/users/ comes from another server. The request "
        "crosses a real socket, and the answer comes back as it was sent, with "
        "its status, its headers and its cookies.",
    )
