//! A TCP proxy that can cut connections and swallow what passes.

use anyhow::{Context, Result};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// Connections that the kernel completes before they are accepted.
const BACKLOG: u32 = 1024;
/// Bytes of an answer that are delayed together.
const PIECE: usize = 64 << 10;

/// What the proxy does to connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Lets all pass.
    Pass,
    /// Resets connections, and refuses new ones.
    Cut,
    /// Lets all pass, each piece of an answer so much later. Holds for new connections, and those that are there are cut.
    Slow(Duration),
    /// Keeps connections, also new ones, and passes nothing on: a network that swallows packets.
    Swallow,
}

/// A running proxy; it ends with this value.
pub struct Proxy {
    address: SocketAddr,
    mode: Arc<watch::Sender<Mode>>,
    listening: JoinHandle<()>,
}

impl Proxy {
    /// Listens at `address` (port 0 for any free one) for `target`.
    ///
    /// # Errors
    /// When it cannot listen.
    pub fn start(address: SocketAddr, target: SocketAddr) -> Result<Proxy> {
        let socket = bound(address).with_context(|| format!("a proxy cannot listen at {address}"))?;
        let address = socket.local_addr()?;
        let listener = socket.listen(BACKLOG)?;
        let mode = Arc::new(watch::Sender::new(Mode::Pass));
        let listening = tokio::spawn(listen(listener, address, target, Arc::clone(&mode)));
        Ok(Proxy { address, mode, listening })
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

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
        self.set(Mode::Cut);
    }
}

/// A socket that has the port but does not listen: the kernel refuses connections to it.
fn bound(address: SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Connections of the last run may not be forgotten yet.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn listen(
    mut listener: TcpListener,
    address: SocketAddr,
    target: SocketAddr,
    mode: Arc<watch::Sender<Mode>>,
) {
    let mut changes = mode.subscribe();
    loop {
        let cut = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => {
                    tokio::spawn(carry(client, target, mode.subscribe()));
                    continue;
                }
                Err(_) => return,
            },
            cut = changes.wait_for(|mode| *mode == Mode::Cut) => cut.is_ok(),
        };
        if !cut {
            return;
        }
        drop(listener);
        let refusing = bound(address);
        if changes.wait_for(|mode| *mode != Mode::Cut).await.is_err() {
            return;
        }
        listener = match refusing.and_then(|socket| socket.listen(BACKLOG)) {
            Ok(listener) => listener,
            Err(error) => panic!("the proxy lost its port {address}: {error}"),
        };
    }
}

/// Carries one connection. One that was swallowed is reset when the network is back, as when its peer has given it up
/// meanwhile: what it had under way is gone.
async fn carry(mut client: TcpStream, target: SocketAddr, mut mode: watch::Receiver<Mode>) {
    // Ends by a reset, not in order: nobody is told that all has arrived.
    let _ = client.set_zero_linger();
    let begun = *mode.borrow_and_update();
    if let Mode::Pass | Mode::Slow(_) = begun {
        let Ok(mut server) = TcpStream::connect(target).await else { return };
        let _ = (client.set_nodelay(true), server.set_nodelay(true), server.set_zero_linger());
        tokio::select! {
            () = copy(&mut client, &mut server, begun) => return,
            _ = mode.wait_for(|mode| *mode != begun) => {}
        }
        // The server's end stays open too.
        let _ = mode.wait_for(|mode| *mode != Mode::Swallow).await;
        return;
    }
    let _ = mode.wait_for(|mode| *mode != Mode::Swallow).await;
}

async fn copy(client: &mut TcpStream, server: &mut TcpStream, mode: Mode) {
    let Mode::Slow(delay) = mode else {
        let _ = copy_bidirectional(client, server).await;
        return;
    };
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.split(), server.split());
    let answers = async {
        let mut piece = vec![0; PIECE];
        while let Ok(length @ 1..) = from_server.read(&mut piece).await {
            tokio::time::sleep(delay).await;
            if to_client.write_all(&piece[..length]).await.is_err() {
                return;
            }
        }
    };
    // Whichever side ends, ends all.
    tokio::select! {
        _ = tokio::io::copy(&mut from_client, &mut to_server) => {}
        () = answers => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::ErrorKind;
    use tokio::time::timeout;

    /// A server that sends back what it gets, behind a proxy.
    async fn echo() -> Proxy {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::start("127.0.0.1:0".parse().unwrap(), server.local_addr().unwrap()).unwrap();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = server.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = client.split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        proxy
    }

    async fn answer(connection: &mut TcpStream) -> Option<std::io::Result<usize>> {
        let _ = connection.write_all(b"x").await;
        timeout(Duration::from_millis(300), connection.read(&mut [0; 1])).await.ok()
    }

    #[tokio::test]
    async fn a_cut_resets_and_refuses_until_it_is_over() {
        let proxy = echo().await;
        let mut old = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(answer(&mut old).await.unwrap().unwrap(), 1);
        proxy.set(Mode::Cut);
        let broken = answer(&mut old).await.expect("a reset is heard of").unwrap_err();
        assert!(matches!(broken.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{broken}");
        let refused = TcpStream::connect(proxy.address()).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        proxy.set(Mode::Pass);
        let again = async {
            loop {
                if let Ok(connection) = TcpStream::connect(proxy.address()).await {
                    return connection;
                }
                tokio::task::yield_now().await;
            }
        };
        let mut new = timeout(Duration::from_secs(5), again).await.expect("it listens again");
        assert_eq!(answer(&mut new).await.unwrap().unwrap(), 1);
    }

    #[tokio::test]
    async fn a_slow_network_passes_all_later() {
        let proxy = echo().await;
        proxy.set(Mode::Slow(Duration::from_millis(100)));
        let begun = std::time::Instant::now();
        let mut connection = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(answer(&mut connection).await.unwrap().unwrap(), 1);
        assert!(begun.elapsed() >= Duration::from_millis(100));
    }

    #[tokio::test]
    async fn what_is_swallowed_is_silent_and_reset_at_the_end() {
        let proxy = echo().await;
        let mut old = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(answer(&mut old).await.unwrap().unwrap(), 1);
        proxy.set(Mode::Swallow);
        assert!(answer(&mut old).await.is_none());
        let mut new = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(answer(&mut new).await.is_none());
        proxy.set(Mode::Pass);
        assert!(!matches!(answer(&mut old).await, Some(Ok(1))), "what was under way is gone");
        assert!(!matches!(answer(&mut new).await, Some(Ok(1))), "what was under way is gone");
    }
}
