"""The databases and the broker that the recipes are tried with."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Debian's package has the programs in a directory of its version.
SERVERS = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Where a PostgreSQL server of this test listens: a socket in a directory of its own, and no port."""
    found = shutil.which("initdb") or next((str(bin / "initdb") for bin in SERVERS if (bin / "initdb").exists()), None)
    if found is None:
        pytest.skip("there is no PostgreSQL")
    # The server does not run as root.
    user: dict[str, Any] = {"user": "postgres", "group": "postgres"} if os.getuid() == 0 else {}
    home = tempfile.mkdtemp(prefix="forename-postgres")
    if user:
        shutil.chown(home, **user)
    options: dict[str, Any] = {**user, "cwd": home, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    data = ["-D", f"{home}/data"]
    arguments = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--no-sync"]
    subprocess.run([found, *data, *arguments], check=True, **options)
    server = subprocess.Popen([str(Path(found).with_name("postgres")), *data, "-k", home, "-h", "", "-F"], **options)
    try:
        yield f"host={home} user=postgres"
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(home)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A connection to an empty database, which threads may share."""
    if request.param == "sqlite":
        connection: Any = sqlite3.connect(":memory:", check_same_thread=False)
    else:
        connection = connect(request.getfixturevalue("postgres"))
        connection.execute("drop schema public cascade")
        connection.execute("create schema public")
    yield connection
    connection.close()


def connect(server: str) -> Any:
    import psycopg

    deadline = time.monotonic() + 60
    while True:
        try:
            return psycopg.connect(server, dbname="postgres", autocommit=True)
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[str]:
    """Where a NATS server of this test listens, with JetStream in a directory of its own."""
    program = shutil.which("nats-server") or "/usr/sbin/nats-server"
    if not Path(program).exists():
        pytest.skip("there is no nats-server")
    ports = tmp_path / "ports"
    ports.mkdir()
    arguments = ["-a", "127.0.0.1", "-p", "-1", "-js", "-sd", str(tmp_path / "js"), "--ports_file_dir", str(ports)]
    server = subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not (files := [file for file in ports.iterdir() if file.suffix == ".ports"]):
            assert time.monotonic() < deadline and server.poll() is None
            time.sleep(0.05)
        yield str(json.loads(files[0].read_text())["nats"][0])
    finally:
        server.terminate()
        server.wait()
