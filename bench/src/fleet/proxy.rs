//! A way between two processes that can be made slow, silent, or cut.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::Result;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until},
};

/// What the way is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Everything passes.
    Open,
    /// Everything takes this much longer to the server.
    Slow(Duration),
    /// Connections stay, new ones are made, and nothing passes.
    Silent,
    /// There are no connections.
    Cut,
}

/// Bytes that were read, and when they may go on.
type Delayed = (Instant, Vec<u8>);
/// How many reads wait at most on one connection.
const WAITING: usize = 1024;

/// Stands before a server. Ends with the runtime.
#[derive(Debug)]
pub struct Proxy {
    /// Where clients connect to.
    pub address: SocketAddr,
    way: watch::Sender<Way>,
    /// How often connections were lost.
    losses: watch::Sender<u32>,
}

impl Proxy {
    /// One before this server.
    ///
    /// # Errors
    /// When there is no port left.
    pub async fn before(server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (address, way) = (listener.local_addr()?, watch::Sender::new(Way::Open));
        let losses = watch::Sender::new(0);
        let (watched, lost) = (way.subscribe(), losses.subscribe());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (mut way, losses) = (watched.clone(), lost.clone());
                let born = *losses.borrow();
                tokio::spawn(async move {
                    let mut until_cut = way.clone();
                    tokio::select! {
                        biased;
                        _ = until_cut.wait_for(|way| *way == Way::Cut) => {}
                        () = pass(client, server, &mut way, Lost { born, losses }) => {}
                    }
                });
            }
        });
        Ok(Self { address, way, losses })
    }

    /// Loses every connection that there is, and tells neither end, as a router does that restarts. New ones pass.
    pub fn lose(&self) {
        self.losses.send_modify(|losses| *losses += 1);
    }

    /// Makes the way so, for the connections that there are too.
    pub fn make(&self, way: Way) {
        self.way.send_replace(way);
    }
}

/// Whether a connection was lost: it is older than the last loss.
#[derive(Clone)]
struct Lost {
    born: u32,
    losses: watch::Receiver<u32>,
}

impl Lost {
    async fn until_lost(&mut self) {
        let born = self.born;
        if self.losses.wait_for(|losses| *losses > born).await.is_err() {
            std::future::pending().await
        }
    }
}

async fn pass(client: TcpStream, server: SocketAddr, way: &mut watch::Receiver<Way>, mut lost: Lost) {
    while *way.borrow() == Way::Silent {
        if way.changed().await.is_err() {
            return;
        }
    }
    let Ok(server) = TcpStream::connect(server).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let both = async {
        tokio::join!(
            carry(from_client, to_server, way.clone(), true),
            carry(from_server, to_client, way.clone(), false)
        )
    };
    tokio::pin!(both);
    tokio::select! {
        biased;
        // Both sockets stay open, and nobody reads them any more.
        () = lost.until_lost() => std::future::pending().await,
        _ = &mut both => {}
    }
}

/// Carries bytes until there are no more. What takes longer does not keep back what comes after it.
async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut way: watch::Receiver<Way>,
    is_to_server: bool,
) {
    let (sender, mut delayed) = mpsc::channel::<Delayed>(WAITING);
    let now = way.clone();
    let reading = async move {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            let delay = match *now.borrow() {
                Way::Slow(delay) if is_to_server => delay,
                _ => Duration::ZERO,
            };
            if sender.send((Instant::now() + delay, buffer[..read].to_vec())).await.is_err() {
                return;
            }
        }
    };
    let writing = async move {
        while let Some((when, bytes)) = delayed.recv().await {
            sleep_until(when).await;
            if way.wait_for(|way| *way != Way::Silent).await.is_err() || to.write_all(&bytes).await.is_err() {
                return;
            }
        }
        let _ = to.shutdown().await;
    };
    tokio::join!(reading, writing);
}

/// Stands before several gateways and sends each new connection to one that says it is ready, in turn: as a balancer in
/// front of a shop does.
#[derive(Debug)]
pub struct Front {
    /// Where people connect to.
    pub address: SocketAddr,
}

/// How often a balancer asks, and how long it waits for an answer.
const ASKS_EACH: Duration = Duration::from_millis(500);

impl Front {
    /// One before these gateways: where each answers people, and where operators.
    ///
    /// # Errors
    /// When the address is taken.
    pub async fn before(address: SocketAddr, gateways: Vec<(SocketAddr, SocketAddr)>) -> Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let ready = watch::Sender::new(Vec::new());
        let watched = ready.subscribe();
        tokio::spawn(async move {
            loop {
                let asked = gateways
                    .iter()
                    .map(|&(public, operations)| async move { super::is_ready(operations).await.then_some(public) });
                let found: Vec<SocketAddr> = futures::future::join_all(asked).await.into_iter().flatten().collect();
                ready.send_if_modified(|ready| {
                    let changed = *ready != found;
                    *ready = found;
                    changed
                });
                sleep(ASKS_EACH).await;
            }
        });
        tokio::spawn(async move {
            let mut turn = 0_usize;
            while let Ok((mut client, _)) = listener.accept().await {
                turn = turn.wrapping_add(1);
                let (turn, ready) = (turn, watched.borrow().clone());
                tokio::spawn(async move {
                    let _ = client.set_nodelay(true);
                    for n in 0..ready.len() {
                        if let Ok(mut gateway) = TcpStream::connect(ready[(turn + n) % ready.len()]).await {
                            let _ = gateway.set_nodelay(true);
                            let _ = tokio::io::copy_bidirectional(&mut client, &mut gateway).await;
                            return;
                        }
                    }
                });
            }
        });
        Ok(Self { address })
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    /// Longer than anything takes that is not held back.
    const LONG: Duration = Duration::from_secs(20);

    /// A server that sends back what it gets.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut reader, mut writer) = stream.split();
                    let _ = tokio::io::copy(&mut reader, &mut writer).await;
                });
            }
        });
        address
    }

    async fn ping(stream: &mut TcpStream) -> std::io::Result<u8> {
        stream.write_all(b"x").await?;
        stream.read_u8().await
    }

    #[tokio::test]
    async fn a_way_is_open_slow_silent_and_cut() {
        let proxy = Proxy::before(echo().await).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        assert_eq!(timeout(LONG, ping(&mut stream)).await.unwrap().unwrap(), b'x');

        let (delay, began) = (Duration::from_millis(300), Instant::now());
        proxy.make(Way::Slow(delay));
        assert_eq!(timeout(LONG, ping(&mut stream)).await.unwrap().unwrap(), b'x');
        assert!(began.elapsed() >= delay);

        proxy.make(Way::Silent);
        let mut second = TcpStream::connect(proxy.address).await.unwrap();
        for stream in [&mut stream, &mut second] {
            assert!(timeout(Duration::from_millis(300), ping(stream)).await.is_err(), "nothing passes");
        }
        proxy.make(Way::Open);
        for stream in [&mut stream, &mut second] {
            assert_eq!(timeout(LONG, stream.read_u8()).await.unwrap().unwrap(), b'x', "what waited arrives");
        }

        proxy.lose();
        assert!(timeout(Duration::from_millis(300), ping(&mut second)).await.is_err(), "it is lost");
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        assert_eq!(timeout(LONG, ping(&mut stream)).await.unwrap().unwrap(), b'x', "new ones pass");

        proxy.make(Way::Cut);
        assert!(timeout(LONG, ping(&mut stream)).await.unwrap().is_err());
        let mut third = TcpStream::connect(proxy.address).await.unwrap();
        assert!(timeout(LONG, ping(&mut third)).await.unwrap().is_err());
    }
}
