//! The settings of traces, by OpenTelemetry's own names: <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>.

use crate::Ratio;
use percent_encoding::percent_decode_str;
use settings::Settings;
use std::{collections::HashMap, str::FromStr};
use url::Url;

/// Where traces go, and which.
#[derive(Clone)]
pub struct Config {
    pub(super) endpoint: Option<Url>,
    pub(super) protocol: Protocol,
    /// Can hold a password.
    pub(super) headers: HashMap<String, String>,
    pub(super) ratio: Ratio,
    pub(super) service_name: Option<String>,
}

/// How the receiver is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// gRPC.
    Grpc,
    /// Protobuf by HTTP/1.1.
    HttpProtobuf,
}

impl FromStr for Protocol {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Protocol, &'static str> {
        match text {
            "grpc" => Ok(Protocol::Grpc),
            "http/protobuf" => Ok(Protocol::HttpProtobuf),
            _ => Err("use grpc or http/protobuf"),
        }
    }
}

impl Config {
    /// Reads it from the environment's variables.
    pub fn read(settings: &mut Settings) -> Config {
        let endpoint = settings.optional_parsed(
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "Receiver of traces, such as http://collector:4317; without one none are sent, and those of others are passed on",
            endpoint,
        );
        let protocol = settings.value(
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "What the receiver of traces is spoken to in, grpc or http/protobuf",
            "grpc",
        );
        let headers = settings.secret(
            "OTEL_EXPORTER_OTLP_HEADERS",
            "Headers for the receiver of traces, such as authorization=Bearer%20token,tenant=a",
        );
        let headers = match headers.as_deref().map_or_else(|| Some(HashMap::new()), headers_of) {
            Some(headers) => headers,
            None => {
                settings.mistake(
                    "OTEL_EXPORTER_OTLP_HEADERS: write it like name=value,name=value, other bytes as %20",
                );
                HashMap::new()
            }
        };
        let ratio = settings.value(
            "OTEL_TRACES_SAMPLER_ARG",
            "Share of the traces that begin here that are sent, 0 to 1; a client decides for its own",
            "0.1",
        );
        let service_name = settings
            .optional("OTEL_SERVICE_NAME", "Name of the service in traces; the program's when not set");
        // The SDK reads it itself.
        settings.optional::<String>(
            "OTEL_RESOURCE_ATTRIBUTES",
            "What else is said of this process in traces, such as deployment.environment.name=production",
        );
        Config { endpoint, protocol, headers, ratio, service_name }
    }
}

fn endpoint(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.ok_or_else(|| "write it like http://collector:4317".to_owned())
}

fn headers_of(text: &str) -> Option<HashMap<String, String>> {
    let header = |member: &str| {
        let (name, value) = member.split_once('=')?;
        let name: http::HeaderName = name.trim().parse().ok()?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        http::HeaderValue::from_str(&value).ok()?;
        Some((name.to_string(), value.into_owned()))
    };
    text.split(',').filter(|member| !member.trim().is_empty()).map(header).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> (Config, Result<(), String>) {
        let owned = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut settings = Settings::new(owned);
        let config = Config::read(&mut settings);
        (config, settings.finish().map_err(|mistakes| mistakes.to_string()))
    }

    #[test]
    fn nothing_is_sent_unless_it_is_said_where() {
        let (config, finished) = read(&[]);
        assert_eq!((config.endpoint, config.protocol, finished), (None, Protocol::Grpc, Ok(())));
        assert_eq!(config.ratio, "0.1".parse().unwrap());
    }

    #[test]
    fn headers_are_read_as_w3c_baggage_writes_them() {
        let (config, finished) =
            read(&[("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20a=b, x-tenant = 7 ,")]);
        assert_eq!(finished, Ok(()));
        assert_eq!(config.headers["authorization"], "Bearer a=b");
        assert_eq!(config.headers["x-tenant"], "7");
    }

    #[test]
    fn all_mistakes_are_told_and_no_secret() {
        let (_, finished) = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "hunter-two"),
            ("OTEL_TRACES_SAMPLER_ARG", "10%"),
        ]);
        let told = finished.unwrap_err();
        for words in
            ["http://collector:4317", "use grpc or http/protobuf", "name=value", "from 0 (none) to 1 (all)"]
        {
            assert!(told.contains(words), "{words} is not in {told}");
        }
        assert!(!told.contains("hunter-two"), "{told}");
    }
}
