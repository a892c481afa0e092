//! A relay between a newcomer and its sponsor that stops in the middle of the transfer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// A size that no datagram of QUIC exceeds.
const DATAGRAM: usize = 65_536;

/// Passes datagrams on. It stops once a number of bytes has reached the newcomer, until the newcomer dials again.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    seen: Arc<Seen>,
    pump: JoinHandle<std::io::Result<()>>,
}

#[derive(Default)]
struct Seen {
    /// The number of bytes that have reached the newcomer.
    passed: AtomicU64,
    /// True once the newcomer has dialled again after the stop.
    dialled_again: AtomicBool,
}

impl Relay {
    pub(crate) async fn to(sponsor: SocketAddr, breaks_after: u64) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let front = UdpSocket::bind(any).await.expect("a port of loopback");
        let back = UdpSocket::bind(any).await.expect("a port of loopback");
        back.connect(sponsor).await.expect("the sponsor's address");
        let address = front.local_addr().expect("a bound socket has an address");
        let seen = Arc::new(Seen::default());
        let pump = tokio::spawn(pump(front, back, breaks_after, seen.clone()));
        Self { address, seen, pump }
    }

    /// The number of bytes that have reached the newcomer.
    pub(crate) fn passed(&self) -> u64 {
        self.seen.passed.load(Ordering::Relaxed)
    }

    /// Returns true once the newcomer has dialled again after the stop.
    pub(crate) fn was_broken(&self) -> bool {
        self.seen.dialled_again.load(Ordering::Relaxed)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.pump.abort();
    }
}

async fn pump(front: UdpSocket, back: UdpSocket, breaks_after: u64, seen: Arc<Seen>) -> std::io::Result<()> {
    let (mut there, mut here) = (vec![0; DATAGRAM], vec![0; DATAGRAM]);
    let mut newcomer = None;
    loop {
        let passed = seen.passed.load(Ordering::Relaxed);
        let mut broken = passed >= breaks_after && !seen.dialled_again.load(Ordering::Relaxed);
        tokio::select! {
            datagram = front.recv_from(&mut there) => {
                let (length, from) = datagram?;
                newcomer = Some(from);
                if broken && is_initial(&there[..length]) {
                    // The newcomer has given up the broken connection and begins another one.
                    seen.dialled_again.store(true, Ordering::Relaxed);
                    broken = false;
                }
                if !broken {
                    back.send(&there[..length]).await?;
                }
            }
            datagram = back.recv(&mut here) => {
                let length = datagram?;
                if let Some(newcomer) = newcomer.filter(|_| !broken) {
                    front.send_to(&here[..length], newcomer).await?;
                    seen.passed.fetch_add(length as u64, Ordering::Relaxed);
                }
            }
        }
    }
}

/// Returns true where a datagram begins a connection: an Initial packet (RFC 9000, section 17.2.2).
fn is_initial(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|first| first & 0b1111_0000 == 0b1100_0000)
}
