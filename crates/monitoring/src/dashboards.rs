//! What the dashboards show.

use crate::{Dashboard, Panel, Row, Unit};

/// All dashboards. `$selector` stands for the labels that are chosen in the dashboard.
pub fn dashboards() -> Vec<Dashboard> {
    vec![overview(), ingest(), storing(), gateway(), store()]
}

fn panel(
    title: &'static str,
    unit: Unit,
    description: &'static str,
    queries: &[(&str, &'static str)],
) -> Panel {
    let queries = queries.iter().map(|(query, legend)| ((*query).to_owned(), *legend)).collect();
    Panel { title, description, unit, queries }
}

/// Requests a second of a component by status.
fn requests(component: &str) -> Panel {
    let query = format!(
        "sum by (status) (rate(http_server_request_duration_seconds_count{{$selector,component=\"{component}\"}}[$__rate_interval]))"
    );
    panel(
        "Requests by status",
        Unit::PerSecond,
        "429 is an organisation at its limit, 503 something behind that does not work, 499 a client that went away.",
        &[(&query, "{{status}}")],
    )
}

/// Percentiles of a component's answers.
fn latencies(component: &str) -> Panel {
    let of = |quantile: &str| {
        format!(
            "histogram_quantile({quantile}, sum by (le) (rate(http_server_request_duration_seconds_bucket{{$selector,component=\"{component}\"}}[$__rate_interval])))"
        )
    };
    let (half, most, nearly) = (of("0.5"), of("0.95"), of("0.99"));
    panel(
        "Time to answer",
        Unit::Seconds,
        "From a request's head to its answer's head.",
        &[(&half, "p50"), (&most, "p95"), (&nearly, "p99")],
    )
}

fn breakers() -> Panel {
    panel(
        "Circuit breakers that are not closed",
        Unit::Short,
        "1 while a component leaves a dependency alone because it does not work.",
        &[(
            "max by (component, dependency) (logpipeline_breaker_state{$selector,state=~\"open|half_open|forced_open\"})",
            "{{component}} → {{dependency}}",
        )],
    )
}

fn lag() -> Panel {
    panel(
        "Lag by partition",
        Unit::Short,
        "Records that are in the topic and not stored yet. One partition alone: a hot organisation. All: the store or the consumers.",
        &[("max by (partition) (logpipeline_lag_records{$selector})", "{{partition}}")],
    )
}

fn fates() -> Panel {
    panel(
        "The ledger",
        Unit::Short,
        "What became of all records. Lost is what retention deleted before it was stored; unaccounted is always 0.",
        &[
            ("sum by (fate) (max by (partition, fate) (logpipeline_ledger_records{$selector}))", "{{fate}}"),
            ("max(logpipeline_ledger_unaccounted_records{$selector})", "unaccounted"),
        ],
    )
}

fn aside() -> Panel {
    panel(
        "Records aside",
        Unit::PerSecond,
        "Set aside at first, given up after all retries, deleted by retention before they were read, repeated.",
        &[
            (
                "sum(rate(logpipeline_consumer_events_set_aside_total{$selector}[$__rate_interval]))",
                "set aside",
            ),
            (
                "sum(rate(logpipeline_consumer_events_dead_lettered_total{$selector}[$__rate_interval]))",
                "dead letters",
            ),
            ("sum(rate(logpipeline_consumer_events_lost_total{$selector}[$__rate_interval]))", "lost"),
            (
                "sum(rate(logpipeline_consumer_events_duplicate_total{$selector}[$__rate_interval]))",
                "repetitions",
            ),
        ],
    )
}

fn slowest_broker(component: &str) -> Panel {
    let query = format!(
        "max by (client) (logpipeline_kafka_client_round_trip_seconds{{$selector,component=\"{component}\"}})"
    );
    panel(
        "Time that the slowest broker takes",
        Unit::Seconds,
        "Round trip of a request to Kafka, by client.",
        &[(&query, "{{client}}")],
    )
}

fn overview() -> Dashboard {
    let flow = panel(
        "Events a second",
        Unit::PerSecond,
        "Accepted and stored run together; what lies between them is lag.",
        &[
            (
                "sum(rate(logpipeline_producer_events_accepted_total{$selector}[$__rate_interval]))",
                "accepted",
            ),
            ("sum(rate(logpipeline_consumer_events_stored_total{$selector}[$__rate_interval]))", "stored"),
            (
                "sum(rate(logpipeline_producer_events_rejected_total{$selector}[$__rate_interval]))",
                "rejected",
            ),
            (
                "sum(rate(logpipeline_producer_events_unavailable_total{$selector}[$__rate_interval]))",
                "not taken",
            ),
            (
                "sum(rate(logpipeline_consumer_events_dead_lettered_total{$selector}[$__rate_interval]))",
                "dead letters",
            ),
        ],
    );
    let up = panel(
        "Processes that answer",
        Unit::Short,
        "Scraped by Prometheus.",
        &[("sum by (component) (up{$selector,component=~\"producer|consumer|gateway\"})", "{{component}}")],
    );
    Dashboard {
        uid: "logpipeline-overview",
        title: "logpipeline / overview",
        rows: vec![
            Row { title: "From end to end", panels: vec![flow, lag(), fates()] },
            Row { title: "At the door", panels: vec![requests("gateway"), latencies("gateway")] },
            Row { title: "What does not work", panels: vec![breakers(), up] },
        ],
    }
}

fn ingest() -> Dashboard {
    let append = panel(
        "Time until Kafka has acknowledged",
        Unit::Seconds,
        "Of a request's events. Most of what a writer waits for.",
        &[(
            "histogram_quantile(0.95, sum by (le) (rate(logpipeline_producer_append_duration_seconds_bucket{$selector}[$__rate_interval])))",
            "p95",
        )],
    );
    let events = panel(
        "Events a second by producer",
        Unit::PerSecond,
        "A producer with much less than the others: its clients keep their connections elsewhere.",
        &[(
            "sum by (instance) (rate(logpipeline_producer_events_accepted_total{$selector}[$__rate_interval]))",
            "{{instance}}",
        )],
    );
    let queue = panel(
        "Records on their way to the brokers",
        Unit::Short,
        "Grows when Kafka acknowledges slowly; when it is full, requests are answered 503.",
        &[(
            "sum by (instance) (logpipeline_kafka_client_queue_records{$selector,component=\"producer\"})",
            "{{instance}}",
        )],
    );
    let partitions = panel(
        "Records a second by partition",
        Unit::PerSecond,
        "An organisation has one partition: the largest one sets the height of its line.",
        &[(
            "max by (partition) (rate(logpipeline_topic_records_total{$selector}[$__rate_interval]))",
            "{{partition}}",
        )],
    );
    Dashboard {
        uid: "logpipeline-ingest",
        title: "logpipeline / ingest",
        rows: vec![
            Row { title: "Producers", panels: vec![requests("producer"), latencies("producer"), events] },
            Row { title: "Kafka", panels: vec![append, queue, partitions] },
        ],
    }
}

fn storing() -> Dashboard {
    let headroom = panel(
        "What retention leaves",
        Unit::Short,
        "Records that retention has to delete before one is lost that is not stored. Falls towards 0 when storing stands still.",
        &[("min by (partition) (logpipeline_headroom_records{$selector})", "{{partition}}")],
    );
    let flushes = panel(
        "Time of a transaction",
        Unit::Seconds,
        "From its start to its commit.",
        &[
            (
                "histogram_quantile(0.5, sum by (le) (rate(logpipeline_consumer_flush_duration_seconds_bucket{$selector}[$__rate_interval])))",
                "p50",
            ),
            (
                "histogram_quantile(0.95, sum by (le) (rate(logpipeline_consumer_flush_duration_seconds_bucket{$selector}[$__rate_interval])))",
                "p95",
            ),
        ],
    );
    let size = panel(
        "Events a transaction",
        Unit::Short,
        "Few when there is little to do, as many as the settings allow when it is behind.",
        &[(
            "sum(rate(logpipeline_consumer_events_stored_total{$selector}[$__rate_interval])) / sum(rate(logpipeline_consumer_flushes_total{$selector}[$__rate_interval]))",
            "events",
        )],
    );
    let partitions = panel(
        "Partitions by consumer",
        Unit::Short,
        "Those that hold wait for the store.",
        &[
            ("sum by (instance) (logpipeline_consumer_partitions_assigned{$selector})", "{{instance}}"),
            (
                "sum by (instance) (logpipeline_consumer_partitions_holding{$selector})",
                "{{instance}} holding",
            ),
        ],
    );
    Dashboard {
        uid: "logpipeline-consumer",
        title: "logpipeline / consumer and Kafka",
        rows: vec![
            Row { title: "How far behind", panels: vec![lag(), headroom, fates()] },
            Row { title: "Storing", panels: vec![flushes, size, partitions] },
            Row { title: "What is not stored", panels: vec![aside(), slowest_broker("consumer")] },
        ],
    }
}

fn gateway() -> Dashboard {
    let limits = panel(
        "Decisions on limits",
        Unit::PerSecond,
        "By who decided. Many by local: Redis does not answer in time.",
        &[(
            "sum by (kind, by, outcome) (rate(logpipeline_rate_limit_decisions_total{$selector}[$__rate_interval]))",
            "{{kind}} {{outcome}} by {{by}}",
        )],
    );
    let cache = panel(
        "Reads by who answered",
        Unit::PerSecond,
        "Hit: this gateway; shared: another one, by Redis; joined: the same question was under way; miss: the store; stale: kept from before the store went out.",
        &[(
            "sum by (outcome) (rate(logpipeline_read_cache_requests_total{$selector}[$__rate_interval]))",
            "{{outcome}}",
        )],
    );
    let kept = panel(
        "Answers kept",
        Unit::Bytes,
        "In the memory of each gateway.",
        &[("sum by (instance) (logpipeline_read_cache_bytes{$selector})", "{{instance}}")],
    );
    let redis = panel(
        "Calls to Redis",
        Unit::PerSecond,
        "Late: after the deadline; refused: by the circuit breaker; absent: no connection.",
        &[(
            "sum by (outcome) (rate(logpipeline_redis_calls_total{$selector}[$__rate_interval]))",
            "{{outcome}}",
        )],
    );
    let refused = panel(
        "Requests that are not let in",
        Unit::PerSecond,
        "Tokens that are missing, expired, forged.",
        &[(
            "sum by (reason) (rate(logpipeline_auth_refused_total{$selector}[$__rate_interval]))",
            "{{reason}}",
        )],
    );
    let connections = panel(
        "Connections of clients",
        Unit::Short,
        "Open ones, and a second: closed to make room, refused.",
        &[
            ("sum by (instance) (http_server_connections{$selector,component=\"gateway\"})", "{{instance}}"),
            (
                "sum(rate(http_server_connections_evicted_total{$selector,component=\"gateway\"}[$__rate_interval]))",
                "made room",
            ),
            (
                "sum(rate(http_server_connections_refused_total{$selector,component=\"gateway\"}[$__rate_interval]))",
                "refused",
            ),
        ],
    );
    Dashboard {
        uid: "logpipeline-gateway",
        title: "logpipeline / gateway",
        rows: vec![
            Row { title: "Answers", panels: vec![requests("gateway"), latencies("gateway"), breakers()] },
            Row { title: "Limits and tokens", panels: vec![limits, redis, refused] },
            Row { title: "Reads and connections", panels: vec![cache, kept, connections] },
        ],
    }
}

fn store() -> Dashboard {
    let connections = panel(
        "Connections to the database",
        Unit::Ratio,
        "In use, of those that a process may have.",
        &[(
            "sum by (component, instance) (logpipeline_database_connections{$selector,state=\"used\"}) / sum by (component, instance) (logpipeline_database_connections_max{$selector})",
            "{{component}} {{instance}}",
        )],
    );
    let calls = panel(
        "Calls by what became of them",
        Unit::PerSecond,
        "Writes by the consumers, reads by the gateways, as their circuit breakers count them.",
        &[(
            "sum by (dependency, outcome) (rate(logpipeline_breaker_calls_total{$selector,dependency=~\"store-.*\"}[$__rate_interval]))",
            "{{dependency}} {{outcome}}",
        )],
    );
    let memory = panel(
        "Memory",
        Unit::Bytes,
        "Resident, by process.",
        &[(
            "max by (component, instance) (process_resident_memory_bytes{$selector,component=~\"producer|consumer|gateway\"})",
            "{{component}} {{instance}}",
        )],
    );
    let cpu = panel(
        "CPU",
        Unit::Short,
        "Cores in use, by process.",
        &[(
            "sum by (component, instance) (rate(process_cpu_seconds_total{$selector,component=~\"producer|consumer|gateway\"}[$__rate_interval]))",
            "{{component}} {{instance}}",
        )],
    );
    Dashboard {
        uid: "logpipeline-store",
        title: "logpipeline / store and processes",
        rows: vec![
            Row { title: "Database", panels: vec![connections, calls, breakers()] },
            Row { title: "Processes", panels: vec![cpu, memory] },
        ],
    }
}
