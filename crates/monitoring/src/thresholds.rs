//! When an alert is due.

/// What is too much, and for how long.
#[derive(Debug, Clone, PartialEq)]
pub struct Thresholds {
    /// Records in the topic that are not stored.
    pub lag_records: u64,
    /// Seconds of work at the present pace that the lag has to be besides: a thousand records are nothing to a pipeline
    /// that stores a hundred thousand a second.
    pub lag_seconds: u64,
    /// Part of the gateway's answers that are server errors, 0 to 1.
    pub error_ratio: f64,
    /// 95th percentile of the gateway's answers, in seconds.
    pub latency_seconds: f64,
    /// Part of a process's database connections that are in use, 0 to 1.
    pub connection_ratio: f64,
    /// Part of the read questions that are answered from a cache, 0 to 1.
    pub cache_hit_ratio: f64,
    /// Part of all records that go to one partition, 0 to 1.
    pub partition_share: f64,
    /// How long before retention would overtake the consumer.
    pub retention_seconds: u64,
    /// Over what time rates are taken, in seconds.
    pub window_seconds: u64,
    /// How long a problem lasts before it is told, in seconds: of problems that grow with time.
    pub slow_seconds: u64,
    /// The same for what somebody should look at soon.
    pub fast_seconds: u64,
}

impl Default for Thresholds {
    /// Those of the documentation: lag over 1000 records and 10 s, 5 % errors, 200 ms, 80 % of the connections, 85 % cache
    /// hits, half of all records in one partition, one hour until retention; rates over 5 minutes.
    fn default() -> Thresholds {
        Thresholds {
            lag_records: 1000,
            lag_seconds: 10,
            error_ratio: 0.05,
            latency_seconds: 0.2,
            connection_ratio: 0.8,
            cache_hit_ratio: 0.85,
            partition_share: 0.5,
            retention_seconds: 3600,
            window_seconds: 300,
            slow_seconds: 300,
            fast_seconds: 60,
        }
    }
}
