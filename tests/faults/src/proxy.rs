//! A TCP proxy that can cut connections and swallow what passes.

use anyhow::Result;
use std::{net::SocketAddr, sync::Arc};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// What the proxy does to connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Lets all pass.
    Pass,
    /// Ends connections, and new ones at once.
    Cut,
    /// Keeps connections and passes nothing on: a network that swallows packets.
    Swallow,
}

/// A running proxy.
pub struct Proxy {
    address: SocketAddr,
    mode: Arc<watch::Sender<Mode>>,
}

impl Proxy {
    /// Listens on a free port of loopback for `target`.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start(target: SocketAddr) -> Result<Proxy> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let mode = Arc::new(watch::Sender::new(Mode::Pass));
        let sender = Arc::clone(&mode);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, target, sender.subscribe()));
            }
        });
        Ok(Proxy { address, mode })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what it does.
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

/// Carries one connection. One that was swallowed is broken when the network is back, as after a real partition:
/// what it had under way is gone.
async fn carry(mut client: TcpStream, target: SocketAddr, mut mode: watch::Receiver<Mode>) {
    let first = *mode.borrow_and_update();
    match first {
        Mode::Cut => return,
        Mode::Swallow => {
            let _ = mode.wait_for(|mode| *mode != Mode::Swallow).await;
            return;
        }
        Mode::Pass => {}
    }
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let broken = tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => return,
        Ok(mode) = mode.wait_for(|mode| *mode != Mode::Pass) => *mode,
    };
    if broken == Mode::Swallow {
        let _ = mode.wait_for(|mode| *mode != Mode::Swallow).await;
    }
}
