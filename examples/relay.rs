//! Passes datagrams between nodes on one machine, each after a delay, so that they seem to be far apart.
//!
//! `cargo run --release --example relay -- --member 127.0.0.1:7501=127.0.0.1:7401 --member 127.0.0.1:7502=127.0.0.1:7402
//! --delay 0-1=45`
//!
//! A member is given as the address that it advertises, at which the relay listens, and the address at which it listens
//! itself. A link between two members, given by their places in the list, has a delay in milliseconds each way. A node that
//! the relay does not know gets nothing through. Where the relay is ended, all links are cut; started again with the same
//! arguments it heals them. `benches/apart.sh` uses it.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// A size that no datagram of QUIC exceeds.
const DATAGRAM: usize = 65_536;

/// The size in bytes of a socket's buffers, as far as the system allows.
#[cfg(unix)]
const BUFFER: usize = 4 << 20;

/// The number of datagrams that may be on their way over a link. What is beyond it is lost, as in a router. A guess: more than
/// the fastest link of a benchmark has on its way in a quarter of a second.
const ON_THE_WAY: usize = 65_536;

/// Passes datagrams between nodes on one machine, each after a delay.
#[derive(Parser, Debug)]
struct Args {
    /// The address that a member advertises, and the one at which it listens
    #[arg(long = "member", value_name = "FRONT=BACK", required = true)]
    members: Vec<Member>,
    /// The delay each way between two members, given by their places, in milliseconds; none by default
    #[arg(long = "delay", value_name = "PLACE-PLACE=MS")]
    delays: Vec<Delay>,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    front: SocketAddr,
    back: SocketAddr,
}

impl FromStr for Member {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = |address: &str| address.parse::<SocketAddr>().map_err(|error| format!("{address}: {error}"));
        let (front, back) = text.split_once('=').ok_or("it must be like 127.0.0.1:7501=127.0.0.1:7401")?;
        Ok(Self { front: parse(front)?, back: parse(back)? })
    }
}

#[derive(Clone, Copy, Debug)]
struct Delay {
    between: (usize, usize),
    each_way: Duration,
}

impl FromStr for Delay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = || {
            let (members, millis) = text.split_once('=')?;
            let (one, other) = members.split_once('-')?;
            Some((one.parse().ok()?, other.parse().ok()?, millis.parse().ok()?))
        };
        let (one, other, millis) = parts().ok_or("it must be like 0-1=45")?;
        Ok(Self { between: (one, other), each_way: Duration::from_millis(millis) })
    }
}

/// A link in one direction: datagrams go out in their order, each after the delay.
#[derive(Clone)]
struct Link {
    delay: Duration,
    queue: mpsc::Sender<(Instant, Vec<u8>)>,
}

impl Link {
    /// `to` is none where the socket is connected.
    fn new(delay: Duration, through: Arc<UdpSocket>, to: Option<SocketAddr>) -> Self {
        let (queue, mut queued) = mpsc::channel::<(Instant, Vec<u8>)>(ON_THE_WAY);
        tokio::spawn(async move {
            while let Some((at, datagram)) = queued.recv().await {
                if !delay.is_zero() {
                    tokio::time::sleep_until(at).await;
                }
                // A member that is down loses what is sent to it.
                let _ = match to {
                    Some(to) => through.send_to(&datagram, to).await,
                    None => through.send(&datagram).await,
                };
            }
        });
        Self { delay, queue }
    }

    fn pass(&self, datagram: &[u8]) {
        let _ = self.queue.try_send((Instant::now() + self.delay, datagram.to_vec()));
    }
}

/// A socket with buffers large enough that the relay itself loses nothing.
async fn bind(at: SocketAddr) -> io::Result<Arc<UdpSocket>> {
    let socket = UdpSocket::bind(at).await?;
    #[cfg(unix)]
    {
        rustix::net::sockopt::set_socket_recv_buffer_size(&socket, BUFFER)?;
        rustix::net::sockopt::set_socket_send_buffer_size(&socket, BUFFER)?;
    }
    Ok(Arc::new(socket))
}

/// Passes on what reaches a socket.
async fn pump(socket: Arc<UdpSocket>, link_of: impl Fn(SocketAddr) -> Option<Link>) {
    let mut buffer = vec![0; DATAGRAM];
    loop {
        // An error says that an earlier datagram reached nobody.
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
        if let Some(link) = link_of(from) {
            link.pass(&buffer[..length]);
        }
    }
}

async fn run(args: &Args) -> io::Result<()> {
    let delay = |one: usize, other: usize| {
        let of = |delay: &&Delay| delay.between == (one, other) || delay.between == (other, one);
        args.delays.iter().find(of).map(|delay| delay.each_way).unwrap_or_default()
    };
    let mut pumps = Vec::new();
    for (to, receiver) in args.members.iter().enumerate() {
        let front = bind(receiver.front).await?;
        let mut links = BTreeMap::new();
        for (from, sender) in args.members.iter().enumerate().filter(|(from, _)| *from != to) {
            let delay = delay(from, to);
            // The receiver knows the sender by this socket, and answers to it.
            let back = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
            back.connect(receiver.back).await?;
            links.insert(sender.back, Link::new(delay, back.clone(), None));
            let answers = Link::new(delay, front.clone(), Some(sender.back));
            pumps.push(tokio::spawn(pump(back, move |_| Some(answers.clone()))));
        }
        pumps.push(tokio::spawn(pump(front, move |from| links.get(&from).cloned())));
    }
    for pump in pumps {
        pump.await?;
    }
    Ok(())
}

fn main() -> io::Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(&args))
}
