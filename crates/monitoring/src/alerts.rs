//! The alert rules: what is wrong, how bad it is, and which page says what to do.
//!
//! Every expression keeps the labels `namespace` and `logpipeline`, which the operator's ServiceMonitors set, so that one
//! set of rules tells pipelines apart. `component` is producer, consumer or gateway. What all gateways show of the same
//! thing (the ledger, the topic) is taken by its maximum.

use crate::Thresholds;
use serde::Serialize;
use std::collections::BTreeMap;

/// Where the runbooks stand in this repository.
const RUNBOOKS: &str = "docs/runbooks";
/// What tells pipelines apart.
const PIPELINE: &str = "namespace, logpipeline";

/// How soon somebody should come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Data or the promise of the product is in danger: now, also at night.
    Critical,
    /// Users notice, or will: today.
    Warning,
    /// Worth knowing.
    Info,
}

/// One alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// Its name, which is its page's too.
    pub name: &'static str,
    /// How soon somebody should come.
    pub severity: Severity,
    /// PromQL; anything it finds is a problem.
    pub expr: String,
    /// How long before it is told, in seconds.
    pub for_seconds: u64,
    /// One line, with `{{ $value }}` and `{{ $labels… }}`.
    pub summary: &'static str,
}

/// A file of rules as Prometheus reads it, and the `spec` of a PrometheusRule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rules {
    /// Always one.
    pub groups: Vec<Group>,
}

/// Rules that are looked at together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Group {
    /// Its name.
    pub name: &'static str,
    /// In their order.
    pub rules: Vec<Rule>,
}

/// An alert in Prometheus's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Name of the alert.
    pub alert: &'static str,
    /// PromQL.
    pub expr: String,
    /// Prometheus duration.
    #[serde(rename = "for")]
    pub for_: String,
    /// `severity`.
    pub labels: BTreeMap<&'static str, Severity>,
    /// `summary`, and `runbook`: the page of this repository that says what to do.
    pub annotations: BTreeMap<&'static str, String>,
}

/// All rules; `selector` is a part of a PromQL selector that every series has, such as `namespace="logs"`, or nothing.
pub fn rules(thresholds: &Thresholds, selector: &str) -> Rules {
    let rules = alerts(thresholds, selector).into_iter().map(Rule::from).collect();
    Rules { groups: vec![Group { name: "logpipeline", rules }] }
}

impl From<Alert> for Rule {
    fn from(alert: Alert) -> Rule {
        let page = format!("{RUNBOOKS}/{}.md", alert.name);
        Rule {
            alert: alert.name,
            expr: alert.expr,
            for_: duration(alert.for_seconds),
            labels: [("severity", alert.severity)].into(),
            annotations: [("summary", alert.summary.to_owned()), ("runbook", page)].into(),
        }
    }
}

/// A duration as Prometheus reads it and people write it.
fn duration(seconds: u64) -> String {
    match seconds {
        0 => "0s".to_owned(),
        _ if seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        _ if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}

/// Writes selectors with what all of them have.
struct Words<'a> {
    selector: &'a str,
    /// Over what rates are taken.
    window: String,
}

impl Words<'_> {
    /// A series by its name and labels.
    fn series(&self, name: &str, labels: &str) -> String {
        let all: Vec<&str> = [self.selector, labels].into_iter().filter(|part| !part.is_empty()).collect();
        if all.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", all.join(",")) }
    }

    /// What a counter gains a second.
    fn rate(&self, name: &str, labels: &str) -> String {
        format!("rate({}[{}])", self.series(name, labels), self.window)
    }

    /// What all gateways show, once a partition.
    fn by_partition(&self, expression: &str) -> String {
        format!("max by ({PIPELINE}, partition) ({expression})")
    }

    /// What all gateways show, in all partitions.
    fn of_pipeline(&self, expression: &str) -> String {
        format!("sum by ({PIPELINE}) ({})", self.by_partition(expression))
    }

    /// What is much: more than so many records, and more than some seconds of work. Without any consumer there is no
    /// pace, and it is much all the same: hence `unless`.
    fn far_behind(&self, thresholds: &Thresholds) -> String {
        let Thresholds { lag_records, lag_seconds, .. } = thresholds;
        let behind = self.of_pipeline(&self.series("logpipeline_lag_records", ""));
        let pace = self.rate("logpipeline_consumer_events_stored_total", "");
        format!("{behind} > {lag_records} unless {behind} <= {lag_seconds} * sum by ({PIPELINE}) ({pace})")
    }

    /// What has become of more records than a while ago.
    fn more(&self, fate: &str) -> String {
        let now = self.of_pipeline(&self.series("logpipeline_ledger_records", fate));
        let then = self.of_pipeline(&format!(
            "{} offset {}",
            self.series("logpipeline_ledger_records", fate),
            self.window
        ));
        format!("{now} - {then} > 0")
    }
}

