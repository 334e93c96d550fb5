//! Late events, told within the process.

use crate::{LateEvents, LateNews};
use async_trait::async_trait;
use tokio::sync::broadcast::{self, error::RecvError};

/// News that wait for a listener that is slow; it hears of any organisation in place of more.
const WAITING: usize = 256;

/// Where the writer tells, and listeners subscribe.
pub(super) fn channel() -> broadcast::Sender<LateNews> {
    broadcast::Sender::new(WAITING)
}

/// Hears what the writer tells.
pub(super) struct Listener {
    told: broadcast::Receiver<LateNews>,
    is_listening: bool,
}

impl Listener {
    pub(super) fn new(told: broadcast::Receiver<LateNews>) -> Listener {
        Listener { told, is_listening: false }
    }
}

#[async_trait]
impl LateEvents for Listener {
    async fn next(&mut self) -> LateNews {
        if !self.is_listening {
            self.is_listening = true;
            return LateNews::Listening;
        }
        match self.told.recv().await {
            Ok(news) => news,
            Err(RecvError::Lagged(_)) => LateNews::OfAny,
            // The store is closed: nothing comes any more.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}
