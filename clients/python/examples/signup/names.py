"""Asking forename for names, at whichever node answers, and following what becomes of them."""

from __future__ import annotations

import logging
import sqlite3
import threading
from dataclasses import dataclass

from accounts import Accounts, SignUp, forgotten, learn, open_sign_ups
from forename import Client, Follower, ForenameError, Refused, SqliteStore
from forename.models import Event, Problem

log = logging.getLogger("signup")
# Seconds between looks for sign-ups that no node has answered, and how old they must be: older than a visitor's own request.
LOOK_EVERY, UNANSWERED_AFTER = 10.0, 120.0


@dataclass
class Names:
    """The names of a sign-up, at forename."""

    # For the public form: its token has the scope `register` alone.
    front: Client
    # Reads the feed and activates.
    client: Client
    accounts: Accounts
    answer_within: float
    verify_within: str

    def ask(self, sign_up: SignUp, asked_before: bool, wait: float) -> str | Problem:
        """`confirmed`, `pending`, or why the names are not to be had. Both names or none; with an address a reservation."""
        names = [("username", sign_up.username)] + ([("email", sign_up.email)] if sign_up.email else [])
        ttl = self.verify_within if sign_up.email else None
        try:
            found = self.front.register(
                sign_up.owner, names, id=sign_up.registration, ttl=ttl, wait="final" if wait else "none", timeout=wait,
                suggest=3, asked_before=asked_before,
            )
        except Refused as error:
            if 400 <= error.status < 500 and error.status != 429 and error.kind != "id-reused":
                return error.problem
            log.warning("a sign-up has no answer yet: %s", error)
        except ForenameError as error:
            log.warning("a sign-up has no answer yet: %s", error)
        else:
            return found["status"]
        return "pending"

    def activate(self, sign_up: SignUp) -> bool:
        """Makes a reservation permanent; false where it has ended or lost."""
        try:
            self.client.for_owner(sign_up.owner).activate(sign_up.registration)
        except Refused as error:
            if error.kind != "too-late":
                raise
            return False
        return True

    def ask_again(self, stopped: threading.Event) -> None:
        """Asks again for sign-ups that no node is known to have or to refuse: all at the start, later those that nobody waits for."""
        age = 0.0
        while True:
            for sign_up in self.accounts.unanswered(age):
                answer = self.ask(sign_up, asked_before=True, wait=0)
                # Of what was accepted the feed will tell.
                if not isinstance(answer, str):
                    self.accounts.refused_unseen(sign_up.registration, answer["detail"])
            age = UNANSWERED_AFTER
            if stopped.wait(LOOK_EVERY):
                return

    def follower(self) -> Follower:
        """Keeps the accounts up to date: each event once, in one transaction with the cursor."""
        return Follower(self.client, SqliteStore(self.accounts.path, on_event, on_gap))


def on_event(connection: sqlite3.Connection, event: Event) -> None:
    learn(connection, event["data"]["registration"])


def on_gap(connection: sqlite3.Connection, node: Client) -> None:
    """Events are lost, registrations are as they were: those that are open here are read one by one."""
    for registration, was_known in open_sign_ups(connection):
        try:
            learn(connection, node.registration(registration))
        except Refused as error:
            if error.kind != "no-registration":
                raise
            # It is over, for so long that it was forgotten.
            if was_known:
                forgotten(connection, registration)