/// All alerts.
fn alerts(thresholds: &Thresholds, selector: &str) -> Vec<Alert> {
    let words = Words { selector, window: duration(thresholds.window_seconds) };
    let mut all = of_storing(thresholds, &words);
    all.extend(of_answering(thresholds, &words));
    all.extend(of_resources(thresholds, &words));
    all
}

/// What is between the topic and the store.
fn of_storing(thresholds: &Thresholds, words: &Words<'_>) -> Vec<Alert> {
    let Thresholds { lag_records, partition_share, retention_seconds, .. } = thresholds;
    let Thresholds { slow_seconds, fast_seconds, .. } = *thresholds;
    let far_behind = words.far_behind(thresholds);
    let appended = words.rate("logpipeline_topic_records_total", "");
    let headroom = format!(
        "min by ({PIPELINE}, partition) (predict_linear({}[{}], {retention_seconds}))",
        words.series("logpipeline_headroom_records", ""),
        duration(thresholds.window_seconds * 3),
    );
    // Of a partition that is behind, in a pipeline that is.
    let and_is_behind = format!(
        "and on ({PIPELINE}, partition) {} > {lag_records} and on ({PIPELINE}) ({far_behind})",
        words.by_partition(&words.series("logpipeline_lag_records", "")),
    );
    vec![
        Alert {
            name: "LogPipelineLag",
            severity: Severity::Warning,
            expr: far_behind,
            for_seconds: slow_seconds,
            summary: "{{ $value }} records wait to be stored",
        },
        Alert {
            name: "LogPipelineHotPartition",
            severity: Severity::Warning,
            expr: format!(
                "{} / on ({PIPELINE}) group_left () {} > {partition_share} {and_is_behind}",
                words.by_partition(&appended),
                words.of_pipeline(&appended),
            ),
            for_seconds: slow_seconds,
            summary: "partition {{ $labels.partition }} gets {{ $value | humanizePercentage }} of all records and is behind",
        },
        Alert {
            name: "LogPipelineRetention",
            severity: Severity::Critical,
            expr: format!("{headroom} < 0 {and_is_behind}"),
            for_seconds: fast_seconds,
            summary: "retention is about to delete records of partition {{ $labels.partition }} that are not stored",
        },
        Alert {
            name: "LogPipelineRecordsLost",
            severity: Severity::Critical,
            expr: words.more("fate=\"lost\""),
            for_seconds: 0,
            summary: "retention deleted {{ $value }} records before they were stored",
        },
        Alert {
            name: "LogPipelineDeadLetters",
            severity: Severity::Warning,
            expr: words.more("fate=\"dead_lettered\""),
            for_seconds: 0,
            summary: "{{ $value }} records could not be stored and are dead letters",
        },
        Alert {
            name: "LogPipelineLedgerUnbalanced",
            severity: Severity::Critical,
            expr: format!(
                "max by ({PIPELINE}) ({}) > 0",
                words.series("logpipeline_ledger_unaccounted_records", "")
            ),
            for_seconds: 0,
            summary: "the ledger does not account for {{ $value }} records",
        },
    ]
}

