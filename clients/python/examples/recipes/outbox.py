"""A person's row in a SQL database beside a claim in forename, in both orders. `docs/recipes.md` says when to use which."""

from __future__ import annotations

import uuid

from forename import Client, Refused, Taken, Uncertain, Unreachable
from forename.models import Event, Registration
from sql import Connection, execute, transaction

SCHEMA = """
create table if not exists person (id text primary key, name text not null, standing text not null, registration text unique);
create table if not exists outbox (registration text primary key, person text not null, name text not null, asked integer not null);
"""
NAMESPACE = "username"


def row_first(connection: Connection, name: str) -> str:
    """The row first: the person and the claim that is to be made are written in one transaction. `drain` makes the claim."""
    person, registration = str(uuid.uuid4()), str(uuid.uuid4())
    with transaction(connection):
        execute(connection, "insert into person values (?, ?, 'requested', ?)", (person, name, registration))
        execute(connection, "insert into outbox values (?, ?, ?, 0)", (registration, person, name))
    return person


def drain(connection: Connection, client: Client) -> None:
    """Makes the claims of the outbox. It may be cut off anywhere and begun again: a claim has its id before it is made, and where
    it may have been made already a refusal by another node does not count (`Uncertain`)."""
    for registration, person, name, asked in execute(connection, "select * from outbox").fetchall():
        with transaction(connection):
            execute(connection, "update outbox set asked = 1 where registration = ?", (registration,))
        try:
            found = client.register(person, [(NAMESPACE, name)], id=registration, asked_before=bool(asked))
        except (Unreachable, Uncertain):
            continue
        except Refused as refused:
            if not isinstance(refused, Taken) and refused.passing:
                continue
            with transaction(connection):
                advance(connection, registration, "rejected")
                execute(connection, "delete from outbox where registration = ?", (registration,))
        else:
            with transaction(connection):
                learn(connection, found)
                execute(connection, "delete from outbox where registration = ?", (registration,))


def claim_first(connection: Connection, client: Client, name: str, ttl: str = "15m") -> str:
    """The claim first: the name is reserved, then the row is written, then `catch_up` keeps the name for good. Raises `Taken`, and
    writes nothing, where somebody has the name. A crash in between leaves a reservation, which ends by itself."""
    person, registration = str(uuid.uuid4()), str(uuid.uuid4())
    client.register(person, [(NAMESPACE, name)], id=registration, ttl=ttl)
    with transaction(connection):
        execute(connection, "insert into person values (?, ?, 'requested', ?)", (person, name, registration))
    # The feed may have told the outcome before the row was there, so it is asked for once more, here or by `catch_up`.
    catch_up(connection, client)
    return person


def on_event(connection: Connection, event: Event) -> None:
    """For `forename.SqliteStore`: in one transaction with the cursor of the feed."""
    learn(connection, event["data"]["registration"])


def learn(connection: Connection, registration: Registration) -> None:
    """The one place where an outcome changes a person."""
    if registration["status"] == "rejected" or any("ended" in claim for claim in registration.get("names", [])):
        advance(connection, registration["id"], "rejected")
    elif registration["status"] == "confirmed":
        reserved = "expires_at" in registration and not registration.get("activated")
        advance(connection, registration["id"], "reserved" if reserved else "active")


def advance(connection: Connection, registration: str, standing: str) -> None:
    """Moves a person on and never back, because outcomes may be told twice and in another order."""
    order = ["requested", "reserved", "active", "rejected"]
    earlier = order[: order.index(standing)]
    marks = ", ".join("?" for _ in earlier)
    statement = f"update person set standing = ? where registration = ? and standing in ({marks})"
    execute(connection, statement, (standing, registration, *earlier))


def catch_up(connection: Connection, client: Client) -> None:
    """Asks what became of claims whose outcome is not known, and keeps reserved names for good. May be called at any time."""
    statement = "select registration, standing from person where standing in ('requested', 'reserved') and registration not in (select registration from outbox)"
    for registration, standing in execute(connection, statement).fetchall():
        try:
            found = client.registration(registration)
            if found["status"] == "confirmed" and "expires_at" in found and not found.get("activated"):
                found = client.activate(registration)
        except (Unreachable, Uncertain):
            continue
        except Refused as refused:
            if not refused.passing:
                raise
            continue
        with transaction(connection):
            learn(connection, found)
