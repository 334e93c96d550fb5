//! Where the database is, from the variables of the environment.

use super::{Config, Tls};
use settings::Settings;
use sqlx::postgres::PgConnectOptions;
use std::{path::PathBuf, str::FromStr};

impl Config {
    /// Reads where the database is and how much of it may be used.
    pub fn read(settings: &mut Settings) -> Config {
        let url = settings.required_secret(
            "LOGPIPELINE_DATABASE_URL",
            "Database, such as postgres://user:password@host:5432/logs",
        );
        let authority =
            settings.file("LOGPIPELINE_DATABASE_CA", "File of authorities to trust, PEM; else the system's");
        // What is not set is told already, and the URL itself is a secret.
        if !url.is_empty() && PgConnectOptions::from_str(&url).is_err() {
            settings.mistake(
                "LOGPIPELINE_DATABASE_URL cannot be read: write it like postgres://user:password@host:5432/logs, and \
                 signs such as @ and / in the password as %40 and %2F",
            );
        }
        let usual = Config::new(url);
        Config {
            tls: settings.parsed(
                "LOGPIPELINE_DATABASE_TLS",
                "off, encrypt (any certificate), verify-ca or verify-full",
                "off",
                |text| tls(text, &authority),
            ),
            connections: settings.within(
                "LOGPIPELINE_DATABASE_CONNECTIONS",
                "Connections at most",
                "20",
                1..=10_000,
            ),
            statement_timeout: settings.duration(
                "LOGPIPELINE_DATABASE_STATEMENT_TIMEOUT",
                "The database ends a statement that takes longer",
                "10s",
            ),
            lock_timeout: settings.duration(
                "LOGPIPELINE_DATABASE_LOCK_TIMEOUT",
                "The database ends a statement that waits longer for a lock",
                "5s",
            ),
            answer_timeout: settings.duration(
                "LOGPIPELINE_DATABASE_ANSWER_TIMEOUT",
                "Without an answer for so long a connection is given up; longer than a statement may take",
                "15s",
            ),
            retention_days: settings.within(
                "LOGPIPELINE_RETENTION_DAYS",
                "Days that events are kept",
                "30",
                1..=36_500,
            ),
            max_letter_bytes: settings.bytes(
                "LOGPIPELINE_DEAD_LETTER_BYTES",
                "Bytes of dead letters that are kept: the oldest published ones go; what is not published waits",
                "512Mi",
            ),
            ..usual
        }
    }
}

fn tls(text: &str, authority: &Option<PathBuf>) -> Result<Tls, String> {
    match text {
        "off" => Ok(Tls::Off),
        "encrypt" => Ok(Tls::Encrypt),
        "verify-ca" => Ok(Tls::VerifyCa(authority.clone())),
        "verify-full" => Ok(Tls::VerifyFull(authority.clone())),
        _ => Err("use off, encrypt, verify-ca or verify-full".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_required_and_its_authority_is_used() {
        let mut none = Settings::new([]);
        Config::read(&mut none);
        assert!(none.finish().unwrap_err().to_string().contains("LOGPIPELINE_DATABASE_URL is not set"));
        let authority = tempfile::NamedTempFile::new().unwrap();
        let file = authority.path().to_str().unwrap();
        let variables =
            [("URL", "postgres://db/logs"), ("TLS", "verify-full"), ("CA", file), ("CONNECTIONS", "7")];
        let named = variables.map(|(name, value)| (format!("LOGPIPELINE_DATABASE_{name}"), value.to_owned()));
        let mut some = Settings::new(named);
        let config = Config::read(&mut some);
        some.finish().unwrap();
        assert_eq!(config.connections, 7);
        assert!(matches!(config.tls, Tls::VerifyFull(Some(path)) if path == authority.path()));
    }
}
