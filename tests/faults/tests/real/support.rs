//! What the tests share.

use fault_tests::{
    load::{Load, http},
    parts::PARTITIONS,
    run::System,
    service::Service,
    verdict::Verdict,
};
use serde_json::Value;
use std::time::{Duration, Instant};
use tokio::{sync::Mutex, time::sleep};

/// Held by the test that runs.
pub(crate) static TURN: Mutex<()> = Mutex::const_new(());

pub(crate) fn load(organisations: usize, events: Option<usize>) -> Load {
    Load { clients: 4, organisations, events, pause: Duration::from_millis(20), padding: 0 }
}

pub(crate) fn assert_good(verdict: &Verdict) {
    println!("{verdict}");
    assert!(verdict.is_good(), "{verdict}\n{}", verdict.wrong.join("\n"));
}

/// Ends everything; after a test that found nothing wrong.
pub(crate) async fn end(system: System) {
    let System { parts, producers, consumers, .. } = system;
    drop((producers, consumers));
    parts.end().await.unwrap();
}

/// Keeps the logs of a test that fails, and says where they are.
pub(crate) struct KeepLogs(pub(crate) std::path::PathBuf);

impl KeepLogs {
    pub(crate) fn of(system: &System) -> KeepLogs {
        KeepLogs(system.parts.directory().to_owned())
    }
}

impl Drop for KeepLogs {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let kept = std::env::temp_dir().join(format!("logpipeline-faults-{}", std::process::id()));
        let _ = std::fs::create_dir_all(&kept);
        for file in std::fs::read_dir(&self.0).into_iter().flatten().flatten() {
            let _ = std::fs::copy(file.path(), kept.join(file.file_name()));
        }
        println!("logs are kept in {}", kept.display());
    }
}

/// Lines of the services' logs that hold these words.
pub(crate) fn said(services: &[Service], words: &str) -> Vec<String> {
    services.iter().flat_map(|service| service.said(words).unwrap()).collect()
}

/// Waits until the partitions are shared by the first so many consumers, each of which has some.
pub(crate) async fn shared_by(system: &System, count: usize) {
    let what = format!("{count} consumers share all partitions");
    wait_for(&what, Duration::from_secs(60), async || {
        let mut owned = 0;
        for consumer in &system.consumers[..count] {
            let url = format!("http://{}/internal/v1/status", consumer.admin().ok()?);
            let status = http().get(url).send().await.ok()?.bytes().await.ok()?;
            let partitions = serde_json::from_slice::<Value>(&status).ok()?["partitions"].as_i64()?;
            owned += (partitions > 0).then_some(partitions)?;
        }
        (owned == i64::from(PARTITIONS)).then_some(())
    })
    .await;
}

/// Waits until the answer is there.
pub(crate) async fn wait_for<T>(what: &str, within: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < within, "not within {within:?}: {what}");
        sleep(Duration::from_millis(200)).await;
    }
}
