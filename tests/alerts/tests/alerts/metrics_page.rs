//! `docs/metrics.md` lists what the services show, with its meaning in their own words.

use fault_tests::load::http;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    path::Path,
};

/// A metric as all services show it.
#[derive(Default)]
struct Shown {
    kind: String,
    help: String,
    labels: BTreeSet<String>,
    components: BTreeSet<&'static str>,
}

/// Collects from all services, then compares: a metric that only shows when something happened has shown by then.
pub(crate) struct MetricsPage(BTreeMap<String, Shown>);

impl MetricsPage {
    pub(crate) fn new() -> MetricsPage {
        MetricsPage(BTreeMap::new())
    }

    pub(crate) async fn collect(&mut self, component: &'static str, address: &str) {
        let answer = http().get(format!("http://{address}/metrics")).send().await.unwrap();
        let text = String::from_utf8(answer.bytes().await.unwrap().to_vec()).unwrap();
        let mut name = String::new();
        for line in text.lines() {
            if let Some((of, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
                of.clone_into(&mut name);
                let shown = self.0.entry(name.clone()).or_default();
                help.trim_end_matches('.').clone_into(&mut shown.help);
                shown.components.insert(component);
            } else if let Some((_, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
            {
                let shown = self.0.entry(name.clone()).or_default();
                assert!(
                    shown.kind.is_empty() || shown.kind == kind,
                    "{name} is a {kind} in {component} and a {} elsewhere",
                    shown.kind
                );
                kind.clone_into(&mut shown.kind);
            } else if !line.starts_with('#') {
                self.0.entry(name.clone()).or_default().labels.extend(labels(line));
            }
        }
    }

    /// Whether somebody shows it.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The page holds this, or is made to with `LOGPIPELINE_REGENERATE=1`.
    pub(crate) fn compare(&self) {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
        let text = self.text();
        if std::env::var_os("LOGPIPELINE_REGENERATE").is_some() {
            return std::fs::write(file, text).unwrap();
        }
        let found = std::fs::read_to_string(file).unwrap_or_default();
        let missing: Vec<&str> = text.lines().filter(|line| !found.contains(line)).collect();
        let gone: Vec<&str> = found.lines().filter(|line| !text.contains(line)).collect();
        assert!(
            found == text,
            "docs/metrics.md is not what the services show; missing: {missing:#?}\ngone: {gone:#?}\n\
             LOGPIPELINE_REGENERATE=1 with this test writes it anew"
        );
    }

    fn text(&self) -> String {
        let mut text = String::from(INTRODUCTION);
        for (name, shown) in &self.0 {
            let suffix = if shown.kind == "counter" { "_total" } else { "" };
            let list = |words: Vec<&str>| words.join(", ");
            let labels = list(shown.labels.iter().map(String::as_str).collect());
            let components = list(shown.components.iter().copied().collect());
            let Shown { kind, help, .. } = shown;
            writeln!(text, "| `{name}{suffix}` | {kind} | {components} | {labels} | {help} |").unwrap();
        }
        text
    }
}

const INTRODUCTION: &str = "\
# Metrics

`GET /metrics` at a service's admin address (port 9090) answers OpenMetrics text. This page is made of what running services
answer, and a test keeps it so. Names and units follow the conventions of Prometheus; every label has few values, none of
them is an organisation.

| metric | type | shown by | labels | meaning |
|---|---|---|---|---|
";

/// Names of a sample's labels.
fn labels(sample: &str) -> Vec<String> {
    let Some((_, rest)) = sample.split_once('{') else { return Vec::new() };
    let Some((labels, _)) = rest.rsplit_once('}') else { return Vec::new() };
    let mut names = Vec::new();
    let mut rest = labels;
    while let Some((name, value)) = rest.split_once("=\"") {
        if name != "le" {
            names.push(name.trim_start_matches(',').to_owned());
        }
        let end = value.find("\",").map_or(value.len(), |at| at + 1);
        rest = &value[end..];
    }
    names
}
