//! Redis servers for tests.

use gateway::{limits::Name, redis::Redis};
use process::cores::Cores;
use prometheus_client::registry::Registry;
use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};
use tokio::sync::{Mutex, MutexGuard};

/// URL of the Redis that all tests share.
pub(crate) fn shared() -> String {
    std::env::var("LOGPIPELINE_TEST_REDIS")
        .expect("LOGPIPELINE_TEST_REDIS is the URL of a Redis: LOGPIPELINE_TEST_REDIS=$(hack/redis.sh up)")
}

/// Whose bucket.
pub(crate) fn name(text: &str) -> Name {
    Name::of(&text.parse().unwrap())
}

/// A name that no other test and no other run has.
pub(crate) fn fresh(text: &str) -> String {
    format!("{text}-{:x}", rand::random::<u64>())
}

/// A connection that stands.
pub(crate) async fn connected(url: &str) -> Redis {
    let redis =
        Redis::open(&url.parse().unwrap(), &Cores::none(), &Default::default(), &mut Registry::default());
    assert!(redis.connected(Duration::from_secs(5)).await, "no connection to {url}");
    redis
}

/// A Redis of the test's own, which one test has at a time; at LOGPIPELINE_TEST_REDIS_PORT, 25616 when that is not set. A cluster
/// has the two ports after it as well, and those a hundred above.
pub(crate) struct Server {
    pub(crate) url: String,
    _turn: MutexGuard<'static, ()>,
}

/// Whoever has it has the port of [`Server`].
pub(crate) async fn turn() -> (MutexGuard<'static, ()>, String) {
    let turn = TURN.lock().await;
    hack("down");
    (turn, port())
}

static TURN: Mutex<()> = Mutex::const_new(());

impl Server {
    pub(crate) async fn start() -> Server {
        let (turn, _) = turn().await;
        Server { url: hack("up"), _turn: turn }
    }

    /// One of the commands of `hack/redis.sh`.
    pub(crate) fn hack(&self, command: &str) {
        hack(command);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A failed `down` must not hide why the test failed.
        let _ = script("down").status();
    }
}

fn script(command: &str) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut script = Command::new(root.join("hack/redis.sh"));
    script.arg(command).env("LOGPIPELINE_REDIS_PORT", port());
    script
}

fn port() -> String {
    std::env::var("LOGPIPELINE_TEST_REDIS_PORT").unwrap_or_else(|_| "25616".into())
}

fn hack(command: &str) -> String {
    let done = script(command).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "hack/redis.sh {command} failed: {said}");
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

/// Waits until it holds, and says what it waited for when it does not within 20 s.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < Duration::from_secs(20), "not within 20 s: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
