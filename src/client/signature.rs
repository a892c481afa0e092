//! Signatures of webhooks at their receiver. Source: Standard Webhooks 1.0, <https://www.standardwebhooks.com>.

use data_encoding::BASE64;
use reqwest::header::HeaderMap;
use ring::hmac;

/// The least number of bytes of a secret, by the specification. So no secret that was forgotten counts.
const LEAST: usize = 24;
/// The most signatures of a delivery that are looked at: each costs a hash of the body. A node sends one or two.
const MOST: usize = 16;
/// The number of seconds by which the time of a delivery may differ from the receiver's.
const TOLERANCE: u64 = 300;

/// The reason why a delivery is not taken for a node's.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SignatureError {
    /// The secret is not one that a node has given out.
    #[error("the secret is not written as whsec_ and base64 of at least {LEAST} bytes")]
    Secret,
    /// A header is missing, or is no text.
    #[error("the header {0} is missing")]
    Missing(&'static str),
    /// The time is not valid.
    #[error("the header webhook-timestamp is not seconds since 1970")]
    Timestamp,
    /// The delivery may be an old one that somebody has recorded.
    #[error("the webhook is of another time than now, by more than {TOLERANCE} s")]
    Old,
    /// None of the signatures is one of the body.
    #[error("the webhook is not signed with any of the secrets")]
    Unsigned,
}

/// Checks that a webhook was signed with one of these secrets, and within the last five minutes. Returns the id of the event,
/// `webhook-id`: drop the delivery where the id is known, because it is made again where its answer was lost. Two secrets are
/// good while one takes the place of the other. `body` has to be what came, byte by byte, and `headers` its headers; those of
/// `axum`, `hyper` and `reqwest` are of this type.
///
/// # Errors
/// See [`SignatureError`]. Answer 401, and do nothing else.
///
/// ```
/// use forename::client::verify_webhook;
///
/// # fn receive(headers: &reqwest::header::HeaderMap, body: &[u8]) {
/// match verify_webhook(["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"], headers, body) {
///     Ok(id) => println!("{id} counts, if it is not known"),
///     Err(error) => println!("401: {error}"),
/// }
/// # }
/// # receive(&reqwest::header::HeaderMap::new(), b"");
/// ```
pub fn verify_webhook<'a>(
    secrets: impl IntoIterator<Item = &'a str>,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<String, SignatureError> {
    verify_at(now(), secrets, headers, body)
}

#[expect(clippy::disallowed_methods, reason = "a delivery is checked now")]
fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn verify_at<'a>(
    now: u64,
    secrets: impl IntoIterator<Item = &'a str>,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<String, SignatureError> {
    let header = |name: &'static str| {
        headers.get(name).and_then(|value| value.to_str().ok()).ok_or(SignatureError::Missing(name))
    };
    let (id, timestamp, signatures) =
        (header("webhook-id")?, header("webhook-timestamp")?, header("webhook-signature")?);
    let time: u64 = timestamp.parse().map_err(|_| SignatureError::Timestamp)?;
    let content = [format!("{id}.{timestamp}.").as_bytes(), body].concat();
    let given: Vec<_> = signatures
        .split(' ')
        .filter_map(|signature| BASE64.decode(signature.strip_prefix("v1,")?.as_bytes()).ok())
        .filter(|tag| tag.len() == hmac::HMAC_SHA256.digest_algorithm().output_len())
        .take(MOST)
        .collect();
    let mut is_signed = false;
    for secret in secrets {
        let text = secret.strip_prefix("whsec_").unwrap_or(secret);
        let key = BASE64.decode(text.as_bytes()).ok().filter(|key| key.len() >= LEAST).ok_or(SignatureError::Secret)?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        is_signed |= given.iter().any(|tag| hmac::verify(&key, &content, tag).is_ok());
    }
    match is_signed {
        false => Err(SignatureError::Unsigned),
        true if now.abs_diff(time) > TOLERANCE => Err(SignatureError::Old),
        true => Ok(id.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const OTHER: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const AT: u64 = 1_614_265_330;

    /// The vector that the implementations of Standard Webhooks are tested with.
    fn published() -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            ("webhook-signature", "v1a,bm90 v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn the_published_vector_is_verified_with_the_old_secret_or_the_new_one() {
        let id = Ok("msg_p5jXN8AQM9LWM0D4loKWxJek".to_owned());
        for secrets in [vec![SECRET], vec![OTHER, SECRET], vec![SECRET, OTHER]] {
            assert_eq!(verify_at(AT + TOLERANCE, secrets, &published(), BODY), id);
        }
    }

    #[test]
    fn what_is_not_as_it_was_signed_is_refused() {
        let verify = |headers: &HeaderMap, body| verify_at(AT, [SECRET], headers, body);
        assert_eq!(verify(&published(), b"{}"), Err(SignatureError::Unsigned));
        assert_eq!(verify_at(AT, [OTHER], &published(), BODY), Err(SignatureError::Unsigned));
        assert_eq!(verify_at(AT, [], &published(), BODY), Err(SignatureError::Unsigned), "without a secret nothing is");
        for secret in ["whsec_?", "", "whsec_", "whsec_QUJD"] {
            assert_eq!(verify_at(AT, [secret], &published(), BODY), Err(SignatureError::Secret), "{secret}");
        }
        for now in [AT - TOLERANCE - 1, AT + TOLERANCE + 1] {
            assert_eq!(verify_at(now, [SECRET], &published(), BODY), Err(SignatureError::Old));
        }
        let with = |name: &'static str, value: &str| {
            let mut headers = published();
            headers.insert(name, value.parse().unwrap());
            headers
        };
        assert_eq!(verify(&with("webhook-id", "msg_other"), BODY), Err(SignatureError::Unsigned));
        assert_eq!(verify(&with("webhook-timestamp", "1614265331"), BODY), Err(SignatureError::Unsigned));
        assert_eq!(verify(&with("webhook-timestamp", "soon"), BODY), Err(SignatureError::Timestamp));
        assert_eq!(verify(&with("webhook-signature", "g0hM9SsE"), BODY), Err(SignatureError::Unsigned));
        let many = format!("{} v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", "v1, ".repeat(900));
        assert!(verify(&with("webhook-signature", &many), BODY).is_ok(), "what cannot be one is passed over");
        let mut headers = published();
        headers.remove("webhook-signature");
        assert_eq!(verify(&headers, BODY), Err(SignatureError::Missing("webhook-signature")));
    }
}
