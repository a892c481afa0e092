"""Signatures, against the vector that the implementations of Standard Webhooks are tested with."""

import pytest

from forename import BadSignature
from forename.webhooks import sign, verify

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + "QUJD" * 8
ID, TIME, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def headers(signature: str = SIGNATURE, timestamp: str = str(TIME)) -> dict[str, str]:
    return {"Webhook-Id": ID, "webhook-timestamp": timestamp, "WEBHOOK-SIGNATURE": signature}


def test_the_published_vector_is_signed_and_verified() -> None:
    assert sign(SECRET, ID, TIME, BODY) == SIGNATURE
    assert sign(SECRET.removeprefix("whsec_"), ID, TIME, BODY) == SIGNATURE
    assert verify(SECRET, headers(), BODY, now=TIME) == ID


def test_one_of_two_secrets_and_of_several_signatures_is_enough() -> None:
    assert verify([OTHER, SECRET], headers(), BODY, now=TIME) == ID
    both = f"v2,whatever {sign(OTHER, ID, TIME, BODY)} {SIGNATURE}"
    assert verify(SECRET, headers(both), BODY, now=TIME) == ID
    assert verify(OTHER, headers(both), BODY, now=TIME) == ID


@pytest.mark.parametrize(
    ("secret", "given", "body", "now"),
    [
        (OTHER, headers(), BODY, TIME),
        (SECRET, headers(), BODY + b" ", TIME),
        (SECRET, headers(), BODY, TIME + 301),
        (SECRET, headers(), BODY, TIME - 301),
        (SECRET, headers(timestamp=f"{TIME}.0"), BODY, TIME),
        (SECRET, headers(timestamp=str(TIME + 1)), BODY, TIME),
        (SECRET, headers("v1,"), BODY, TIME),
        (SECRET, headers("v1,ä"), BODY, TIME),
        (SECRET, headers(SIGNATURE.replace("v1,", "v1a,")), BODY, TIME),
        (SECRET, {"webhook-id": ID, "webhook-timestamp": str(TIME)}, BODY, TIME),
    ],
)
def test_anything_else_is_refused(secret: str, given: dict[str, str], body: bytes, now: int) -> None:
    with pytest.raises(BadSignature):
        verify(secret, given, body, now=now)


def test_a_secret_that_is_none_is_an_error_of_the_caller() -> None:
    with pytest.raises(ValueError, match="base64"):
        sign("whsec_!", ID, TIME, BODY)
