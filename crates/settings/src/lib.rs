//! Settings of a process, from the variables of its environment.
//!
//! A configuration is read by one function that asks for each variable with its help text and its default, so that the
//! text of `--help`, the defaults and the code cannot drift apart. All mistakes are told at once, before anything is
//! opened or bound: whoever deploys should not have to find them one restart at a time.
//!
//! ```
//! use settings::Settings;
//!
//! struct Config {
//!     listen: std::net::SocketAddr,
//!     linger: std::time::Duration,
//! }
//!
//! fn read(settings: &mut Settings) -> Config {
//!     Config {
//!         listen: settings.value("LISTEN", "Address of the API", "0.0.0.0:8080"),
//!         linger: settings.duration("LINGER", "How long a batch waits", "50ms"),
//!     }
//! }
//!
//! let mut settings = Settings::new([("LISTEN".to_owned(), "here".to_owned())]);
//! let config = read(&mut settings);
//! let errors = settings.finish().unwrap_err().to_string();
//! assert!(errors.contains("LISTEN"));
//! # let _ = (config.listen, config.linger);
//! ```

mod quantity;

pub use quantity::{QuantityError, bytes};

use std::{
    collections::BTreeMap,
    fmt::{self, Display, Write as _},
    fs,
    ops::RangeInclusive,
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

/// Bytes of a secret's file; anything longer is none.
const SECRET_BYTES: u64 = 64 * 1024;

/// The variables of a process, and what was asked of them.
#[derive(Debug, Default)]
pub struct Settings {
    values: BTreeMap<String, String>,
    asked: Vec<Asked>,
    mistakes: Vec<String>,
}

#[derive(Debug)]
struct Asked {
    name: String,
    help: &'static str,
    note: String,
}

/// Everything that is wrong with the variables.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub struct Mistakes(Vec<String>);

impl Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for mistake in &self.0 {
            writeln!(f, "  {mistake}")?;
        }
        f.write_str("--help lists all variables")
    }
}

impl Settings {
    /// Settings from variables; one that is empty counts as not set, as templates leave them.
    pub fn new(variables: impl IntoIterator<Item = (String, String)>) -> Settings {
        let values = variables.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        Settings { values, ..Settings::default() }
    }

    /// Settings from the environment of this process.
    pub fn from_environment() -> Settings {
        let lossy = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        Settings::new(std::env::vars_os().map(|(name, value)| (lossy(name), lossy(value))))
    }

