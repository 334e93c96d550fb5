//! Every panel of every dashboard asks for what there is.

use crate::prometheus::Prometheus;
use monitoring::dashboards;

/// Panels of what does not happen in everyday traffic.
const EMPTY: &[&str] = &["Requests that are not let in"];

pub(crate) async fn show_what_there_is(prometheus: &Prometheus) {
    let mut wrong = Vec::new();
    for dashboard in dashboards() {
        for panel in dashboard.rows.iter().flat_map(|row| &row.panels) {
            for expression in panel.expressions() {
                let expression = expression
                    .replace("$namespace", ".*")
                    .replace("$logpipeline", ".*")
                    .replace("$__rate_interval", "10s");
                let place = format!("{}, {}", dashboard.title, panel.title);
                match prometheus.query(&expression).await {
                    Err(error) => wrong.push(format!("{place}: {expression}: {error}")),
                    Ok(found) if found.is_empty() && !EMPTY.contains(&panel.title) => {
                        wrong.push(format!("{place}: nothing answers {expression}"));
                    }
                    Ok(_) => {}
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
