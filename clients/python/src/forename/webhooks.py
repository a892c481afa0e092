"""Signatures of webhooks, as Standard Webhooks 1.0 describes them (HMAC-SHA256)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Iterable, Mapping

from .errors import BadSignature

# Seconds by which the time of a webhook may be off.
TOLERANCE = 300


def sign(secret: str, id: str, timestamp: int, body: bytes) -> str:
    """The signature of a webhook, like `v1,…`."""
    content = b".".join((id.encode(), str(timestamp).encode(), body))
    return "v1," + base64.b64encode(hmac.digest(_key(secret), content, hashlib.sha256)).decode()


def verify(
    secrets: str | Iterable[str], headers: Mapping[str, str], body: bytes, *, now: float | None = None, tolerance: int = TOLERANCE
) -> str:
    """Checks that a webhook was signed with one of the secrets, and not long ago; returns its id.

    `headers` may be written in any case, `body` is what came, byte by byte. Two secrets are good while one takes the place of
    the other. Drop a webhook whose id is known: it is sent again where the answer was lost. Raises `BadSignature`.
    """
    found = {name.lower(): value for name, value in headers.items()}
    try:
        id, timestamp, signatures = (found[f"webhook-{part}"] for part in ("id", "timestamp", "signature"))
    except KeyError as error:
        raise BadSignature(f"the header {error.args[0]} is missing") from error
    if not (timestamp.isascii() and timestamp.isdigit()):
        raise BadSignature(f"the header webhook-timestamp is {timestamp!r}, and not seconds since 1970")
    if abs((time.time() if now is None else now) - int(timestamp)) > tolerance:
        raise BadSignature(f"the webhook is of another time than now, by more than {tolerance} s")
    expected = [sign(secret, id, int(timestamp), body).encode() for secret in ([secrets] if isinstance(secrets, str) else secrets)]
    given = [signature.encode() for signature in signatures.split(" ")]
    # Each is compared, so that the time tells nothing.
    if not any([hmac.compare_digest(one, other) for one in given for other in expected]):
        raise BadSignature("the webhook is not signed with any of the secrets")
    return id


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error as error:
        raise ValueError("the secret is not written as whsec_ and base64") from error
    # With a secret that was forgotten anybody could sign.
    if len(key) < 24:
        raise ValueError("the secret has less than 24 bytes")
    return key
