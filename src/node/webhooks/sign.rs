//! Signatures of deliveries. Source: Standard Webhooks 1.0, <https://www.standardwebhooks.com>.

use data_encoding::BASE64;
use ring::hmac;

use crate::crdt::HookSecret;

/// The first characters of a secret as text.
const PREFIX: &str = "whsec_";

/// Returns a secret as its receiver gets it.
pub(crate) fn secret_text(secret: &HookSecret) -> String {
    format!("{PREFIX}{}", BASE64.encode(&secret.0))
}

/// Returns the value of the header `webhook-signature`, with a signature of each secret.
pub(super) fn signatures<'a>(
    secrets: impl IntoIterator<Item = &'a HookSecret>,
    id: &str,
    timestamp: u64,
    body: &[u8],
) -> String {
    let content = [format!("{id}.{timestamp}.").as_bytes(), body].concat();
    let sign = |secret: &HookSecret| {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret.0), &content);
        format!("v1,{}", BASE64.encode(tag.as_ref()))
    };
    secrets.into_iter().map(sign).collect::<Vec<_>>().join(" ")
}

/// Returns the value of the header `webhook-id` for the id of an event. The ids of most events consist of the characters
/// that stay. All others, such as letters of a name that are not ASCII, are percent-encoded; so is the full stop, which
/// separates the parts of what is signed. Two events never have the same value.
pub(super) fn webhook_id(event: &str) -> String {
    let mut id = String::with_capacity(event.len());
    for byte in event.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_/#@+:".contains(&byte) {
            id.push(char::from(byte));
        } else {
            id.push_str(&format!("%{byte:02X}"));
        }
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(content: &[u8]) -> [u8; 32] {
        let mut secret = [0; 32];
        secret[..content.len()].copy_from_slice(content);
        secret
    }

    /// The vector that the implementations of Standard Webhooks are tested with. Its secret has 24 bytes; an HMAC pads
    /// its key with zeros, so the same key with zeros at its end gives the same signature.
    #[test]
    fn the_published_vector_is_signed() {
        let key = BASE64.decode(b"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let secret = HookSecret(vector(&key));
        let signed = signatures([&secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let both = signatures(
            [&HookSecret([1; 32]), &secret],
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert!(both.ends_with(&format!(" {signed}")), "{both}");
    }

    #[test]
    fn an_id_can_stand_in_a_header_and_has_no_full_stop() {
        assert_eq!(webhook_id("0198c0de-0000/confirmed"), "0198c0de-0000/confirmed");
        assert_eq!(webhook_id("a/ended/org.x/j\u{f6}rg 1%"), "a/ended/org%2Ex/j%C3%B6rg%201%25");
    }
}
