//! Keeps the rule of ARCHITECTURE.md on who may depend on whom.

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};
use std::collections::BTreeSet;

/// Workspace crates that each crate may use. Tests may use more: they see the workspace from outside.
const MAY_USE: &[(&str, &[&str])] = &[
    ("record", &[]),
    ("resilience", &[]),
    ("handoff", &[]),
    ("monitoring", &[]),
    ("trace", &["resilience", "settings"]),
    ("process", &["settings", "trace"]),
    ("settings", &[]),
    ("topic", &["record", "settings"]),
    ("store", &["record", "settings"]),
    ("producer", SHARED),
    ("consumer", SHARED),
    ("gateway", SHARED),
    ("generator", SHARED),
    (
        "standalone",
        &[
            "record",
            "resilience",
            "handoff",
            "process",
            "topic",
            "store",
            "producer",
            "consumer",
            "gateway",
            "generator",
        ],
    ),
    ("layout-tests", &[]),
    ("browser-tests", &[]),
    ("alert-tests", &["fault-tests"]),
    ("fault-tests", &["handoff", "topic"]),
];
const SHARED: &[&str] =
    &["record", "resilience", "handoff", "process", "settings", "topic", "store", "trace"];

fn workspace() -> Metadata {
    MetadataCommand::new().no_deps().exec().expect("cargo metadata reads the workspace")
}

/// Workspace crates that a package depends on, outside its tests.
fn uses(package: &Package, workspace: &BTreeSet<String>) -> BTreeSet<String> {
    package
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind != DependencyKind::Development)
        .map(|dependency| dependency.name.clone())
        .filter(|name| workspace.contains(name))
        .collect()
}

#[test]
fn crates_use_only_what_the_architecture_allows() {
    let metadata = workspace();
    let names: BTreeSet<String> = metadata.packages.iter().map(|package| package.name.to_string()).collect();
    let listed: BTreeSet<String> = MAY_USE.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names, listed, "every crate of the workspace has its line in MAY_USE");
    for package in &metadata.packages {
        let (_, allowed) = MAY_USE.iter().find(|(name, _)| *name == package.name.as_str()).expect("listed");
        for used in uses(package, &names) {
            assert!(
                allowed.contains(&used.as_str()),
                "{} uses {used}, which ARCHITECTURE.md does not allow",
                package.name
            );
        }
    }
}

/// `sqlx` or `rusqlite` anywhere else would be SQL outside the two crates that own a database file.
#[test]
fn only_topic_and_store_talk_to_a_database() {
    for package in workspace().packages {
        let databases = package.dependencies.iter().filter(|of| {
            of.kind != DependencyKind::Development
                && ["rusqlite", "sqlx", "tokio-postgres"].contains(&of.name.as_str())
        });
        let owner = ["topic", "store"].contains(&package.name.as_str());
        assert!(owner || databases.count() == 0, "{} talks to a database", package.name);
    }
}

#[test]
fn versions_stand_in_one_place() {
    for package in workspace().packages {
        let manifest = std::fs::read_to_string(&package.manifest_path).expect("the manifest is readable");
        let own = manifest.lines().filter(|line| {
            !line.starts_with('#') && line.contains("version = \"") && !line.contains("workspace = true")
        });
        assert_eq!(own.collect::<Vec<_>>(), Vec::<&str>::new(), "{} names versions of its own", package.name);
    }
}
