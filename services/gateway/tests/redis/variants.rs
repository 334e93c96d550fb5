//! Redis by TLS, with a password, and as a cluster.

use crate::{
    certificates::{authority, of_localhost},
    support::{fresh, name, turn, until},
};
use gateway::{
    limits::{Act, Kind, Shared},
    redis::{Address, Redis},
};
use process::cores::Cores;
use resilience::Limit;
use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// A server with settings of its own.
struct Variant(Child);

impl Variant {
    fn start(folder: &Path, arguments: &[&str]) -> Variant {
        let mut server = Command::new("redis-server");
        server.args(["--bind", "127.0.0.1", "--save", "", "--dir"]).arg(folder).args(arguments);
        Variant(server.stdout(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Variant {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn open(address: &Address) -> Redis {
    Redis::open(address, &Cores::none(), &Default::default(), &mut Default::default())
}

async fn assert_decides(redis: &Redis) {
    let (buckets, limit) = (Shared::new(redis.clone()), Limit::new(1, 5).unwrap());
    let name = name(&fresh("variant"));
    for taken in [true, false] {
        let answer =
            buckets.act((&name, Kind::Read), limit, Act::Take(5), Duration::from_secs(1), None).await;
        assert_eq!(answer.unwrap().0, taken);
    }
}

#[tokio::test]
async fn by_tls_with_the_right_authority_and_password_only() {
    let (_turn, port) = turn().await;
    let folder = tempfile::tempdir().unwrap();
    let (right, another) = (authority(folder.path(), "right"), authority(folder.path(), "another"));
    of_localhost(folder.path(), "right");
    let tls = ["--tls-cert-file", "own.crt", "--tls-key-file", "own.key", "--tls-ca-cert-file", "right.crt"];
    let more = ["--port", "0", "--tls-port", &port, "--tls-auth-clients", "no", "--requirepass", "p@ss"];
    let _server = Variant::start(folder.path(), &[&tls[..], &more[..]].concat());
    let address = |password: &str, host: &str| {
        format!("rediss://:{password}@{host}:{port}").parse::<Address>().unwrap()
    };

    let redis = open(&address("p%40ss", "localhost").trusting(right.clone()));
    assert!(redis.connected(Duration::from_secs(20)).await);
    assert_decides(&redis).await;
    for (why, wrong) in [
        ("another authority", address("p%40ss", "localhost").trusting(another)),
        ("not an authority of the system", address("p%40ss", "localhost")),
        ("another name", address("p%40ss", "127.0.0.1").trusting(right.clone())),
        ("a wrong password", address("wrong", "localhost").trusting(right)),
    ] {
        assert!(!open(&wrong).connected(Duration::from_millis(500)).await, "{why}");
    }
}

#[tokio::test]
async fn a_cluster() {
    let (_turn, port) = turn().await;
    let folder = tempfile::tempdir().unwrap();
    let _server = Variant::start(folder.path(), &["--port", &port, "--cluster-enabled", "yes"]);
    let cli = |arguments: &str| {
        let done = Command::new("redis-cli").args(["-p", &port]).args(arguments.split(' ')).output().unwrap();
        String::from_utf8(done.stdout).unwrap()
    };
    until("all slots are given", async || cli("cluster addslotsrange 0 16383").contains("OK")).await;
    until("the cluster is whole", async || cli("cluster info").contains("cluster_state:ok")).await;
    let redis = open(&format!("redis+cluster://127.0.0.1:{port}").parse().unwrap());
    assert!(redis.connected(Duration::from_secs(20)).await);
    for _ in 0..20 {
        assert_decides(&redis).await;
    }
}
