//! The connection to Redis, one a core, which the rate limiter and the cache share.
//!
//! A call costs its caller at most its deadline, and nothing when Redis is known to be sick: without a connection it
//! fails at once, and a circuit breaker refuses calls while answers do not come in time. Nothing here is needed for the
//! gateway to work; whoever calls has another way.

mod address;
mod connection;
mod metrics;

pub use address::{Address, AddressError};
pub use connection::Connection;

use futures::future::join_all;
use metrics::Metrics;
use process::cores::{Cores, PerCore};
use prometheus_client::registry::Registry;
use redis::{ErrorKind, RedisError, RedisResult, ServerErrorKind};
use resilience::{BreakerConfig, Breakers, CallError, Outcome, SharedBreaker, Window};
use std::{sync::Arc, time::Duration};
use tokio::sync::{Notify, watch};

/// Redis did not answer; why, for logs.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// There is no connection now.
    #[error("there is no connection to Redis")]
    Absent,
    /// The breaker is open: it did not answer in time lately.
    #[error("Redis is left alone: it did not answer in time")]
    Refused,
    /// No answer within the deadline. The command may be carried out nevertheless.
    #[error("Redis did not answer within {0:?}")]
    Late(Duration),
    /// It answered with an error, or the connection broke.
    #[error("Redis: {0}")]
    Failed(#[from] RedisError),
}

/// A Redis; clones share its connections.
#[derive(Clone, Debug)]
pub struct Redis {
    lines: Arc<PerCore<Line>>,
    breaker: SharedBreaker,
    metrics: Metrics,
}

/// What a core has: a connection, and how to have it looked at.
#[derive(Debug)]
struct Line {
    current: watch::Receiver<Option<Connection>>,
    doubted: Arc<Notify>,
    outdated: Arc<Notify>,
}

impl Line {
    fn open(address: Address) -> Line {
        let (sender, current) = watch::channel(None);
        let (doubted, outdated) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        tokio::spawn(connection::keep(address, sender, Arc::clone(&doubted), Arc::clone(&outdated)));
        Line { current, doubted, outdated }
    }
}

impl Redis {
    /// Begins to connect, once a core, and goes on until all clones are gone; its breaker is shown as `redis`. Needs a
    /// runtime.
    pub fn open(address: &Address, cores: &Cores, breakers: &Breakers, registry: &mut Registry) -> Redis {
        // The library takes whichever provider the process has; one that is there already is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let breaker = SharedBreaker::new(breaker(), rand::random).expect("constant settings are good");
        breakers.show("redis", &breaker);
        let metrics = Metrics::register(registry);
        let lines = Arc::new(cores.each(|| Line::open(address.clone())));
        Redis { lines, breaker, metrics }
    }

    /// Asks Redis, and gives up after `deadline`.
    ///
    /// # Errors
    /// [`Unavailable`]. After `Absent` and `Refused` nothing was sent.
    pub async fn call<T, F>(
        &self,
        deadline: Duration,
        ask: impl FnOnce(Connection) -> F,
    ) -> Result<T, Unavailable>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let line = self.lines.here();
        let asked = async {
            let connection = line.current.borrow().clone().ok_or(Unavailable::Absent)?;
            let answer = tokio::time::timeout(deadline, ask(connection)).await;
            Ok(answer.map_err(|_| Unavailable::Late(deadline))??)
        };
        let result = match self.breaker.call(asked, judge).await {
            Ok(answer) => Ok(answer),
            Err(CallError::Refused(_)) => Err(Unavailable::Refused),
            Err(CallError::Failed(error)) => Err(error),
        };
        self.metrics.count(match &result {
            Ok(_) => "ok",
            Err(Unavailable::Absent) => "absent",
            Err(Unavailable::Refused) => "refused",
            Err(Unavailable::Late(_)) => "late",
            Err(Unavailable::Failed(error)) => {
                // A broken connection is looked at now, not at the next turn.
                if is_replica(error) {
                    line.outdated.notify_one();
                } else if error.is_unrecoverable_error() {
                    line.doubted.notify_one();
                }
                "failed"
            }
        });
        result
    }

    /// The breaker, for who shows it.
    pub fn breaker(&self) -> &SharedBreaker {
        &self.breaker
    }

    /// Whether it answers, for people: past the breaker, and counted nowhere.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn ping(&self, deadline: Duration) -> Result<(), Unavailable> {
        let mut connection = self.lines.here().current.borrow().clone().ok_or(Unavailable::Absent)?;
        let ping = redis::cmd("PING");
        let answer = tokio::time::timeout(deadline, ping.exec_async(&mut connection)).await;
        Ok(answer.map_err(|_| Unavailable::Late(deadline))??)
    }

    /// Waits until it is connected, for a start that would rather have it; `false` when it is not in time.
    pub async fn connected(&self, within: Duration) -> bool {
        let all =
            self.lines.iter().map(async |line| line.current.clone().wait_for(Option::is_some).await.is_ok());
        tokio::time::timeout(within, join_all(all))
            .await
            .is_ok_and(|all| all.into_iter().all(|is_open| is_open))
    }
}

/// Half of the calls of the last two seconds fail: a Redis that is only busy for a moment is not left alone. The wait
/// stays short, because a trial costs few calls their deadline only.
fn breaker() -> BreakerConfig {
    BreakerConfig {
        window: Window::Time(Duration::from_secs(2)),
        slow_after: Duration::MAX,
        minimum_calls: 10,
        open_wait: Duration::from_millis(100),
        open_wait_cap: Duration::from_secs(1),
        half_open_calls: 3,
        half_open_time: Duration::from_secs(1),
        ..BreakerConfig::default()
    }
}

/// What an answer says about Redis. An error that is about the command alone says that Redis works. A connection that
/// breaks or is refused says nothing yet: a server is looked at then, and when it is gone there is no connection; of a
/// cluster it is one node, and the others' keys are not to be left alone for it.
fn judge<T>(result: &Result<T, Unavailable>) -> Outcome {
    match result {
        Ok(_) => Outcome::Succeeded,
        Err(Unavailable::Failed(error)) if is_about_the_command(error) || is_of_a_node(error) => {
            Outcome::Ignored
        }
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

/// After a failover the server that was asked lives on and takes no writes; its address leads to the new one.
fn is_replica(error: &RedisError) -> bool {
    [ServerErrorKind::ReadOnly, ServerErrorKind::MasterDown].map(ErrorKind::Server).contains(&error.kind())
}

fn is_of_a_node(error: &RedisError) -> bool {
    [ErrorKind::Io, ErrorKind::ClusterConnectionNotFound].contains(&error.kind())
}

fn is_about_the_command(error: &RedisError) -> bool {
    use ServerErrorKind::{CrossSlot, ExecAbort, NoScript, ResponseError};
    let of_command = [ResponseError, NoScript, CrossSlot, ExecAbort].map(ErrorKind::Server);
    of_command.contains(&error.kind())
        || [ErrorKind::UnexpectedReturnType, ErrorKind::InvalidClientConfig].contains(&error.kind())
}
