//! A way to Redis that can be slow, and lead elsewhere.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
    time::Instant,
};

/// Passes everything on, later.
pub(crate) struct SlowWay {
    pub(crate) url: String,
    delay: Arc<AtomicU64>,
    there: Arc<Mutex<String>>,
}

impl SlowWay {
    /// To a Redis; not slow yet.
    pub(crate) async fn to(url: &str) -> SlowWay {
        let there = Arc::new(Mutex::new(host(url)));
        let target = Arc::clone(&there);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let delay = Arc::new(AtomicU64::new(0));
        let shared = Arc::clone(&delay);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let there = target.lock().unwrap().clone();
                let Ok(server) = TcpStream::connect(there).await else { continue };
                let ((from_client, to_client), (from_server, to_server)) =
                    (client.into_split(), server.into_split());
                pass(from_client, to_server, Arc::default());
                pass(from_server, to_client, Arc::clone(&shared));
            }
        });
        SlowWay { url, delay, there }
    }

    /// New connections lead there from now on; those that stand stay.
    pub(crate) fn lead_to(&self, url: &str) {
        *self.there.lock().unwrap() = host(url);
    }

    /// Every answer comes so much later from now on.
    pub(crate) fn delay(&self, by: Duration) {
        self.delay.store(u64::try_from(by.as_micros()).unwrap(), Ordering::Relaxed);
    }
}

fn host(url: &str) -> String {
    url.strip_prefix("redis://").unwrap().to_owned()
}

/// Reads and writes apart, so that a delay is one for each piece, not for all behind it.
fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay: Arc<AtomicU64>) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut piece = vec![0; 64 << 10];
        while let Ok(1..) = from.read(&mut piece).await.inspect(|read| {
            let due = Instant::now() + Duration::from_micros(delay.load(Ordering::Relaxed));
            let _ = sender.send((due, piece[..*read].to_vec()));
        }) {}
    });
    tokio::spawn(async move {
        while let Some((due, piece)) = receiver.recv().await {
            tokio::time::sleep_until(due).await;
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
    });
}
