//! How the gateway speaks to a service: one request after the other on many connections, or many streams on one.

use axum::{body::Body, http::Version};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use std::{str::FromStr, time::Duration};

/// Longest wait for a connection.
const CONNECTED_WITHIN: Duration = Duration::from_secs(1);
/// A connection that is not used for so long is closed, before the other side does so in the middle of a request.
const IDLE: Duration = Duration::from_secs(30);
/// A connection of many streams that brings nothing for so long is asked whether it is still there.
const ASKED_AFTER: Duration = Duration::from_secs(3);
/// And given up, with all its streams, when it does not say so.
const SAYS_SO_WITHIN: Duration = Duration::from_secs(2);
/// Bytes of one answer that may be on their way or unread.
const STREAM_WINDOW: u32 = 256 << 10;
/// And of all answers of a connection.
const CONNECTION_WINDOW: u32 = 1 << 20;
/// Bytes of a request that wait for the service to take them.
const SEND_BUFFER: usize = 64 << 10;

/// The protocol of a service, by the name that it has in TLS (ALPN, RFC 7301).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Protocol {
    /// `http/1.1`.
    #[default]
    Http1,
    /// `h2c`: HTTP/2 without TLS, with prior knowledge (RFC 9113 section 3.3).
    H2c,
}

impl FromStr for Protocol {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Protocol, &'static str> {
        match text {
            "http/1.1" => Ok(Protocol::Http1),
            "h2c" => Ok(Protocol::H2c),
            _ => Err("use http/1.1 or h2c"),
        }
    }
}

impl Protocol {
    /// A client with connections of its own.
    pub(super) fn client(self) -> Client<HttpConnector, Body> {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECTED_WITHIN));
        connector.set_nodelay(true);
        Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .set_host(false)
            .http2_only(self == Protocol::H2c)
            .http2_keep_alive_interval(ASKED_AFTER)
            .http2_keep_alive_timeout(SAYS_SO_WITHIN)
            .http2_keep_alive_while_idle(true)
            .http2_initial_stream_window_size(STREAM_WINDOW)
            .http2_initial_connection_window_size(CONNECTION_WINDOW)
            .http2_max_send_buf_size(SEND_BUFFER)
            .build(connector)
    }

    /// The version that requests to the service have, whatever the version that they came with.
    pub(super) fn version(self) -> Version {
        match self {
            Protocol::Http1 => Version::HTTP_11,
            Protocol::H2c => Version::HTTP_2,
        }
    }
}
