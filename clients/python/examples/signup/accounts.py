"""The accounts in SQLite, and what people are to be told."""

from __future__ import annotations

import sqlite3
import time
import uuid
from dataclasses import dataclass

from forename.models import Registration

# How far a sign-up has come. The order counts: it goes on from one to a later one and never back, whichever node tells of it
# and however often. `requested`: written down before a node was asked. `unavailable`: somebody else has a name.
STANDINGS = ["requested", "pending", "reserved", "active", "unavailable", "ended"]

SCHEMA = """
create table if not exists account (
    owner text primary key, registration text not null unique, username text not null, email text,
    standing integer not null default 0, secret text unique, asked_at real not null
);
create table if not exists mail (
    registration text not null, about text not null, address text, body text not null, link text,
    unique (registration, about)
);
"""


@dataclass
class SignUp:
    """A sign-up as it was asked for."""

    owner: str
    registration: str
    username: str
    email: str | None


class Accounts:
    """Each call has a connection of its own, so threads may share it."""

    def __init__(self, path: str) -> None:
        self.path = path
        with self._connection() as connection:
            connection.executescript(SCHEMA)

    def _connection(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=10)

    def write(self, sign_up: SignUp) -> tuple[str, bool] | None:
        """Writes a sign-up down before any node is asked: its registration, and whether it was sent before. `None`: another
        sign-up of this person is under way. Who got no name, or lost it, may try another one."""
        statement = """insert into account (owner, registration, username, email, asked_at) values (?, ?, ?, ?, ?)
            on conflict (owner) do update set registration = excluded.registration, username = excluded.username,
                email = excluded.email, standing = 0, secret = null, asked_at = excluded.asked_at
            where account.standing >= ?"""
        row = (sign_up.owner, sign_up.registration, sign_up.username, sign_up.email, time.time(), STANDINGS.index("unavailable"))
        with self._connection() as connection:
            if connection.execute(statement, row).rowcount == 1:
                return sign_up.registration, False
            same = "select registration from account where owner = ? and username = ? and email is ?"
            found = connection.execute(same, (sign_up.owner, sign_up.username, sign_up.email)).fetchone()
            return (found[0], True) if found else None

    def refused(self, registration: str) -> None:
        """The visitor is told on this very page, so a mail that the feed has queued meanwhile is not needed any more."""
        with self._connection() as connection:
            connection.execute(
                "update account set standing = ? where registration = ? and standing < ?",
                (STANDINGS.index("unavailable"), registration, STANDINGS.index("reserved")),
            )
            connection.execute("delete from mail where registration = ? and about = 'unavailable'", (registration,))

    def refused_unseen(self, registration: str, why: str) -> None:
        """The same while the visitor is gone."""
        with self._connection() as connection:
            advance(connection, registration, "unavailable", f"Sorry, you did not get the name you asked for: {why}.")

    def account(self, owner: str) -> tuple[SignUp, str, list[str]] | None:
        """The sign-up, its standing, and what the person was told."""
        with self._connection() as connection:
            row = connection.execute(
                "select owner, registration, username, email, standing from account where owner = ?", (owner,)
            ).fetchone()
            if row is None:
                return None
            told = connection.execute("select body from mail where registration = ?", (row[1],)).fetchall()
            return SignUp(*row[:4]), STANDINGS[row[4]], [body for (body,) in told]

    def by_secret(self, secret: str) -> SignUp | None:
        """Whose address the link with this secret verifies."""
        with self._connection() as connection:
            statement = "select owner, registration, username, email from account where secret = ?"
            row = connection.execute(statement, (secret,)).fetchone()
            return SignUp(*row) if row else None

    def unanswered(self, age: float) -> list[SignUp]:
        """Sign-ups of which no node is known to have or to refuse them, although they are so many seconds old."""
        with self._connection() as connection:
            statement = "select owner, registration, username, email from account where standing = 0 and asked_at <= ?"
            return [SignUp(*row) for row in connection.execute(statement, (time.time() - age,))]

    def outbox(self) -> list[tuple[str, str, str]]:
        """The mail that would be sent: to whom, what, with which link."""
        with self._connection() as connection:
            return connection.execute("select address, body, link from mail where address is not null").fetchall()


def standing_of(registration: Registration) -> str:
    """That of a registration as it stands."""
    if registration["status"] in ("pending", "contested"):
        return "pending"
    if registration["status"] == "rejected":
        return "unavailable"
    if any("ended" in claim for claim in registration.get("names", [])):
        return "ended"
    return "reserved" if "expires_at" in registration and not registration.get("activated") else "active"


def learn(connection: sqlite3.Connection, registration: Registration) -> None:
    """The one place where a registration changes an account, told by an event or read from a node."""
    standing, names = standing_of(registration), registration.get("names", [])
    typed = names[0].get("name") if names else None
    bodies = {
        "reserved": f"The name {typed} is yours once you have verified this address.",
        "unavailable": f"Sorry, {registration.get('rejected_by', {}).get('name', typed)} is not available after all: somebody "
        "else asked for it before you did. Please choose another one.",
        "ended": f"The name {typed} is no longer yours.",
    }
    if any(claim.get("ended") == "expired" for claim in names):
        bodies["ended"] = f"This address was not verified in time, so the name {typed} is free again."
    advance(connection, registration["id"], standing, bodies.get(standing))


def forgotten(connection: sqlite3.Connection, registration: str) -> None:
    """A registration that a node had is unknown to it: over, for so long that it was forgotten."""
    advance(connection, registration, "ended", "Your names are no longer yours. Please choose others.")


def open_sign_ups(connection: sqlite3.Connection) -> list[tuple[str, bool]]:
    """Registrations that something may yet become of, and whether a node is known to have had them."""
    statement = "select registration, standing > 0 from account where standing < ?"
    return [(id, bool(known)) for id, known in connection.execute(statement, (STANDINGS.index("unavailable"),))]


def advance(connection: sqlite3.Connection, registration: str, standing: str, body: str | None) -> None:
    """Moves an account on, never back, and with the move queues what is to be said about it: so it is said once. Does nothing for
    a registration that is no account's."""
    place, secret = STANDINGS.index(standing), str(uuid.uuid4()) if standing == "reserved" else None
    statement = """update account set standing = ?, secret = coalesce(?, secret)
        where registration = ? and standing < ? returning owner, email"""
    row = connection.execute(statement, (place, secret, registration, place)).fetchone()
    if row is None or body is None:
        return
    link = f"/verify/{secret}" if secret else f"/account/{row[0]}"
    connection.execute("insert into mail values (?, ?, ?, ?, ?)", (registration, standing, row[1], body, link))
