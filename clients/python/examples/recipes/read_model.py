"""Who has which name, in a table of your database that webhooks keep up to date. `docs/recipes.md` says how to use it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from forename import BadSignature
from forename.models import Claim, Event, Registration
from forename.webhooks import verify
from sql import Connection, execute, transaction

SCHEMA = """
create table if not exists delivery (id text primary key);
create table if not exists claim (
    registration text not null, namespace text not null, key text not null, name text, owner text not null, standing text not null,
    primary key (registration, namespace, key)
);
create index if not exists claim_by_name on claim (namespace, key, standing);
"""
ORDER = ["pending", "confirmed", "ended"]


def take(connection: Connection, secrets: Iterable[str], headers: Mapping[str, str], body: bytes) -> int:
    """Takes one delivery, and returns the HTTP status to answer with. The event and its id are written in one transaction, so a
    delivery that is made again, because the answer was lost, changes nothing."""
    try:
        id = verify(secrets, headers, body)
    except BadSignature:
        return 401
    with transaction(connection):
        if execute(connection, "insert into delivery values (?) on conflict do nothing", (id,)).rowcount == 1:
            learn(connection, json.loads(body))
    return 204


def learn(connection: Connection, event: Event) -> None:
    """Moves the claims of a registration on. They never go back, so an event from another node that comes late does no harm."""
    registration = event["data"]["registration"]
    if registration.get("erased"):
        execute(connection, "delete from claim where registration = ?", (registration["id"],))
    ended = event["data"].get("name")
    for claim in registration.get("names", []):
        is_ended = ended is not None and (claim["namespace"], claim["key"]) == (ended["namespace"], ended["key"])
        write(connection, registration, claim, "ended" if is_ended else standing(registration, claim))


def standing(registration: Registration, claim: Claim) -> str:
    if registration["status"] == "rejected" or "ended" in claim:
        return "ended"
    return "confirmed" if registration["status"] == "confirmed" else "pending"


def write(connection: Connection, registration: Registration, claim: Claim, standing: str) -> None:
    row = (registration["id"], claim["namespace"], claim["key"], claim.get("name"), registration.get("owner", ""), standing)
    execute(connection, "insert into claim values (?, ?, ?, ?, ?, ?) on conflict do nothing", row)
    earlier = ORDER[: ORDER.index(standing)]
    if not earlier:
        return
    marks = ", ".join("?" for _ in earlier)
    statement = f"update claim set standing = ? where registration = ? and namespace = ? and key = ? and standing in ({marks})"
    execute(connection, statement, (standing, *row[:3], *earlier))


def holder(connection: Connection, namespace: str, key: str) -> str | None:
    """The owner of a name, as far as the deliveries have told."""
    statement = "select owner from claim where namespace = ? and key = ? and standing = 'confirmed'"
    found = execute(connection, statement, (namespace, key)).fetchone()
    return None if found is None else str(found[0])
