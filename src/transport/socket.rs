//! A UDP socket that drops the datagrams which a [`LinkFilter`] does not let pass.

use std::collections::BTreeSet;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
#[cfg(unix)]
use std::net::UdpSocket;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll, ready};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};

use super::LinkFilter;

/// The size in bytes of the buffers between the socket and this process. The system's default holds some hundred datagrams,
/// which come within a millisecond while a peer catches up. What does not fit is lost, and sent again after a while. A
/// guess: as much as arrives during some long steps of the driver.
#[cfg(unix)]
const BUFFER: usize = 4 << 20;

/// Asks for large buffers. Linux grants what `net.core.rmem_max` and `net.core.wmem_max` allow, and says nothing where
/// that is less; a socket with small buffers works, too.
#[cfg(unix)]
pub(super) fn enlarge(socket: &UdpSocket) {
    use rustix::net::sockopt;

    let receive = || match sockopt::socket_recv_buffer_size(socket)? {
        size if size < BUFFER => sockopt::set_socket_recv_buffer_size(socket, BUFFER),
        _ => Ok(()),
    };
    let send = || match sockopt::socket_send_buffer_size(socket)? {
        size if size < BUFFER => sockopt::set_socket_send_buffer_size(socket, BUFFER),
        _ => Ok(()),
    };
    if let Err(error) = receive().and_then(|()| send()) {
        tracing::debug!("the buffers of the socket for peers cannot be enlarged: {error}");
    }
}

/// A socket behind a filter. Datagrams are dropped silently, as on a real link.
#[derive(Debug)]
pub(super) struct FilteredSocket {
    inner: Arc<dyn AsyncUdpSocket>,
    local: SocketAddr,
    filter: Arc<dyn LinkFilter>,
}

impl FilteredSocket {
    pub(super) fn new(inner: Arc<dyn AsyncUdpSocket>, filter: Arc<dyn LinkFilter>) -> io::Result<Self> {
        let local = inner.local_addr()?;
        Ok(Self { inner, local, filter })
    }
}

impl AsyncUdpSocket for FilteredSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.inner).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        if self.filter.passes(self.local, transmit.destination) { self.inner.try_send(transmit) } else { Ok(()) }
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let received = ready!(self.inner.poll_recv(cx, bufs, meta))?;
        for datagrams in meta.iter_mut().take(received) {
            if !self.filter.passes(datagrams.addr, self.local) {
                // QUIC ignores a buffer without bytes.
                datagrams.len = 0;
            }
        }
        Poll::Ready(Ok(received))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.inner.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.inner.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
    }
}

/// A set of links that are cut, for demonstrations and tests. Nodes that listen at a wildcard address cannot be
/// distinguished.
#[derive(Debug, Default)]
pub struct Cuts {
    cut: RwLock<BTreeSet<(SocketAddr, SocketAddr)>>,
}

impl Cuts {
    /// Makes a set without any cut link.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Cuts the link between two nodes in both directions.
    pub fn cut(&self, a: SocketAddr, b: SocketAddr) {
        self.write().extend([(a, b), (b, a)]);
    }

    /// Cuts the link in one direction only.
    pub fn cut_one_way(&self, from: SocketAddr, to: SocketAddr) {
        self.write().insert((from, to));
    }

    /// Restores the link between two nodes in both directions.
    pub fn mend(&self, a: SocketAddr, b: SocketAddr) {
        self.write().retain(|link| *link != (a, b) && *link != (b, a));
    }

    /// Restores every link.
    pub fn heal(&self) {
        self.write().clear();
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, BTreeSet<(SocketAddr, SocketAddr)>> {
        self.cut.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LinkFilter for Cuts {
    fn passes(&self, from: SocketAddr, to: SocketAddr) -> bool {
        !self.cut.read().unwrap_or_else(PoisonError::into_inner).contains(&(from, to))
    }
}
