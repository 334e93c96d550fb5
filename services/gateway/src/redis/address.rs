//! Where Redis is: one server or a cluster, by URL.

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};
use std::{fmt, str::FromStr};

/// `redis://[user:password@]host[:port][/database]`, `rediss://…` for TLS, and `redis+cluster://…` or
/// `rediss+cluster://…` with one or more `host[:port]`, separated by commas, for a cluster.
#[derive(Clone)]
pub struct Address {
    pub(super) nodes: Vec<ConnectionInfo>,
    pub(super) cluster: bool,
    pub(super) authorities: Option<Vec<u8>>,
}

impl Address {
    /// Whether connections are by TLS.
    pub fn is_encrypted(&self) -> bool {
        self.nodes.iter().all(|node| matches!(node.addr(), ConnectionAddr::TcpTls { .. }))
    }

    /// Trusts these authorities, in PEM, instead of the system's.
    #[must_use]
    pub fn trusting(self, authorities: Vec<u8>) -> Address {
        Address { authorities: Some(authorities), ..self }
    }
}

/// The text is no address of a Redis. Never shows it: it can hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "it has to be like redis://:password@host:6379, with rediss:// for TLS, or \
     redis+cluster://host1:6379,host2:6379 for a cluster; special characters of a password are percent-encoded"
)]
pub struct AddressError;

/// Most nodes that a cluster's address may name; the others are found through them.
const MOST_NODES: usize = 100;

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Address, AddressError> {
        let (scheme, rest) = text.split_once("://").ok_or(AddressError)?;
        let (scheme, cluster) = match scheme.strip_suffix("+cluster") {
            Some(scheme) => (scheme, true),
            None => (scheme, false),
        };
        if !["redis", "rediss"].contains(&scheme) {
            return Err(AddressError);
        }
        let (user, hosts) = match rest.rsplit_once('@') {
            Some((user, hosts)) => (format!("{user}@"), hosts),
            None => (String::new(), rest),
        };
        let hosts: Vec<&str> = if cluster { hosts.split(',').collect() } else { vec![hosts] };
        let nodes: Result<Vec<_>, _> = hosts
            .iter()
            .map(|host| format!("{scheme}://{user}{host}").into_connection_info().map_err(|_| AddressError))
            .collect();
        let nodes = nodes?;
        if nodes.len() > MOST_NODES || hosts.iter().any(|host| host.is_empty()) {
            return Err(AddressError);
        }
        Ok(Address { nodes, cluster, authorities: None })
    }
}

/// Hosts and ports, without user and password.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, node) in self.nodes.iter().enumerate() {
            write!(f, "{}{}", if index == 0 { "" } else { "," }, node.addr())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_and_clusters_have_urls() {
        for (text, shown, cluster) in [
            ("redis://host", "host:6379", false),
            ("redis://:hunter@host:1/2", "host:1", false),
            ("rediss://me:hunter%40@host:1", "host:1", false),
            ("redis+cluster://me:hunter@a:1,b:2", "a:1,b:2", true),
            ("rediss+cluster://a", "a:6379", true),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!((address.to_string().as_str(), address.cluster), (shown, cluster), "{text}");
            assert!(!format!("{address:?}").contains("hunter"));
        }
    }

    #[test]
    fn anything_else_is_refused_without_being_shown() {
        for text in [
            "",
            "host:1",
            "http://hunter@host",
            "redis+cluster://hunter@a,,b",
            "redis://",
            "redis://a:hunter",
        ] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(!error.contains("hunter"), "{error}");
        }
    }
}
