//! A program of the workspace, started with nothing but the variables it is given. The tests of consumer and gateway use it
//! too.

use settings::Settings;
use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// A program that is not to run ends within this time.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

/// How a program ended, and what it wrote.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its exit code.
    pub(crate) code: Option<i32>,
    /// Standard output.
    pub(crate) output: String,
    /// Standard error.
    pub(crate) errors: String,
}

/// Runs a program that ends by itself.
pub(crate) fn run(program: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(variables.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let (mut child, begun) = (command.spawn().unwrap(), Instant::now());
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > ENDS_WITHIN {
            child.kill().unwrap();
            let written = child.wait_with_output().unwrap();
            panic!("it runs on: {}", String::from_utf8_lossy(&written.stderr));
        }
        sleep(Duration::from_millis(10));
    }
    let ended = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended { code: ended.status.code(), output: text(ended.stdout), errors: text(ended.stderr) }
}

impl Ended {
    /// It refused its settings, and a line of its own tells each mistake: words that begin the line, and words in it.
    pub(crate) fn assert_refused(&self, mistakes: &[(&str, &str)]) {
        assert_eq!((self.code, self.output.as_str()), (Some(2), ""), "{}", self.errors);
        let lines: Vec<&str> = self.errors.lines().map(str::trim).collect();
        for (begin, words) in mistakes {
            let told = lines.iter().any(|line| line.starts_with(begin) && line.contains(words));
            assert!(told, "{begin} … {words} is not in\n{}", self.errors);
        }
        // The first line says what is wrong with the lines that follow, the last where to read on.
        assert_eq!(lines.len(), mistakes.len() + 2, "{}", self.errors);
        assert!(
            lines[0].contains("settings") && lines[lines.len() - 1].contains("--help"),
            "{}",
            self.errors
        );
    }

    /// No secret was shown.
    pub(crate) fn assert_hides(&self, secrets: &[&str]) {
        for secret in secrets {
            assert!(!self.output.contains(secret) && !self.errors.contains(secret), "{secret}\n{self:?}");
        }
    }
}

/// `--help` ends well and has what `read` asks for, every variable that stands in the sources, and for each whether it has to
/// be set or what it is when it is not.
pub(crate) fn assert_help<C>(
    program: &str,
    read: impl FnOnce(&mut Settings) -> C,
    sources: &[&str],
) -> String {
    let Ended { code, output, errors } = run(program, &["--help"], &[]);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    let mut settings = Settings::new([]);
    read(&mut settings);
    assert!(output.contains(&settings.help()), "{output}");
    let listed: BTreeSet<&str> =
        output.lines().filter_map(|line| line.strip_prefix("  ")).filter(|name| is_variable(name)).collect();
    let mut named = BTreeSet::new();
    sources
        .iter()
        .for_each(|source| find_variables(&Path::new(env!("CARGO_MANIFEST_DIR")).join(source), &mut named));
    assert!(named.len() > 10, "{named:?}");
    for name in &named {
        assert!(listed.contains(name.as_str()), "{name} is in the sources and not in\n{output}");
    }
    let explained: Vec<&str> = output.lines().filter(|line| line.starts_with("      ")).collect();
    assert_eq!(explained.len(), listed.len(), "{output}");
    for line in explained {
        let note = line.rsplit_once('[').and_then(|(_, note)| note.strip_suffix(']')).unwrap_or_default();
        assert!(["default ", "required", "optional"].iter().any(|words| note.contains(words)), "{line}");
    }
    output
}

/// Names of variables in the source files below a directory: whole texts in quotation marks.
fn find_variables(directory: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find_variables(&path, found);
        } else {
            let text = fs::read_to_string(&path).unwrap();
            found.extend(text.split('"').filter(|text| is_variable(text)).map(str::to_owned));
        }
    }
}

/// Ours, and those that OpenTelemetry has named.
fn is_variable(text: &str) -> bool {
    ["LOGPIPELINE_", "OTEL_"].iter().any(|prefix| text.starts_with(prefix))
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}
