//! What the system knows about this process, read from `/proc` at each scrape; nothing where there is no `/proc`.

use std::fmt;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Clock ticks a second in `/proc`: `USER_HZ`, part of the Linux ABI on the architectures that containers run on.
const TICKS: f64 = 100.0;

/// Collects `process_*` under the names that Prometheus client libraries agree on.
#[derive(Debug)]
pub(super) struct ProcessCollector;

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let stat = fs::read_to_string("/proc/self/stat").ok().and_then(|text| Stat::parse(&text));
        if let Some(stat) = stat {
            let cpu = ConstCounter::new(stat.cpu_seconds);
            describe(
                &mut encoder,
                "process_cpu_seconds",
                "User and system CPU time spent, in seconds",
                &cpu,
            )?;
            if let Some(booted) = boot_time() {
                let start = ConstGauge::new(booted + stat.start_seconds);
                let help = "Start of the process, in seconds since the Unix epoch";
                describe(&mut encoder, "process_start_time_seconds", help, &start)?;
            }
        }
        if let Some(bytes) = resident_bytes() {
            let help = "Resident memory, in bytes";
            describe(&mut encoder, "process_resident_memory_bytes", help, &ConstGauge::new(bytes))?;
        }
        if let Some(count) = open_files() {
            describe(&mut encoder, "process_open_fds", "Open file descriptors", &ConstGauge::new(count))?;
        }
        if let Ok(limit) = rlimit::Resource::NOFILE.get_soft() {
            let help = "Most open file descriptors";
            describe(&mut encoder, "process_max_fds", help, &ConstGauge::new(limit))?;
        }
        Ok(())
    }
}

fn describe(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    metric: &impl EncodeMetric,
) -> fmt::Result {
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

/// Fields of `/proc/self/stat`, see proc_pid_stat(5).
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_seconds: f64,
    /// Since the system booted.
    start_seconds: f64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The second field is the command in parentheses and may itself hold spaces and parentheses.
        let (_, rest) = text.rsplit_once(')')?;
        let field = |number: usize| rest.split_ascii_whitespace().nth(number - 3)?.parse::<f64>().ok();
        Some(Self { cpu_seconds: (field(14)? + field(15)?) / TICKS, start_seconds: field(22)? / TICKS })
    }
}

fn boot_time() -> Option<f64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

fn resident_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let kib = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    kib.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

fn open_files() -> Option<u64> {
    // Linux 6.2 and later count for us; listing ten thousand descriptors takes milliseconds.
    match fs::metadata("/proc/self/fd").ok()?.len() {
        0 => u64::try_from(fs::read_dir("/proc/self/fd").ok()?.count()).ok(),
        count => Some(count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_past_any_command_name() {
        let text = "7 (a) b (c)) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 4 0 123400 1000 200 0";
        assert_eq!(Stat::parse(text), Some(Stat { cpu_seconds: 3.0, start_seconds: 1234.0 }));
        assert_eq!(Stat::parse("7 (a) S 1"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_system_answers_for_this_process() {
        assert!(resident_bytes().unwrap() > 100 << 10);
        assert!(open_files().unwrap() >= 3);
        assert!(boot_time().unwrap() > 1e9);
    }
}
