//! A UDP socket that drops the datagrams which a [`LinkFilter`] does not let pass.

use std::collections::BTreeSet;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll, ready};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};

use super::LinkFilter;

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
