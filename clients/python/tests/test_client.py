"""Which node is asked, and when a refusal counts, with servers in place of nodes."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from fake import Answer, Cut, Fake, problem, registration
from forename import Client, OtherCluster, Refused, Taken, Uncertain, Unreachable
from forename.client import span
from forename.models import RegistrationBody
from forename.nodes import target

ALICE = [("username", "alice")]


def nobody() -> str:
    """An address at which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def confirms(_method: str, _path: str, body: Any) -> Answer:
    return 201, registration(body["id"])


def test_a_registration_goes_to_the_next_node_under_one_id() -> None:
    with Fake(lambda *_: None) as silent, Fake(lambda *_: problem(503, "leaving")) as leaving, Fake(confirms) as node:
        client = Client([nobody(), silent.address, leaving.address, node.address])
        found = client.register("ann", ALICE, wait="final", ttl=1.5, suggest=3)
        ids = {fake.asked[0][2]["id"] for fake in (silent, leaving, node)}
        assert ids == {found["id"]}
        body = node.asked[0][2]
        assert body == {"id": found["id"], "owner": "ann", "names": [{"namespace": "username", "name": "alice"}],
                        "ttl": "1500ms", "wait": "final", "suggest": 3}
        assert node.headers[0]["content-type"] == "application/json"
        # Which answered last is asked first.
        client.register("ann", ALICE)
        assert (len(silent.asked), len(node.asked)) == (1, 2)


def test_a_refusal_counts_only_where_no_other_node_may_have_taken_it() -> None:
    taken = problem(409, "name-taken", names=[])
    with Fake(lambda *_: None) as silent, Fake(lambda *_: taken) as first, Fake(lambda *_: taken) as second:
        with pytest.raises(Taken) as refusal:
            Client([first.address, second.address]).register("ann", ALICE)
        assert (refusal.value.kind, len(second.asked)) == ("name-taken", 0)
        with pytest.raises(Taken):
            Client([nobody(), first.address]).register("ann", ALICE)
        with pytest.raises(Uncertain) as uncertain:
            Client([silent.address, first.address]).register("ann", ALICE, id="7" * 8)
        assert uncertain.value.registration == "7" * 8
        # Asked before, all have to refuse.
        asked = len(second.asked)
        with pytest.raises(Taken):
            Client([first.address, second.address]).register("ann", ALICE, asked_before=True)
        assert len(second.asked) == asked + 1
        with pytest.raises(Uncertain):
            Client([first.address, nobody()]).register("ann", ALICE, asked_before=True)


def test_a_batch_goes_to_the_next_node_where_nothing_was_taken() -> None:
    def takes(_method: str, _path: str, body: Any) -> Answer:
        answers = ({"line": line, "status": 201, "registration": registration(one["id"])} for line, one in enumerate(body, 1))
        return 200, "\n".join(json.dumps(answer) for answer in answers).encode()

    bodies: list[RegistrationBody] = [
        {"id": str(number), "owner": "ann", "names": [{"namespace": "username", "name": f"a{number}"}]} for number in range(501)
    ]
    with Fake(lambda *_: problem(503, "leaving")) as leaving, Fake(takes) as node:
        lines = list(Client([nobody(), leaving.address, node.address]).register_many(bodies))
        assert [line["line"] for line in lines] == [*range(1, 501), 1]
        assert (len(leaving.asked), len(node.asked)) == (1, 2), "the second batch goes where the first went"
    line = json.dumps({"line": 1, "status": 201, "registration": registration("0")}).encode()
    for begins in (line + b'\n{"li', line + b"\n"):
        with Fake(lambda *_: (200, Cut(begins))) as breaks, Fake(takes) as node:
            client = Client([breaks.address, node.address])
            answers = client.register_many(bodies[:3])
            assert next(answers)["line"] == 1
            with pytest.raises(Unreachable) as error:
                next(answers)
            assert error.value.sent and len(node.asked) == 0
            assert len(list(client.register_many(bodies[:3]))) == 3, "the lines have ids, so they can be sent again"


