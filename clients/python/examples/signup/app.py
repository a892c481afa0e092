"""A sign-up form whose user names and e-mail addresses are unique at forename. See README.md beside this file.

The application may be killed at any moment and simply starts again: a sign-up is written down before forename is asked,
under the id that forename knows it by, and what became of it comes from the feed, each event in one transaction with the
cursor.
"""

from __future__ import annotations

import os
import threading
import uuid
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

from accounts import Accounts, SignUp
from forename import Client
from forename.models import Problem
from names import Names

FORM = """<form method="post" action="/"><input type="hidden" name="owner" value="{owner}">
<label>User name <input name="username" value="{username}" required autofocus></label>
<label>E-mail address, if you like <input type="email" name="email" value="{email}"></label>
<button>Sign up</button></form>"""

STANDS = {
    "requested": "We are still making sure that {} is yours.",
    "pending": "We are still making sure that {} is yours.",
    "reserved": "{} is reserved for you until you follow the link in our mail.",
    "active": "{} is yours.",
    "unavailable": "You did not get {}. Please choose another name.",
    "ended": "{} is no longer yours. Please choose a name.",
}

Page = tuple[int, str, str]


def form(owner: str, username: str = "", email: str = "") -> str:
    return FORM.format(owner=escape(owner), username=escape(username), email=escape(email))


class Pages:
    """What a browser asks for: a status, a title and HTML."""

    def __init__(self, names: Names) -> None:
        self.names, self.accounts = names, names.accounts

    def get(self, path: list[str]) -> Page:
        match path:
            case [""]:
                # Nobody can guess the owner, and whoever knows it is let in: where there are log-ins it comes from the session.
                return 200, "Sign up", form(str(uuid.uuid4()))
            case ["account", owner]:
                return self.account(owner)
            case ["verify", secret] if found := self.accounts.by_secret(secret):
                # Looking at the link does nothing: mail filters do.
                button = f'<form method="post" action="/verify/{escape(secret)}"><button>This is mine</button></form>'
                return 200, "Your address", f"<p>{escape(found.email or '')}</p>{button}"
            case ["outbox"]:
                mails = "".join(f'<li>To {escape(to)}: {escape(body)} <a href="{escape(link)}">{escape(link)}</a></li>'
                                for to, body, link in self.accounts.outbox())
                return 200, "Mail that would be sent", f"<ul>{mails}</ul>"
        return 404, "Nothing is here", "<p><a href='/'>Sign up</a></p>"

    def post(self, path: list[str], fields: dict[str, str]) -> Page:
        match path:
            case [""]:
                return self.sign_up(fields)
            case ["verify", secret] if found := self.accounts.by_secret(secret):
                if self.names.activate(found):
                    return 200, "Thank you", f"<p>{escape(found.username)} is yours.</p>"
                return 410, "Too late", "<p>The link has come too late: the name is free again. Please sign up once more.</p>"
        return 404, "No such link", "<p>This link is not, or no longer, one of ours.</p>"

    def sign_up(self, fields: dict[str, str]) -> Page:
        owner, username, email = (fields.get(name, "").strip() for name in ("owner", "username", "email"))
        sign_up = SignUp(owner or str(uuid.uuid4()), str(uuid.uuid4()), username, email or None)
        written = self.accounts.write(sign_up)
        if written is None:
            return self.account(sign_up.owner)
        sign_up.registration, asked_before = written
        answer = self.names.ask(sign_up, asked_before, self.names.answer_within)
        account = f'<p><a href="/account/{escape(sign_up.owner)}">Your account</a></p>'
        if answer == "confirmed":
            more = "Please follow the link in the mail that we are sending you." if email else "You are all set."
            return 201, f"Welcome, {username}", f"<p>{more}</p>{account}"
        if isinstance(answer, str):
            return 202, "Almost there", f"<p>It takes longer than usual to make sure that the name is yours. We will tell you.</p>{account}"
        self.accounts.refused(sign_up.registration)
        return answer["status"], "Sign up", f"<p>{escape(sorry(answer))}</p>{form(sign_up.owner, username, email)}"

    def account(self, owner: str) -> Page:
        found = self.accounts.account(owner)
        if found is None:
            return 404, "No such account", "<p>Have you signed up?</p>"
        sign_up, standing, told = found
        again = form(owner, email=sign_up.email or "") if standing in ("unavailable", "ended") else ""
        notices = "".join(f"<li>{escape(body)}</li>" for body in told)
        return 200, "Your account", f"<p>{STANDS[standing].format(escape(sign_up.username))}</p><ul>{notices}</ul>{again}"


def sorry(problem: Problem) -> str:
    """Why the names are not to be had, and what would be free."""
    names = problem.get("names", [])
    if not names:
        return problem.get("why") or problem["detail"]
    free = [suggestion for name in names for suggestion in name.get("suggestions", [])]
    return f"{' and '.join(name['name'] for name in names)} not available." + (f" Free are {', '.join(free)}" if free else "")


def handler(pages: Pages) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            self.send(pages.get(self.path.strip("/").split("/")))

        def do_POST(self) -> None:
            text = self.rfile.read(min(int(self.headers.get("content-length") or 0), 65536)).decode("utf-8", "replace")
            fields = {name: values[0] for name, values in parse_qs(text).items()}
            self.send(pages.post(self.path.strip("/").split("/"), fields))

        def send(self, page: Page) -> None:
            status, title, body = page
            text = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title><h1>{escape(title)}</h1>{body}'
            self.send_response(status)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(text.encode())

    return Handler


def main() -> None:
    """Runs until it is killed."""
    setting = os.environ.get
    nodes = setting("NODES", "http://127.0.0.1:7400").split(",")
    accounts = Accounts(setting("DATABASE", "signup.db"))
    front, client = Client(nodes, token=setting("REGISTER_TOKEN")), Client(nodes, token=setting("TOKEN"))
    names = Names(front, client, accounts, float(setting("ANSWER_WITHIN", "5")), setting("VERIFY_WITHIN", "3d"))
    threading.Thread(target=names.follower().run, daemon=True).start()
    threading.Thread(target=names.ask_again, args=(threading.Event(),), daemon=True).start()
    host, _, port = setting("LISTEN", "127.0.0.1:8080").rpartition(":")
    server = ThreadingHTTPServer((host, int(port)), handler(Pages(names)))
    print(f"http://{host}:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