/// What clients of the gateway notice.
fn of_answering(thresholds: &Thresholds, words: &Words<'_>) -> Vec<Alert> {
    let Thresholds { error_ratio, latency_seconds, slow_seconds, fast_seconds, .. } = *thresholds;
    const REQUESTS: &str = "http_server_request_duration_seconds";
    const GATEWAY: &str = "component=\"gateway\"";
    let answers = |labels: &str| words.rate(&format!("{REQUESTS}_count"), labels);
    // What fails after a long wait is an error, which has its own alert.
    let good = format!("{GATEWAY},status!~\"5..\"");
    vec![
        Alert {
            name: "LogPipelineErrors",
            severity: Severity::Critical,
            expr: format!(
                "sum by ({PIPELINE}) ({}) / sum by ({PIPELINE}) ({}) > {error_ratio}",
                answers(&format!("{GATEWAY},status=~\"5..\"")),
                answers(GATEWAY),
            ),
            for_seconds: fast_seconds,
            summary: "{{ $value | humanizePercentage }} of the gateway's answers are server errors",
        },
        Alert {
            name: "LogPipelineSlow",
            severity: Severity::Warning,
            // A few requests have no percentiles worth waking anybody for.
            expr: format!(
                "histogram_quantile(0.95, sum by ({PIPELINE}, method, route, le) ({})) > {latency_seconds} and sum by \
                 ({PIPELINE}, method, route) ({}) > 0.2",
                words.rate(&format!("{REQUESTS}_bucket"), &good),
                answers(&good),
            ),
            for_seconds: slow_seconds,
            summary: "one in twenty {{ $labels.method }} {{ $labels.route }} takes longer than {{ $value | humanizeDuration }}",
        },
    ]
}

/// What the parts have, and whether they work.
fn of_resources(thresholds: &Thresholds, words: &Words<'_>) -> Vec<Alert> {
    let Thresholds { connection_ratio, cache_hit_ratio, slow_seconds, fast_seconds, .. } = *thresholds;
    let reads = |labels: &str| {
        format!("sum by ({PIPELINE}) ({})", words.rate("logpipeline_read_cache_requests_total", labels))
    };
    let answered = reads("outcome!=\"error\"");
    vec![
        Alert {
            name: "LogPipelineDatabaseConnections",
            severity: Severity::Warning,
            expr: format!(
                "max by ({PIPELINE}, component, instance) (avg_over_time({}[{}])) / max by ({PIPELINE}, component, \
                 instance) ({}) > {connection_ratio}",
                words.series("logpipeline_database_connections", "state=\"used\""),
                words.window,
                words.series("logpipeline_database_connections_max", ""),
            ),
            for_seconds: slow_seconds,
            summary: "{{ $labels.component }} {{ $labels.instance }} has {{ $value | humanizePercentage }} of its database connections in use",
        },
        Alert {
            name: "LogPipelineCacheMisses",
            severity: Severity::Info,
            expr: format!(
                "{} / {answered} < {cache_hit_ratio} and {answered} > 1",
                reads("outcome=~\"hit|shared|joined|stale\""),
            ),
            for_seconds: slow_seconds,
            summary: "only {{ $value | humanizePercentage }} of the reads are answered from a cache",
        },
        Alert {
            name: "LogPipelineBreakerOpen",
            severity: Severity::Warning,
            expr: format!(
                "max by ({PIPELINE}, component, dependency) ({}) > 0",
                words.series("logpipeline_breaker_state", "state=~\"open|half_open|forced_open\"")
            ),
            for_seconds: fast_seconds,
            summary: "{{ $labels.component }} leaves {{ $labels.dependency }} alone: it does not work",
        },
        Alert {
            name: "LogPipelineDown",
            severity: Severity::Critical,
            expr: format!(
                "min by ({PIPELINE}, component) ({}) < 1",
                words.series("up", "component=~\"producer|consumer|gateway\"")
            ),
            for_seconds: slow_seconds,
            summary: "a {{ $labels.component }} does not answer Prometheus",
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_of_every_rule_has_the_selector() {
        for alert in alerts(&Thresholds::default(), "namespace=\"logs\"") {
            let series = alert.expr.matches("logpipeline_").count()
                + alert.expr.matches("http_server_").count()
                + alert.expr.matches("(up{").count();
            assert!(series > 0, "{}", alert.name);
            assert_eq!(
                alert.expr.matches("namespace=\"logs\"").count(),
                series,
                "{}: {}",
                alert.name,
                alert.expr
            );
        }
    }
}
