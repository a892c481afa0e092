"""The sign-up example against real nodes, killed and started again. See test_live.py for where they are."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NODES = os.environ.get("FORENAME_NODES", "")
DEADLINE = 60.0
EXAMPLE = Path(__file__).parents[1] / "examples/signup"


@contextmanager
def app(database: Path) -> Iterator[str]:
    """The example as a process, ended by kill -9; its address."""
    source = EXAMPLE.parents[1] / "src"
    environment = {**os.environ, "PYTHONPATH": str(source), "DATABASE": str(database), "NODES": NODES, "LISTEN": "127.0.0.1:0"}
    process = subprocess.Popen([sys.executable, "app.py"], cwd=EXAMPLE, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def ask(address: str, fields: dict[str, str] | None = None) -> tuple[int, str]:
    body = None if fields is None else urllib.parse.urlencode(fields).encode()
    try:
        with urllib.request.urlopen(address, body, timeout=DEADLINE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def shows(address: str, text: str) -> str:
    """Looks at a page until it shows this."""
    end = time.monotonic() + DEADLINE
    while text not in (page := ask(address)[1]):
        assert time.monotonic() < end, page
        time.sleep(0.02)
    return page


@pytest.mark.skipif(not NODES, reason="FORENAME_NODES does not say where the nodes are")
def test_people_sign_up_and_are_told_also_across_a_crash(tmp_path: Path) -> None:
    database = tmp_path / "signup.db"
    zoe, other, dan = (str(uuid.uuid4()) for _ in range(3))
    with app(database) as address:
        status, page = ask(address, {"owner": zoe, "username": "zoe"})
        assert status == 201 and "You are all set" in page
        # Sent twice, it is one sign-up.
        assert ask(address, {"owner": zoe, "username": "zoe"})[0] == 201
        status, page = ask(address, {"owner": other, "username": "ZOE"})
        assert status == 409 and "ZOE not available. Free are" in page
        status, page = ask(address, {"owner": other, "username": "<i> a"})
        assert status == 422 and "<i>" not in page.split("</h1>")[1]
        assert ask(address, {"owner": dan, "username": "dan", "email": "dan@example.org"})[0] == 201
        shows(f"{address}/account/{dan}", "dan is reserved for you")
        shows(f"{address}/account/{zoe}", "zoe is yours")
    # Killed, it goes on where it was; nobody is told anything twice.
    with app(database) as address:
        outbox = ask(f"{address}/outbox")[1]
        links = re.findall(r'To dan@example.org: .*?href="(/verify/[^"]*)"', outbox)
        assert len(links) == 1
        assert "dan@example.org" in ask(address + links[0])[1]
        assert ask(address + links[0], {})[0] == 200
        shows(f"{address}/account/{dan}", "dan is yours")
        assert ask(address + links[0], {})[0] == 200
        assert ask(f"{address}/verify/{uuid.uuid4()}", {})[0] == 404
        # Whoever was refused may take another name.
        assert ask(address, {"owner": other, "username": "zoe2"})[0] == 201
        shows(f"{address}/account/{other}", "zoe2 is yours")
