//! A Redis of the test's own.

use std::{path::Path, process::Command};

const PORT: &str = "26394";

pub(crate) struct Redis {
    pub(crate) url: String,
}

impl Redis {
    pub(crate) fn start() -> Redis {
        script("down");
        Redis { url: script("up").trim().to_owned() }
    }

    /// One of the commands of `hack/redis.sh`.
    pub(crate) fn hack(&self, command: &str) {
        script(command);
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            script("down");
        }
    }
}

fn script(command: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../hack/redis.sh");
    let done = Command::new(path).arg(command).env("LOGPIPELINE_REDIS_PORT", PORT).output().unwrap();
    assert!(done.status.success(), "hack/redis.sh {command}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}
