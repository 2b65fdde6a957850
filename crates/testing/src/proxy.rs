use std::net::SocketAddr;

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// Stands before a server. It can lose connections as a router or a firewall does: nothing passes any more, and neither end
/// hears of it.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: watch::Sender<State>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    /// How often connections were lost.
    losses: u32,
    /// Whether nothing passes on new ones either.
    silent: bool,
}

impl Proxy {
    /// One before the server at this address, such as `127.0.0.1:4222`.
    ///
    /// # Panics
    /// When there is no port left.
    pub async fn before(server: impl Into<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, state, server) =
            (listener.local_addr().unwrap(), watch::Sender::new(State::default()), server.into());
        let watched = state.subscribe();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, server.clone(), watched.clone()));
            }
        });
        Self { address, state }
    }

    /// Where clients connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Loses every connection that there is. New ones pass.
    pub fn lose(&self) {
        self.state.send_modify(|state| state.losses += 1);
    }

    /// Loses every connection, and accepts new ones on which nothing passes; or lets new ones pass again.
    pub fn silence(&self, silent: bool) {
        self.state.send_modify(|state| *state = State { losses: state.losses + 1, silent });
    }
}

async fn pass(mut client: TcpStream, server: String, mut state: watch::Receiver<State>) {
    let born = state.borrow().losses;
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    let lost = async move {
        // The proxy is gone: so is the test.
        let _ = state.wait_for(|state| state.silent || state.losses > born).await;
    };
    tokio::select! {
        biased;
        () = lost => {}
        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => return,
    }
    let _kept = (client, server);
    std::future::pending::<()>().await;
}
