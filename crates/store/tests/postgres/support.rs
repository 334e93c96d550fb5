//! Databases, servers and events for the tests.

use record::{Level, LogRecord, Timestamp, Uuid};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};
use store::{
    Filter, Flush, LedgerRow, NewLetter, PartitionKey, Position, Query, Refusal, SearchQuestion, Sink,
    postgres::{Config, Store},
};

pub(crate) const BUDGET: Duration = Duration::from_secs(60);
/// How many sessions of the database wait for a lock.
pub(crate) const WAITING: &str = "SELECT count(*) FROM pg_stat_activity
     WHERE datname = current_database() AND wait_event_type = 'Lock'";
/// Nanoseconds.
pub(crate) const DAY: i64 = 86_400_000_000_000;

/// A database of its own, dropped at the end.
pub(crate) struct Database {
    server: String,
    name: String,
}

impl Database {
    /// An empty database on the server of all tests.
    pub(crate) async fn empty() -> Database {
        let server = std::env::var("LOGPIPELINE_TEST_POSTGRES").expect(
            "LOGPIPELINE_TEST_POSTGRES is the URL of a PostgreSQL whose user may make databases: \
             LOGPIPELINE_TEST_POSTGRES=$(hack/postgres.sh up)",
        );
        Database::on(&server).await
    }

    /// An empty database on that server.
    pub(crate) async fn on(server: &str) -> Database {
        let name = format!("test_{}", Uuid::now_v7().simple());
        let mut admin = PgConnection::connect(server).await.expect("the server of the tests answers");
        let sql = format!("CREATE DATABASE {name} TEMPLATE template0");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut admin).await.expect("the user may make databases");
        Database { server: server.to_owned(), name }
    }

    /// The URL of this database.
    pub(crate) fn url(&self) -> String {
        let (server, _) = self.server.rsplit_once('/').expect("the URL names a database");
        format!("{server}/{}", self.name)
    }

    /// The usual configuration, with few days, so that a test begins quickly.
    pub(crate) fn config(&self) -> Config {
        Config { connections: 5, days_back: 1, days_ahead: 1, ..Config::new(self.url()) }
    }

    /// A connection beside the store.
    pub(crate) async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.url()).await.unwrap()
    }

    /// Runs statements beside the store.
    pub(crate) async fn run(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.connect().await).await.unwrap();
    }

    /// One number from beside the store.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        let row = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_one(&mut self.connect().await).await.unwrap();
        row.get(0)
    }

    /// Waits until the number is not 0.
    pub(crate) async fn until(&self, sql: &str) {
        for _ in 0..3_000 {
            if self.number(sql).await != 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("this did not come true within 30 s: {sql}");
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, sql) =
            (self.server.clone(), format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
        let drop = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                // A server that was killed by its test takes the database with it.
                if let Ok(mut admin) = PgConnection::connect(&server).await {
                    let _ = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut admin).await;
                }
            });
        });
        let _ = drop.join();
    }
}

/// A store on a database with tables and partitions.
pub(crate) async fn store() -> (Database, Store) {
    let database = Database::empty().await;
    let store = open(database.config()).await;
    (database, store)
}

/// A store with these settings, its tables and partitions made.
pub(crate) async fn open(config: Config) -> Store {
    let store = Store::open(config).unwrap();
    store.migrate().await.unwrap();
    store.maintain(Timestamp::now()).await.unwrap();
    store
}

/// A server of a test's own, which it may break.
pub(crate) struct Server {
    port: u16,
    pub(crate) url: String,
}

static NEXT_PORT: AtomicU16 = AtomicU16::new(0);

impl Server {
    pub(crate) fn start() -> Server {
        let of_process = 26_000 + u16::try_from(std::process::id() % 500).unwrap() * 10;
        let port = of_process + NEXT_PORT.fetch_add(1, Ordering::Relaxed);
        let mut server = Server { port, url: String::new() };
        server.url = server.script("up");
        server
    }

    /// Runs a command of `hack/postgres.sh` on this server.
    pub(crate) fn script(&self, command: &str) -> String {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let done = Command::new(root.join("hack/postgres.sh"))
            .arg(command)
            .env("LOGPIPELINE_POSTGRES_PORT", self.port.to_string())
            .env("LOGPIPELINE_POSTGRES_DIR", self.directory())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "hack/postgres.sh {command} failed: {said}");
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    }

    fn directory(&self) -> PathBuf {
        std::env::temp_dir().join(format!("logpipeline-test-postgres-{}", self.port))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.script("rm");
        } else {
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.script("rm")));
        }
    }
}

pub(crate) fn of(partition: i32) -> PartitionKey {
    PartitionKey { topic: Uuid::from_u128(7), partition, epoch: 0 }
}

pub(crate) fn at(nanos: i64) -> Timestamp {
    Timestamp::from_nanos(nanos).unwrap()
}

pub(crate) fn event(organization: &str, nanos: i64, message: &str) -> LogRecord {
    LogRecord {
        id: Uuid::now_v7(),
        organization_id: organization.parse().unwrap(),
        timestamp: at(nanos),
        level: Level::Info,
        service: "shop".into(),
        message: message.into(),
        trace_id: None,
        span_id: None,
        attributes: None,
    }
}

/// A refusal of ours.
pub(crate) fn refusal(reason: &str) -> Refusal {
    Refusal::from(reason.to_owned())
}

pub(crate) fn letter(offset: i64, retry_at: i64) -> NewLetter {
    NewLetter {
        offset,
        key: "acme".into(),
        payload: format!("broken {offset}").into(),
        timestamp_ms: 1_000 + offset,
        traceparent: None,
        refusal: refusal("not JSON"),
        retry_at: at(retry_at),
    }
}

/// A flush of rows only, from `expected` on.
pub(crate) fn rows(partition: i32, expected: i64, rows: Vec<LogRecord>) -> Flush {
    let next = expected + rows.len() as i64;
    Flush { of: of(partition), expected, next, rows, letters: vec![], skipped: 0, lost: 0 }
}

/// A flush of letters only, from `expected` on.
pub(crate) fn letters(partition: i32, expected: i64, letters: Vec<NewLetter>) -> Flush {
    let next = expected + letters.len() as i64;
    Flush { of: of(partition), expected, next, rows: vec![], letters, skipped: 0, lost: 0 }
}

pub(crate) async fn begin(store: &Store, partitions: i32) {
    let asked: Vec<_> = (0..partitions).map(|partition| Position { of: of(partition), next: 0 }).collect();
    store.positions(&asked).await.unwrap();
}

pub(crate) fn everything(organization: &str) -> Filter {
    let organization = organization.parse().unwrap();
    Filter { organization, from: None, to: None, levels: vec![], service: None, words: vec![] }
}

/// All messages of an organisation, newest first.
pub(crate) async fn messages(store: &Store, organization: &str) -> Vec<String> {
    let question =
        SearchQuestion { filter: everything(organization), limit: 10_000, after: None, budget: BUDGET };
    let page = store.search(question).await.unwrap();
    page.logs.into_iter().map(|log| log.message).collect()
}

pub(crate) async fn ledger_of(store: &Store, of: PartitionKey) -> LedgerRow {
    let rows = store.ledger().await.unwrap();
    *rows
        .iter()
        .find(|row| (row.topic, row.partition, row.epoch) == (of.topic, of.partition, of.epoch))
        .unwrap()
}