def test_the_next_batch_goes_elsewhere_where_a_node_refuses_lines_for_now() -> None:
    def refuses(_method: str, _path: str, body: Any) -> Answer:
        return 200, "\n".join(json.dumps({"line": line, "status": 507}) for line, _ in enumerate(body, 1)).encode()

    def takes(_method: str, _path: str, body: Any) -> Answer:
        return 200, "\n".join(json.dumps({"line": line, "status": 201}) for line, _ in enumerate(body, 1)).encode()

    bodies: list[RegistrationBody] = [{"owner": "ann", "names": [{"namespace": "username", "name": f"a{n}"}]} for n in range(501)]
    with Fake(refuses) as low, Fake(takes) as node:
        statuses = [line["status"] for line in Client([low.address, node.address]).register_many(bodies)]
        assert (statuses.count(507), statuses.count(201)) == (500, 1)


def test_what_lost_for_good_is_taken_at_once() -> None:
    lost = problem(409, "registration-rejected")
    with Fake(lambda *_: None) as silent, Fake(lambda *_: lost) as node:
        with pytest.raises(Taken) as error:
            Client([silent.address, node.address]).register("ann", ALICE)
        assert error.value.kind == "registration-rejected"


def test_other_changes_go_on_only_where_nothing_was_done() -> None:
    with Fake(lambda *_: None) as silent, Fake(lambda *_: (200, registration("7"))) as node:
        with pytest.raises(Unreachable) as error:
            Client([silent.address, node.address]).extend("7", "1h")
        assert error.value.sent and node.asked == []
        # Activating twice does no harm.
        assert Client([silent.address, node.address]).activate("7")["id"] == "7"
        client = Client([nobody(), node.address], token="secret").for_owner("ann")
        assert client.activate("7")["id"] == "7"
        assert client.release("7", erase=True)["id"] == "7"
        assert [path for _, path, _ in node.asked[1:]] == ["/v1/registrations/7/activate?owner=ann",
                                                        "/v1/registrations/7?owner=ann&erase=true"]
        assert node.headers[1]["authorization"] == "Bearer secret"


def test_reading_goes_on_also_where_a_node_broke_off_and_says_why_none_answered() -> None:
    with Fake(lambda *_: None) as silent, Fake(lambda *_: (200, {"available": True})) as node:
        assert Client([silent.address, node.address]).name("username", "alice")["available"]
        with pytest.raises(Unreachable) as error:
            Client([silent.address, nobody()]).name("username", "alice")
        assert silent.address in str(error.value)
    with Fake(lambda *_: (502, b"<h1>Bad gateway</h1>")) as proxy, Fake(lambda *_: (200, {"available": True})) as node:
        assert Client([proxy.address, node.address]).name("username", "alice")["available"]
    with Fake(lambda *_: problem(403, "forbidden", scope="read")) as node:
        with pytest.raises(Refused) as refused:
            Client([nobody(), node.address]).cluster()
        assert (refused.value.kind, refused.value.passing) == ("forbidden", False)


def test_an_answer_of_another_cluster_is_an_error() -> None:
    with Fake(lambda *_: (200, {}), "one") as one, Fake(lambda *_: (200, {}), "two") as two:
        client = Client(one.address)
        client.cluster()
        assert client.cluster_id == "one"
        client.cluster()
        assert one.headers[1]["forename-cluster"] == "one"
        with pytest.raises(OtherCluster):
            Client(two.address, cluster="one").cluster()


def test_pages_are_read_to_the_end() -> None:
    pages = {"/v1/names": {"names": [1, 2], "next": "a b"}, "/v1/names?after=a+b": {"names": [], "next": "c"},
             "/v1/names?after=c": {"names": [3]}}
    with Fake(lambda _method, path, _body: (200, pages[path])) as node:
        found: list[Any] = list(Client(node.address).names())
        assert found == [1, 2, 3]


def test_parts_of_addresses_are_encoded() -> None:
    assert target(["v1", "names", "org/42", "a b?é"], {"owner": "a&b", "none": None, "erase": True}) == (
        "/v1/names/org%2F42/a%20b%3F%C3%A9?owner=a%26b&erase=true"
    )
    for bad in ("", ".", ".."):
        with pytest.raises(ValueError, match="cannot be part"):
            target(["v1", bad], None)
    with pytest.raises(ValueError, match="not the address"):
        Client("ftp://127.0.0.1")
    with pytest.raises(ValueError, match="no address"):
        Client([])
    assert [span(value) for value in ("15m", 2, 0.25)] == ["15m", "2000ms", "250ms"]