    /// A variable with a default, which has to parse itself.
    pub fn value<T>(&mut self, name: &str, help: &'static str, default: &str) -> T
    where
        T: FromStr,
        T::Err: Display,
    {
        self.parsed(name, help, default, |text| text.parse().map_err(|error: T::Err| error.to_string()))
    }

    /// A length of time with a unit, such as `50ms`, `10s` or `1h 30m`.
    pub fn duration(&mut self, name: &str, help: &'static str, default: &str) -> Duration {
        self.parsed(name, help, default, duration)
    }

    /// A number within a range, both ends included.
    pub fn within<T>(&mut self, name: &str, help: &'static str, default: &str, range: RangeInclusive<T>) -> T
    where
        T: FromStr + PartialOrd + Display,
    {
        self.parsed(name, help, default, |text| {
            let number = text.parse().ok().filter(|number| range.contains(number));
            number.ok_or_else(|| format!("it has to be a number from {} to {}", range.start(), range.end()))
        })
    }

    /// A length of time within a range, both ends included.
    pub fn duration_within(
        &mut self,
        name: &str,
        help: &'static str,
        default: &str,
        range: RangeInclusive<Duration>,
    ) -> Duration {
        self.parsed(name, help, default, |text| {
            let duration = duration(text)?;
            let (from, to) = (*range.start(), *range.end());
            let (shortest, longest) = (humantime::format_duration(from), humantime::format_duration(to));
            let possible = range.contains(&duration);
            possible.then_some(duration).ok_or_else(|| format!("it has to be from {shortest} to {longest}"))
        })
    }

    /// A number of bytes, such as `1000000`, `64Mi` or `2G`.
    pub fn bytes(&mut self, name: &str, help: &'static str, default: &str) -> u64 {
        self.parsed(name, help, default, |text| bytes(text).map_err(|error| error.to_string()))
    }

    /// A variable with a default, read by a function.
    ///
    /// # Panics
    /// When the default does not parse: a mistake in the program.
    pub fn parsed<T>(
        &mut self,
        name: &str,
        help: &'static str,
        default: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> T {
        self.note(name, help, format!("default {default}"));
        self.read(name, &parse)
            .unwrap_or_else(|| parse(default).unwrap_or_else(|error| panic!("default of {name}: {error}")))
    }

    /// A variable that has to be set. When it is not, or is wrong, the example is answered in its place; it is never
    /// used, since [`Settings::finish`] fails.
    ///
    /// # Panics
    /// When the example does not parse: a mistake in the program.
    pub fn required<T>(&mut self, name: &str, help: &'static str, example: &str) -> T
    where
        T: FromStr,
        T::Err: Display,
    {
        self.note(name, help, format!("required, such as {example}"));
        let parse = |text: &str| text.parse().map_err(|error: T::Err| error.to_string());
        if !self.values.contains_key(name) {
            self.mistakes.push(format!("{name} is not set: {help}, such as {example}"));
        }
        self.read(name, &parse)
            .unwrap_or_else(|| parse(example).unwrap_or_else(|error| panic!("example of {name}: {error}")))
    }

    /// A variable that may be left out.
    pub fn optional<T>(&mut self, name: &str, help: &'static str) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        self.note(name, help, "optional".into());
        self.read(name, &|text| text.parse().map_err(|error: T::Err| error.to_string()))
    }

    /// A variable that may be left out, read by a function.
    pub fn optional_parsed<T>(
        &mut self,
        name: &str,
        help: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.note(name, help, "optional".into());
        self.read(name, &parse)
    }

    /// A file that may be left out, and can be opened when it is named.
    pub fn file(&mut self, name: &str, help: &'static str) -> Option<PathBuf> {
        self.optional_parsed(name, help, |path| {
            let opened = fs::File::open(path).and_then(|file| file.metadata());
            match opened {
                Ok(metadata) if metadata.is_file() => Ok(PathBuf::from(path)),
                Ok(_) => Err("it is no file".to_owned()),
                Err(error) => Err(format!("the file cannot be read: {error}")),
            }
        })
    }

    /// A secret: the variable itself, or the file that `NAME_FILE` names, without the line break at its end. No mistake
    /// shows its text.
    pub fn secret(&mut self, name: &str, help: &'static str) -> Option<String> {
        self.note(name, help, format!("secret, optional; or {name}_FILE names its file"));
        let file = format!("{name}_FILE");
        match (self.values.get(name), self.values.get(&file)) {
            (Some(_), Some(_)) => {
                self.mistakes.push(format!("{name} and {file} are both set; set one of them"));
                None
            }
            (Some(text), None) => Some(text.clone()),
            (None, Some(path)) => match read_secret(path) {
                Ok(text) => Some(text),
                Err(error) => {
                    self.mistakes.push(format!("{file}={path}: {error}"));
                    None
                }
            },
            (None, None) => None,
        }
    }

    /// A secret that has to be set; empty when it is not, and then [`Settings::finish`] fails.
    pub fn required_secret(&mut self, name: &str, help: &'static str) -> String {
        let before = self.mistakes.len();
        let secret = self.secret(name, help);
        if let Some(asked) = self.asked.last_mut() {
            asked.note = format!("secret, required; or {name}_FILE names its file");
        }
        if secret.is_none() && self.mistakes.len() == before {
            self.mistakes.push(format!("{name} is not set, nor {name}_FILE: {help}"));
        }
        secret.unwrap_or_default()
    }

    /// A secret that has to be set and to have so many bytes at least, because something is signed with it; shorter when
    /// it does not, and then [`Settings::finish`] fails.
    pub fn required_key(&mut self, name: &str, help: &'static str, at_least: usize) -> String {
        let key = self.required_secret(name, help);
        if (1..at_least).contains(&key.len()) {
            self.mistake(format!("{name} has fewer than {at_least} bytes"));
        }
        key
    }

    /// Whether a variable is set, or the one that names its file, right or wrong.
    pub fn is_set(&self, name: &str) -> bool {
        self.values.contains_key(name) || self.values.contains_key(&format!("{name}_FILE"))
    }

    /// Notes a mistake that concerns several variables.
    pub fn mistake(&mut self, text: impl Into<String>) {
        self.mistakes.push(text.into());
    }

    /// Whether all is well.
    ///
    /// # Errors
    /// [`Mistakes`], all of them.
    pub fn finish(self) -> Result<(), Mistakes> {
        if self.mistakes.is_empty() { Ok(()) } else { Err(Mistakes(self.mistakes)) }
    }

    /// The part of `--help` that lists what was asked.
    pub fn help(&self) -> String {
        let mut text = String::new();
        for Asked { name, help, note } in &self.asked {
            let _ = writeln!(text, "  {name}\n      {help} [{note}]");
        }
        text
    }

    fn read<T>(&mut self, name: &str, parse: &impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let text = self.values.get(name)?;
        match parse(text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.mistakes.push(format!("{name}={text}: {error}"));
                None
            }
        }
    }

    fn note(&mut self, name: &str, help: &'static str, note: String) {
        self.asked.push(Asked { name: name.to_owned(), help, note });
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; write it like 50ms, 10s or 5m"))
}

fn read_secret(path: &str) -> Result<String, String> {
    let metadata = fs::metadata(path).map_err(|error| error.to_string())?;
    if metadata.len() > SECRET_BYTES {
        return Err(format!("the file has {} bytes, a secret at most {SECRET_BYTES}", metadata.len()));
    }
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() { Err("the file is empty".into()) } else { Ok(text.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Settings {
        Settings::new(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn what_is_not_set_has_its_default() {
        let mut settings = settings(&[("LINGER", ""), ("RECORDS", "7")]);
        assert_eq!(settings.duration("LINGER", "h", "50ms"), Duration::from_millis(50));
        assert_eq!(settings.value::<u32>("RECORDS", "h", "500"), 7);
        assert_eq!(settings.bytes("BYTES", "h", "4Mi"), 4 << 20);
        assert_eq!(settings.optional::<u32>("NOTHING", "h"), None);
        assert_eq!(settings.finish(), Ok(()));
    }

    #[test]
    fn all_mistakes_are_told_at_once_and_no_secret() {
        let mut settings = settings(&[
            ("RECORDS", "many"),
            ("LINGER", "50"),
            ("PASSWORD", "hunter2"),
            ("PASSWORD_FILE", "/x"),
            ("KEY_FILE", "/nowhere/at/all"),
        ]);
        settings.value::<u32>("RECORDS", "Records in a batch", "500");
        settings.duration("LINGER", "h", "50ms");
        settings.required::<String>("BROKERS", "Brokers to begin with", "kafka:9092");
        settings.secret("PASSWORD", "h");
        settings.required_secret("KEY", "h");
        settings.required_secret("OTHER", "What signs");
        settings.mistake("MIN is above MAX");
        let text = settings.finish().unwrap_err().to_string();
        for words in [
            "RECORDS=many:",
            "LINGER=50:",
            "BROKERS is not set: Brokers to begin with, such as kafka:9092",
            "PASSWORD and PASSWORD_FILE are both set",
            "KEY_FILE=/nowhere/at/all:",
            "OTHER is not set, nor OTHER_FILE: What signs",
            "MIN is above MAX",
        ] {
            assert!(text.contains(words), "{words} is not in\n{text}");
        }
        assert_eq!(text.lines().count(), 8, "{text}");
        assert!(!text.contains("hunter2"));
    }

    #[test]
    fn a_secret_comes_from_its_file_without_the_line_break() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "s3cret\n").unwrap();
        let mut settings = settings(&[("KEY_FILE", file.path().to_str().unwrap())]);
        assert_eq!(settings.secret("KEY", "h").as_deref(), Some("s3cret"));
        fs::write(file.path(), "\n").unwrap();
        assert_eq!(settings.secret("KEY", "h"), None);
        assert!(settings.finish().unwrap_err().to_string().contains("empty"));
    }

    #[test]
    fn help_lists_every_variable_with_its_default() {
        let mut settings = settings(&[]);
        settings.value::<u32>("RECORDS", "Records in a batch", "500");
        settings.required_secret("KEY", "What signs");
        let help = settings.help();
        assert!(help.contains("RECORDS\n      Records in a batch [default 500]"), "{help}");
        assert!(help.contains("KEY_FILE names its file"), "{help}");
    }

    #[test]
    fn what_is_out_of_range_is_told_with_the_range() {
        let settings = [("COUNT", "0"), ("WAIT", "2d"), ("LETTERS", "many")];
        let mut settings = Settings::new(settings.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let day = Duration::from_secs(24 * 60 * 60);
        settings.within("COUNT", "", "5", 1..=9);
        settings.within("LETTERS", "", "5", 1..=9);
        settings.duration_within("WAIT", "", "5s", Duration::from_millis(1)..=day);
        assert_eq!(settings.within("ELSE", "", "9", 1..=9), 9);
        let mistakes = settings.finish().unwrap_err().to_string();
        for mistake in [
            "COUNT=0: it has to be a number from 1 to 9",
            "LETTERS=many: it has to be a number from 1 to 9",
            "WAIT=2d: it has to be from 1ms to 1day",
        ] {
            assert!(mistakes.contains(mistake), "{mistakes}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_a_mistake() {
        let settings = [("GONE", "/nowhere/ca.pem"), ("FOLDER", "/")];
        let mut settings = Settings::new(settings.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!((settings.file("GONE", ""), settings.file("FOLDER", "")), (None, None));
        assert_eq!(settings.file("UNSET", ""), None);
        let mistakes = settings.finish().unwrap_err().to_string();
        assert!(mistakes.contains("GONE=/nowhere/ca.pem: the file cannot be read"), "{mistakes}");
        assert!(mistakes.contains("FOLDER=/: it is no file") && !mistakes.contains("UNSET"), "{mistakes}");
    }
}
