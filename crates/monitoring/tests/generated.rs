//! `monitoring/` holds what the crate makes of the defaults, and every alert has its page.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use monitoring::{Thresholds, dashboards, rules};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The file holds this, or is made to with `LOGPIPELINE_REGENERATE=1`.
fn holds(file: &Path, text: &str) {
    if std::env::var_os("LOGPIPELINE_REGENERATE").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        return fs::write(file, text).unwrap();
    }
    let found = fs::read_to_string(file).unwrap_or_default();
    let file = file.strip_prefix(root()).unwrap().display();
    assert!(
        found == text,
        "{file} is not what the code makes: LOGPIPELINE_REGENERATE=1 cargo test -p monitoring"
    );
}

#[test]
fn the_rules_are_those_of_the_code() {
    let rules = serde_saphyr::to_string(&rules(&Thresholds::default(), "")).unwrap();
    let text =
        format!("# Made by crates/monitoring: LOGPIPELINE_REGENERATE=1 cargo test -p monitoring\n{rules}");
    holds(&root().join("monitoring/alerts.yaml"), &text);
}

#[test]
fn the_dashboards_are_those_of_the_code() {
    let folder = root().join("monitoring/dashboards");
    let mut wanted = BTreeSet::new();
    for dashboard in dashboards() {
        let file = folder.join(format!("{}.json", dashboard.uid));
        holds(&file, &format!("{:#}\n", dashboard.json()));
        wanted.insert(file);
    }
    let found: BTreeSet<PathBuf> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(found, wanted);
}

/// A page says what is seen, what it means, and what to do.
#[test]
fn every_alert_has_a_page_and_every_page_an_alert() {
    let rules = rules(&Thresholds::default(), "");
    let alerts: BTreeSet<String> =
        rules.groups.iter().flat_map(|group| &group.rules).map(|rule| format!("{}.md", rule.alert)).collect();
    let folder = root().join("docs/runbooks");
    let pages: BTreeSet<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "README.md")
        .collect();
    assert_eq!(alerts, pages);
    for page in pages {
        let text = fs::read_to_string(folder.join(&page)).unwrap();
        for heading in ["## What it means", "## Find the cause", "## Mend it"] {
            assert!(text.contains(heading), "{page} has no {heading:?}");
        }
    }
}
