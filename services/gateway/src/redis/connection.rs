//! The one connection, and who keeps it.
//!
//! The library's own manager lets calls wait while it connects, and does not notice a server that keeps its connections
//! open and answers nothing. Here a task connects, watches and connects anew; callers take what is there.

use super::address::Address;
use redis::{
    AsyncConnectionConfig, Client, Cmd, Pipeline, RedisError, RedisFuture, RedisResult, TlsCertificates,
    Value,
    aio::{ConnectionLike, MultiplexedConnection},
    cluster::ClusterClient,
    cluster_async::ClusterConnection,
};
use resilience::Backoff;
use std::{sync::Arc, time::Duration};
use tokio::sync::{Notify, watch};

/// Longest wait for a connection, and for the answer to the question whether it lives.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often a connection is asked whether it lives.
const ASKED_EVERY: Duration = Duration::from_secs(1);
/// Commands under way at one time; a frozen server holds no more memory than these.
const UNDER_WAY: usize = 1024;
/// Commands that wait to be sent.
const TO_BE_SENT: usize = 256;

/// A connection that all callers share: commands go out at once, answers come in their order.
#[derive(Clone)]
pub enum Connection {
    /// To one server.
    Server(MultiplexedConnection),
    /// To the nodes of a cluster, each command to the one that has its key.
    Cluster(ClusterConnection),
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Connection::Server(_) => "Connection::Server",
            Connection::Cluster(_) => "Connection::Cluster",
        })
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Connection::Server(server) => server.req_packed_command(cmd),
            Connection::Cluster(cluster) => cluster.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        cmd: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Connection::Server(server) => server.req_packed_commands(cmd, offset, count),
            Connection::Cluster(cluster) => cluster.req_packed_commands(cmd, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Connection::Server(server) => server.get_db(),
            Connection::Cluster(cluster) => cluster.get_db(),
        }
    }
}

/// Keeps a connection in `current` until nobody looks at it any more. `doubted` makes it look at once, `outdated`
/// makes it connect anew.
pub(super) async fn keep(
    address: Address,
    current: watch::Sender<Option<Connection>>,
    doubted: Arc<Notify>,
    outdated: Arc<Notify>,
) {
    let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
    while !current.is_closed() {
        match connect(&address).await {
            Ok(connection) => {
                tracing::info!(%address, "connected to Redis");
                current.send_replace(Some(connection.clone()));
                backoff.reset();
                let lost = watch_over(connection, &current, &doubted, &outdated).await;
                current.send_replace(None);
                if let Some(error) = lost {
                    tracing::warn!(%address, %error, "the connection to Redis is lost; connecting anew");
                }
            }
            Err(error) if backoff.failures() == 0 => {
                tracing::warn!(%address, %error, "Redis cannot be reached; trying on");
            }
            Err(error) => tracing::debug!(%address, %error, "Redis cannot be reached"),
        }
        tokio::time::sleep(backoff.next(rand::random())).await;
    }
}

/// Waits until the connection does not answer, and says why; `None` when nobody needs it any more.
async fn watch_over(
    mut connection: Connection,
    current: &watch::Sender<Option<Connection>>,
    doubted: &Notify,
    outdated: &Notify,
) -> Option<RedisError> {
    loop {
        tokio::select! {
            () = current.closed() => return None,
            () = tokio::time::sleep(ASKED_EVERY) => {}
            () = doubted.notified() => {}
            () = outdated.notified() => {
                return Some(lost("the server takes no writes any more"));
            }
        }
        let ping = redis::cmd("PING");
        let answer = tokio::time::timeout(PATIENCE, ping.exec_async(&mut connection)).await;
        if let Err(error) = answer.unwrap_or_else(|_| Err(lost("the server does not answer"))) {
            return Some(error);
        }
    }
}

async fn connect(address: &Address) -> RedisResult<Connection> {
    let trusted =
        address.authorities.clone().map(|pem| TlsCertificates { client_tls: None, root_cert: Some(pem) });
    let connecting = async {
        if address.cluster {
            let mut client = ClusterClient::builder(address.nodes.clone())
                .connection_timeout(PATIENCE)
                .response_timeout(PATIENCE)
                .retries(1)
                .connection_concurrency_limit(UNDER_WAY);
            if let Some(trusted) = trusted {
                client = client.certs(trusted);
            }
            return client.build()?.get_async_connection().await.map(Connection::Cluster);
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            // Every call has its own deadline, and a timer for each command would cost more than the command.
            .set_response_timeout(None)
            .set_concurrency_limit(UNDER_WAY)
            .set_pipeline_buffer_size(TO_BE_SENT);
        let node = address.nodes[0].clone();
        let client = match trusted {
            Some(trusted) => Client::build_with_tls(node, trusted),
            None => Client::open(node),
        }?;
        client.get_multiplexed_async_connection_with_config(&config).await.map(Connection::Server)
    };
    // A cluster is asked for its nodes too, so that the whole has a bound of its own.
    let connected = tokio::time::timeout(PATIENCE * 3, connecting).await;
    connected.unwrap_or_else(|_| Err(lost("the connection is not made in time")))
}

fn lost(why: &'static str) -> RedisError {
    RedisError::from((redis::ErrorKind::Io, why))
}
