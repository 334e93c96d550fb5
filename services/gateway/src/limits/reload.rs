//! Reads the file of limits again when it changes.
//!
//! It is read every few seconds, not watched: a ConfigMap changes by swapping links, which tells the watcher of a file
//! nothing.

use super::{
    file::{FileError, Limits, read},
    metrics::Metrics,
};
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::watch;

/// Limits that change with their file; without a file there are none, and none ever come.
#[derive(Debug, Clone)]
pub struct Source {
    file: Option<(PathBuf, Vec<u8>)>,
    limits: Limits,
    every: Duration,
}

/// How often the file is read.
const EVERY: Duration = Duration::from_secs(2);

impl Source {
    /// No limits.
    pub fn none() -> Source {
        Source { file: None, limits: Limits::default(), every: EVERY }
    }

    /// The limits of a file, which has to be good now.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn file(path: PathBuf) -> Result<Source, FileError> {
        let text = read(&path)?;
        let limits = Limits::parse(&text)?;
        Ok(Source { file: Some((path, text)), limits, every: EVERY })
    }

    /// Reads it so often instead of every two seconds.
    #[must_use]
    pub fn every(self, every: Duration) -> Source {
        Source { every, ..self }
    }

    /// The limits as they are now and will be. Needs a runtime when there is a file.
    pub(super) fn follow(self, metrics: Metrics) -> watch::Receiver<Arc<Limits>> {
        let (sender, receiver) = watch::channel(Arc::new(self.limits));
        metrics.file_is_good(true);
        if let Some((path, text)) = self.file {
            tokio::spawn(follow(path, text, self.every, sender, metrics));
        }
        receiver
    }
}

async fn follow(
    path: PathBuf,
    mut text: Vec<u8>,
    every: Duration,
    limits: watch::Sender<Arc<Limits>>,
    metrics: Metrics,
) {
    // Told once for each thing that goes wrong, not every few seconds.
    let mut wrong = String::new();
    loop {
        tokio::select! {
            () = limits.closed() => return,
            () = tokio::time::sleep(every) => {}
        }
        let (asked, last) = (path.clone(), text.clone());
        let read = tokio::task::spawn_blocking(move || look(&asked, &last)).await;
        match read.expect("reading a file does not panic") {
            Ok(Some((new_text, new))) => {
                text = new_text;
                limits.send_replace(Arc::new(new));
                metrics.file_was_read("changed");
                tracing::info!(path = %path.display(), "new rate limits hold");
            }
            Ok(None) => {}
            Err(error) => {
                metrics.file_is_good(false);
                let error = error.to_string();
                if error != wrong {
                    metrics.file_was_read("refused");
                    tracing::error!(path = %path.display(), error, "the rate limits before stay: the new ones cannot be used");
                    wrong = error;
                }
                continue;
            }
        }
        metrics.file_is_good(true);
        wrong.clear();
    }
}

/// The new limits, when the text is another.
fn look(path: &std::path::Path, last: &[u8]) -> Result<Option<(Vec<u8>, Limits)>, FileError> {
    let text = read(path)?;
    if text == last {
        return Ok(None);
    }
    let limits = Limits::parse(&text)?;
    Ok(Some((text, limits)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{Config, Kind, Limiter, Name};
    use prometheus_client::{encoding::text::encode, registry::Registry};
    use std::{fs, os::unix::fs::symlink, path::Path};

    fn text(per_second: u32) -> String {
        format!(r#"{{"default":{{"read":{{"perSecond":{per_second},"burst":5}}}}}}"#)
    }

    /// As a ConfigMap does it: the file is a link into a folder that is a link, and that one is swapped.
    fn swap(volume: &Path, version: &str, text: &str) {
        let folder = volume.join(version);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("limits.json"), text).unwrap();
        symlink(version, volume.join("..tmp")).unwrap();
        fs::rename(volume.join("..tmp"), volume.join("..data")).unwrap();
    }

    async fn holds(limiter: &Limiter, per_second: u32) -> bool {
        let name = Name::of(&"acme".parse().unwrap());
        limiter.look(&name, Kind::Read).await.unwrap().limit.per_second() == per_second
    }

    async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
        for _ in 0..1000 {
            if holds().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("not within 10 s: {what}");
    }

    fn shown(registry: &Registry) -> String {
        let mut text = String::new();
        encode(&mut text, registry).unwrap();
        text
    }

    #[tokio::test]
    async fn a_swapped_link_brings_new_limits_and_a_broken_file_keeps_the_last_good_ones() {
        let (volume, mut registry) = (tempfile::tempdir().unwrap(), Registry::default());
        swap(volume.path(), "..1", &text(1));
        let path = volume.path().join("limits.json");
        symlink("..data/limits.json", &path).unwrap();
        let source = Source::file(path.clone()).unwrap().every(Duration::from_millis(5));
        let limiter = Limiter::new(Config { source, ..Config::default() }, None, &mut registry);
        assert!(holds(&limiter, 1).await);

        swap(volume.path(), "..2", &text(2));
        until("the new limit holds", async || holds(&limiter, 2).await).await;
        let is = |line: &str| shown(&registry).lines().any(|shown| shown == line);
        assert!(is("rate_limit_file_good 1") && is("rate_limit_file_changes_total{outcome=\"changed\"} 1"));

        swap(volume.path(), "..3", "{\"defaults\":{}}");
        until("the broken file is seen", async || is("rate_limit_file_good 0")).await;
        assert!(holds(&limiter, 2).await);
        assert!(is("rate_limit_file_changes_total{outcome=\"refused\"} 1"));

        fs::remove_file(&path).unwrap();
        until("the missing file is seen", async || {
            is("rate_limit_file_changes_total{outcome=\"refused\"} 2")
        })
        .await;
        assert!(holds(&limiter, 2).await);

        fs::write(&path, text(4)).unwrap();
        until("the repaired file holds", async || holds(&limiter, 4).await).await;
        until("the file is good", async || is("rate_limit_file_good 1")).await;
    }

    #[test]
    fn a_file_that_is_wrong_at_the_start_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("limits.json");
        assert!(matches!(Source::file(path.clone()), Err(FileError::Unreadable(_))));
        fs::write(&path, "[]").unwrap();
        assert!(matches!(Source::file(path.clone()), Err(FileError::Malformed(_))));
        fs::write(&path, vec![b' '; 5 << 20]).unwrap();
        assert!(matches!(Source::file(path), Err(FileError::TooLong)));
    }
}
