//! What people see of a pipeline: alert rules and dashboards, made from thresholds. No IO.
//!
//! `monitoring/` holds what this makes of the defaults, for Prometheus and Grafana without an operator; a test keeps the two
//! equal, and `LOGPIPELINE_REGENERATE=1 cargo test -p monitoring` writes them anew.

mod alerts;
mod dashboard;
mod dashboards;
mod thresholds;

pub use alerts::{Alert, Group, Rules, Severity, rules};
pub use dashboard::{Dashboard, Panel, Row, Unit};
pub use dashboards::dashboards;
pub use thresholds::Thresholds;
