//! A PostgreSQL with TLS, of its own, by `hack/postgres.sh`.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    thread::sleep,
    time::{Duration, Instant},
};

const CHANGES_WITHIN: Duration = Duration::from_secs(30);

/// The server, as long as this value lives.
pub(crate) struct Server {
    port: String,
    directory: tempfile::TempDir,
    url: String,
}

impl Server {
    /// Makes and starts it; at LOGPIPELINE_TEST_POSTGRES_TLS_PORT, 25604 when that is not set.
    pub(crate) fn start() -> Server {
        let port = std::env::var("LOGPIPELINE_TEST_POSTGRES_TLS_PORT").unwrap_or_else(|_| "25604".into());
        let directory = tempfile::tempdir().unwrap();
        // The server may run as another user than the test.
        open_to_all(directory.path());
        let mut server = Server { port, directory, url: String::new() };
        server.url = text(&server.hack("up"));
        server
    }

    /// Its URL by a name of this machine.
    pub(crate) fn url(&self, host: &str) -> String {
        self.url.replace("127.0.0.1", host)
    }

    /// File of the authority that its certificate comes from.
    pub(crate) fn authority(&self) -> PathBuf {
        self.server_directory().join("ca.pem")
    }

    /// File of an authority that it has nothing from.
    pub(crate) fn another_authority(&self) -> PathBuf {
        let file = self.directory.path().join("another.pem");
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=another", "-keyout"]);
        run(openssl.arg(self.directory.path().join("another.key")).arg("-out").arg(&file));
        file
    }

    /// How many sessions stores have, and how many of these are encrypted.
    pub(crate) fn sessions(&self) -> (u32, u32) {
        let counts = self.sql(
            "SELECT count(*), count(*) FILTER (WHERE ssl)
             FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) WHERE application_name = 'logpipeline'",
        );
        let (all, encrypted) = counts.split_once('|').unwrap();
        (all.parse().unwrap(), encrypted.parse().unwrap())
    }

    /// Lets it take connections without TLS only.
    pub(crate) fn turn_tls_off(&self) {
        self.sql("ALTER SYSTEM SET ssl = off");
        self.sql("SELECT pg_reload_conf()");
        let begun = Instant::now();
        while self.sql("SHOW ssl") != "off" {
            assert!(begun.elapsed() < CHANGES_WITHIN, "the server does not read its settings again");
            sleep(Duration::from_millis(10));
        }
    }

    /// As its superuser, by its socket.
    fn sql(&self, statement: &str) -> String {
        let mut psql = Command::new("psql");
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--username=postgres"]);
        psql.arg("--port").arg(&self.port).arg("--host").arg(self.server_directory());
        text(&run(psql.arg("--command").arg(statement)))
    }

    fn server_directory(&self) -> PathBuf {
        self.directory.path().join("server")
    }

    fn hack(&self, verb: &str) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../hack/postgres.sh");
        let mut command = Command::new(script);
        command.arg(verb).env("LOGPIPELINE_POSTGRES_PORT", &self.port).env("LOGPIPELINE_POSTGRES_TLS", "on");
        run(command.env("LOGPIPELINE_POSTGRES_DIR", self.server_directory()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.hack("rm");
    }
}

fn open_to_all(directory: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
