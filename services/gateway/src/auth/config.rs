//! What tokens are judged by.

use super::{ISSUER, claims::Names};
use reqwest::{Certificate, Url};
use std::{fmt, time::Duration};

/// What tokens are judged by: a secret, the keys of an issuer, or both.
#[derive(Clone)]
pub struct Config {
    /// Secret that signs tokens (HS256); 32 random bytes or more (RFC 7518, section 3.2).
    pub secret: Option<Vec<u8>>,
    /// Keys that an issuer publishes.
    pub jwks: Option<JwksConfig>,
    /// `iss` that every token has.
    pub issuer: String,
    /// `aud` that every token has; when there is none, tokens that name an audience are refused.
    pub audience: Option<String>,
    /// How far the clocks of issuers may differ from ours, in whole seconds.
    pub leeway: Duration,
    /// Claims with organisation and scopes.
    pub names: Names,
}

/// Where the keys of an issuer are, and how long they are believed.
#[derive(Debug, Clone)]
pub struct JwksConfig {
    /// Address of the JWK set (RFC 7517, section 5).
    pub url: Url,
    /// Authorities whose servers are trusted; the system's when there are none.
    pub authorities: Option<Vec<Certificate>>,
    /// Time between fetches, and so how long a key is still believed that the issuer has taken away.
    pub refresh: Duration,
    /// Least time between fetches because of tokens whose key is not known.
    pub refetch: Duration,
    /// How long known keys are believed while the issuer does not answer.
    pub keep: Duration,
    /// How long a fetch may take.
    pub deadline: Duration,
    /// Whether the issuer's tokens may be for any organisation (`*`).
    pub any_organization: bool,
}

impl JwksConfig {
    /// Keys at an address, with the usual times.
    pub fn new(url: Url) -> JwksConfig {
        JwksConfig {
            url,
            authorities: None,
            refresh: Duration::from_secs(5 * 60),
            refetch: Duration::from_secs(10),
            keep: Duration::from_secs(24 * 3600),
            deadline: Duration::from_secs(5),
            any_organization: false,
        }
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            secret: None,
            jwks: None,
            issuer: ISSUER.into(),
            audience: None,
            leeway: Duration::from_secs(5),
            names: Names::default(),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Config { secret, jwks, issuer, audience, leeway, names } = self;
        f.debug_struct("Config")
            .field("secret", &secret.as_ref().map(|_| "[hidden]"))
            .field("jwks", jwks)
            .field("issuer", issuer)
            .field("audience", audience)
            .field("leeway", leeway)
            .field("names", names)
            .finish()
    }
}

#[cfg(feature = "service")]
mod read {
    use super::{Certificate, Config, ISSUER, JwksConfig, Names, Url};
    use settings::Settings;
    use std::time::Duration;

    /// Least bytes of a secret for HS256.
    const SECRET_BYTES: usize = 32;
    /// Bytes of a claim's name, an issuer or an audience.
    const NAME_BYTES: usize = 256;

    const SECRET: &str = "LOGPIPELINE_JWT_SECRET";
    const URL: &str = "LOGPIPELINE_JWKS_URL";
    const CA: &str = "LOGPIPELINE_JWKS_CA";

    impl Config {
        /// Reads it from the environment's variables.
        pub fn read(settings: &mut Settings) -> Config {
            let secret = settings.secret(SECRET, "Secret of at least 32 bytes that signs tokens (HS256)");
            if secret.as_ref().is_some_and(|secret| secret.len() < SECRET_BYTES) {
                settings.mistake(format!("{SECRET} has fewer than 32 bytes (RFC 7518, section 3.2)"));
            }
            let jwks = read_jwks(settings);
            if !settings.is_set(SECRET) && !settings.is_set(URL) {
                settings.mistake(format!(
                    "{SECRET} is not set, nor {SECRET}_FILE, nor {URL}: tokens are judged by a secret of at least \
                     32 bytes, by the keys of an issuer, or by both"
                ));
            }
            Config {
                secret: secret.map(String::into_bytes),
                jwks,
                issuer: settings.parsed(
                    "LOGPIPELINE_JWT_ISSUER",
                    "Issuer of every token (iss)",
                    ISSUER,
                    name,
                ),
                audience: settings.optional_parsed(
                    "LOGPIPELINE_JWT_AUDIENCE",
                    "Audience of every token (aud); when not set, tokens that name one are refused",
                    name,
                ),
                leeway: settings.parsed(
                    "LOGPIPELINE_JWT_LEEWAY",
                    "How far the clocks of issuers may differ from ours",
                    "5s",
                    leeway,
                ),
                names: Names {
                    organization: settings.parsed(
                        "LOGPIPELINE_JWT_ORGANIZATION_CLAIM",
                        "Claim with the organisation; a path for a nested one, such as org.name",
                        "organization",
                        name,
                    ),
                    scope: settings.parsed(
                        "LOGPIPELINE_JWT_SCOPE_CLAIM",
                        "Claim with the scopes; a path for a nested one, such as realm_access.roles",
                        "scope",
                        name,
                    ),
                },
            }
        }
    }

