//! The addresses to which events may be delivered, and the HTTP client that delivers them.
//!
//! Whoever may make a webhook could otherwise have the node call services of its own network (server-side request
//! forgery). So addresses of private networks are refused unless the operator allows them: in the URL itself, and for a
//! name at each connection, since a name may resolve to another address at any time. Redirects are not followed, and
//! proxies of the environment are not used.
//!
//! Source: IANA special-purpose address registries (RFC 6890); OWASP, *Server-Side Request Forgery Prevention*.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Url, redirect};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;

/// The time in which a connection must be made. A guess: several round trips around the world.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// A URL to which nothing can be delivered.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum TargetError {
    /// The text is no URL.
    #[error("{0:?} is not a URL; write one like https://app.example.org/hooks/forename")]
    Url(String),
    /// The URL has a scheme other than `http` and `https`, or parts that do not belong there.
    #[error("{0:?} is no http or https URL, or has a user, a password or a fragment; write it without these")]
    Parts(String),
    /// The URL names an address of a private network.
    #[error(
        "{0} is an address of a private network; such targets are refused unless the node is started with \
         --webhook-private-targets"
    )]
    Private(IpAddr),
}

/// Checks a URL as far as it can be checked without a connection.
pub(crate) fn check(url: &str, private: bool) -> Result<Url, TargetError> {
    let parsed = Url::parse(url).map_err(|_| TargetError::Url(url.to_owned()))?;
    let plain = parsed.username().is_empty() && parsed.password().is_none() && parsed.fragment().is_none();
    if !matches!(parsed.scheme(), "http" | "https") || !plain || !parsed.has_host() {
        return Err(TargetError::Parts(url.to_owned()));
    }
    let host = parsed.host_str().unwrap_or_default();
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match literal.parse() {
        Ok(address) if !private && !is_public(address) => Err(TargetError::Private(address)),
        _ => Ok(parsed),
    }
}

/// Returns true for an address of the public internet.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_multicast();
    let shared = a == 100 && (64..128).contains(&b);
    let protocol = (a, b, c) == (192, 0, 0) || (a, b, c) == (192, 88, 99);
    let benchmark = a == 198 && (b == 18 || b == 19);
    !(special || shared || protocol || benchmark || a == 0 || a >= 240)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match segments {
        // Addresses of IPv4 in other forms: mapped, compatible, NAT64 and 6to4.
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] => is_public_v4(v4(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => is_public_v4(v4(high, low)),
        // Teredo and other protocols, documentation.
        [0x2001, 0..0x200 | 0xdb8, ..] | [0x3fff, 0..0x1000, ..] => false,
        // Only this part of the space is given out for the public internet.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

/// Resolves names, and leaves out addresses of private networks.
struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                let why = format!(
                    "{} has no address outside private networks; such targets are refused unless the node is started with \
                     --webhook-private-targets",
                    name.as_str()
                );
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, why).into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// The HTTP clients of all deliveries: one for HTTPS, which trusts the authorities of the system, and one for HTTP, which
/// needs none. A client that cannot be made is tried again for the next attempt.
#[derive(Debug)]
pub(super) struct Clients {
    private: bool,
    timeout: Duration,
    https: OnceLock<reqwest::Client>,
    http: OnceLock<reqwest::Client>,
    /// The reason why the client for HTTPS could not be made last. It is logged where it changes.
    failure: Mutex<Option<String>>,
}

impl Clients {
    pub(super) fn new(private: bool, timeout: Duration) -> Self {
        Self { private, timeout, https: OnceLock::new(), http: OnceLock::new(), failure: Mutex::default() }
    }

    /// Returns the client for a URL.
    pub(super) fn of(&self, url: &str) -> Result<reqwest::Client, String> {
        let secure = Url::parse(url).is_ok_and(|url| url.scheme() == "https");
        let place = if secure { &self.https } else { &self.http };
        if let Some(client) = place.get() {
            return Ok(client.clone());
        }
        let made = client(self.private, self.timeout, secure);
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        match made {
            Ok(client) => Ok(place.get_or_init(|| client).clone()),
            Err(error) => {
                let why = format!(
                    "the authorities that the system trusts cannot be read, so no https receiver can be called: {error}; \
                     install them (ca-certificates), or name a file of them in SSL_CERT_FILE"
                );
                if failure.as_ref() != Some(&why) {
                    tracing::error!("{why}");
                    *failure = Some(why.clone());
                }
                Err(why)
            }
        }
    }
}

/// Returns the TLS configuration of a client: it trusts the system's authorities, or nobody where it makes no TLS
/// connections and so needs none.
///
/// # Errors
/// The system's authorities cannot be read.
pub(crate) fn outgoing_tls(secure: bool) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let tls = if secure { tls.with_platform_verifier()? } else { tls.with_root_certificates(RootCertStore::empty()) };
    Ok(tls.with_no_client_auth())
}

fn client(private: bool, timeout: Duration, secure: bool) -> Result<reqwest::Client, String> {
    let tls = outgoing_tls(secure).map_err(|error| error.to_string())?;
    let builder = reqwest::Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT_WITHIN)
        .timeout(timeout)
        .user_agent(concat!("forename/", env!("CARGO_PKG_VERSION")))
        .tls_backend_preconfigured(tls);
    let builder = if private { builder } else { builder.dns_resolver(PublicOnly) };
    builder.build().map_err(|error| error.to_string())
}

/// Returns the scheme, the host and the port of a URL. What follows these may be a secret of the receiver.
pub(crate) fn origin(url: &str) -> String {
    Url::parse(url).map(|url| url.origin().ascii_serialization()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_private_networks_are_told_from_public_ones() {
        for private in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.168.1.1",
            "192.0.0.1",
            "198.18.0.1",
            "203.0.113.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "ff02::1",
            "100::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        for public in
            ["1.1.1.1", "100.128.0.1", "172.32.0.1", "192.0.1.1", "::ffff:1.1.1.1", "2606:4700::1", "2002:0101:0101::"]
        {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn a_url_is_checked_before_anything_is_sent() {
        for url in ["https://app.example.org/hooks?a=1", "http://1.1.1.1:8080/"] {
            assert!(check(url, false).is_ok(), "{url}");
        }
        for url in [
            "",
            "app.example.org",
            "ftp://example.org/",
            "https://u:p@example.org/",
            "https://example.org/#x",
            "file:///etc/passwd",
        ] {
            assert!(matches!(check(url, true), Err(TargetError::Url(_) | TargetError::Parts(_))), "{url}");
        }
        // Other spellings of an address are the same address.
        for url in
            ["http://127.0.0.1/", "http://2130706433/", "http://0x7f.1/", "http://[::1]:80/", "http://[::ffff:7f00:1]/"]
        {
            assert!(matches!(check(url, false), Err(TargetError::Private(_))), "{url}");
            assert!(check(url, true).is_ok(), "{url}");
        }
    }

    #[test]
    fn the_origin_of_a_url_has_no_secret_of_its_path() {
        let (url, wanted) = ("https://hooks.example.org:8443/T0/secret?token=1", "https://hooks.example.org:8443");
        assert_eq!((origin(url).as_str(), origin("no url").as_str()), (wanted, ""));
    }

    #[tokio::test]
    async fn a_name_that_resolves_to_a_private_address_is_refused_when_it_is_called() {
        let client = Clients::new(false, Duration::from_secs(5)).of("http://localhost:9/").unwrap();
        let error = client.post("http://localhost:9/").send().await.unwrap_err();
        assert!(format!("{error:?}").contains("no address outside private networks"), "{error:?}");
    }
}
