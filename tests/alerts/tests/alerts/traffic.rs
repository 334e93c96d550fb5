//! What goes on all the time: some organisations write, and somebody looks at the same few questions.

use fault_tests::client::Client;
use std::time::Duration;
use tokio::{
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};

/// Organisations that write.
const ORGANISATIONS: usize = 12;

/// Clients that go on until this is dropped.
pub(crate) struct Traffic(Vec<JoinHandle<()>>);

/// What a client does again and again.
#[derive(Clone, Copy)]
enum Act {
    /// Writes so many events.
    Write(usize),
    /// Asks the same.
    Ask(&'static str),
    /// Asks what nobody asked before.
    AskAnew,
}

impl Traffic {
    /// Everyday traffic: no organisation is much larger than another, and questions repeat.
    pub(crate) fn everyday(url: &str) -> Traffic {
        let write = |number| client(url, &of(number), Duration::from_millis(300), Act::Write(8));
        let ask = |path| move |number| client(url, &of(number), Duration::from_millis(100), Act::Ask(path));
        let questions = ["/api/v1/logs?limit=5", "/api/v1/stats", "/api/v1/logs?limit=5&level=ERROR"];
        let readers = questions.into_iter().flat_map(|path| (0..2).map(ask(path)));
        Traffic((0..ORGANISATIONS).map(write).chain(readers).collect())
    }

    /// One organisation that writes far more than all others.
    pub(crate) fn hot(url: &str) -> Traffic {
        Traffic((0..2).map(|_| client(url, "hot", Duration::from_millis(20), Act::Write(200))).collect())
    }

    /// Questions that nobody asked before.
    pub(crate) fn curious(url: &str) -> Traffic {
        Traffic(
            (0..6).map(|number| client(url, &of(number), Duration::from_millis(100), Act::AskAnew)).collect(),
        )
    }
}

fn of(number: usize) -> String {
    format!("org-{number}")
}

fn client(url: &str, organization: &str, period: Duration, act: Act) -> JoinHandle<()> {
    let client = Client::new(url, organization);
    tokio::spawn(async move {
        let mut tick = interval(period);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            match act {
                Act::Write(count) => client.post(EVENT.repeat(count)).await,
                Act::Ask(path) => client.get(path).await,
                // From whenever on: the newest two are found at once.
                Act::AskAnew => {
                    let nanos = rand::random_range(0..1_000_000_000_u32);
                    client.get(&format!("/api/v1/logs?limit=2&from=1970-01-01T00:00:00.{nanos:09}Z")).await
                }
            };
        }
    })
}

const EVENT: &str = "{\"message\":\"an event of everyday traffic\",\"service\":\"checkout\"}\n";

impl Drop for Traffic {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}