    fn read_jwks(settings: &mut Settings) -> Option<JwksConfig> {
        let (second, day) = (Duration::from_secs(1), Duration::from_secs(24 * 3600));
        let address = settings.optional_parsed(
            URL,
            "Address of the keys of an issuer (RS256, ES256, EdDSA, …), https, or http in a network that is trusted",
            url,
        );
        let authorities = settings.optional_parsed(
            CA,
            "File of authorities to trust at that address, PEM; else the system's",
            authorities,
        );
        let refresh = settings.duration_within(
            "LOGPIPELINE_JWKS_REFRESH",
            "Time between fetches of the keys; shorter when the issuer's Cache-Control asks for it",
            "5m",
            second..=day,
        );
        let refetch = settings.duration_within(
            "LOGPIPELINE_JWKS_REFETCH",
            "Least time between fetches because of tokens whose key is not known",
            "10s",
            second..=day,
        );
        let keep = settings.duration_within(
            "LOGPIPELINE_JWKS_KEEP",
            "How long known keys are believed while the issuer does not answer",
            "24h",
            second..=30 * day,
        );
        let any_organization = settings.value(
            "LOGPIPELINE_JWKS_ANY_ORGANIZATION",
            "Whether tokens of the issuer may be for any organisation (*), true or false",
            "false",
        );
        // Told without the address, as it holds a secret.
        if address.as_ref().is_some_and(|url| !url.username().is_empty() || url.password().is_some()) {
            settings.mistake(format!("{URL} has a user or a password; keys are public and fetched without"));
        }
        if authorities.is_some() && address.as_ref().is_none_or(|url| url.scheme() != "https") {
            settings.mistake(format!("{CA} is set, and {URL} does not begin with https"));
        }
        if keep < refresh {
            settings.mistake(
                "LOGPIPELINE_JWKS_KEEP is below LOGPIPELINE_JWKS_REFRESH: keys would lapse between fetches",
            );
        }
        let usual = JwksConfig::new(address?);
        Some(JwksConfig { authorities, refresh, refetch, keep, any_organization, ..usual })
    }

    fn url(text: &str) -> Result<Url, String> {
        let url: Url =
            text.parse().map_err(|error| format!("{error}; write it like https://host/jwks.json"))?;
        if ["http", "https"].contains(&url.scheme()) && url.fragment().is_none() {
            Ok(url)
        } else {
            Err("write it like https://host/jwks.json".into())
        }
    }

    /// Of a file.
    fn authorities(path: &str) -> Result<Vec<Certificate>, String> {
        let pem = std::fs::read(path).map_err(|error| error.to_string())?;
        let certificates = Certificate::from_pem_bundle(&pem).map_err(|_| "it is no PEM file")?;
        if certificates.is_empty() { Err("it has no certificate".into()) } else { Ok(certificates) }
    }

    fn leeway(text: &str) -> Result<Duration, String> {
        let seconds = text.strip_suffix('s').and_then(|digits| digits.parse().ok());
        let seconds = seconds.filter(|seconds| (0..=300).contains(seconds));
        seconds
            .map(Duration::from_secs)
            .ok_or_else(|| "it has to be from 0s to 300s, in whole seconds".into())
    }

    fn name(text: &str) -> Result<String, String> {
        if text.len() <= NAME_BYTES {
            Ok(text.into())
        } else {
            Err(format!("it is longer than {NAME_BYTES} bytes"))
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn an_address_of_keys_is_one_of_http() {
            assert!(url("https://idp/keys").is_ok() && url("http://idp:8080/keys?x=1").is_ok());
            for text in ["idp/keys", "ftp://idp/keys", "https://", "file:///keys", ""] {
                assert!(url(text).is_err(), "{text}");
            }
        }

        #[test]
        fn leeway_is_bounded() {
            assert_eq!(leeway("0s"), Ok(Duration::ZERO));
            assert_eq!(leeway("300s"), Ok(Duration::from_secs(300)));
            for text in ["301s", "-1s", "5", "s", "1h", "99999999999999999999s"] {
                assert!(leeway(text).is_err(), "{text}");
            }
        }
    }
}
