//! A Grafana dashboard, in the few words of its JSON that are needed.

use serde_json::{Value, json};

/// Columns of Grafana's grid.
const COLUMNS: u32 = 24;
/// Height of a panel in rows of the grid.
const HEIGHT: u32 = 8;

/// A dashboard: rows of panels.
#[derive(Debug, Clone)]
pub struct Dashboard {
    /// Its identity, and the name of its file.
    pub uid: &'static str,
    /// What it shows.
    pub title: &'static str,
    /// From top to bottom.
    pub rows: Vec<Row>,
}

/// Panels beside each other, under a heading.
#[derive(Debug, Clone)]
pub struct Row {
    /// The heading.
    pub title: &'static str,
    /// From left to right, of equal width.
    pub panels: Vec<Panel>,
}

/// A graph over time.
#[derive(Debug, Clone)]
pub struct Panel {
    /// What it shows.
    pub title: &'static str,
    /// How to read it, and what to do when it looks bad.
    pub description: &'static str,
    /// Of its numbers.
    pub unit: Unit,
    /// PromQL with `$selector` where a selector goes on, and the legend.
    pub queries: Vec<(String, &'static str)>,
}

/// A unit as Grafana calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A count.
    Short,
    /// Events or requests a second.
    PerSecond,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// 0 to 1.
    Ratio,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Unit::Short => "short",
            Unit::PerSecond => "cps",
            Unit::Seconds => "s",
            Unit::Bytes => "bytes",
            Unit::Ratio => "percentunit",
        }
    }
}

/// What every series of a dashboard has; a pipeline without these labels is found too.
const SELECTOR: &str = "namespace=~\"$namespace\",logpipeline=~\"$logpipeline\"";
/// The data source that is chosen in the dashboard.
const SOURCE: &str = "${source}";

impl Dashboard {
    /// The dashboard as Grafana 9 and newer import it.
    pub fn json(&self) -> Value {
        let mut panels = Vec::new();
        let mut y = 0;
        for row in &self.rows {
            panels.push(json!({
                "type": "row", "title": row.title, "collapsed": false, "panels": [], "id": panels.len() + 1,
                "gridPos": { "x": 0, "y": y, "w": COLUMNS, "h": 1 },
            }));
            let width = COLUMNS / u32::try_from(row.panels.len()).unwrap_or(1).max(1);
            for (x, panel) in (0..).step_by(width as usize).zip(&row.panels) {
                let place = json!({ "x": x, "y": y + 1, "w": width, "h": HEIGHT });
                panels.push(panel.json(panels.len() + 1, &place));
            }
            y += HEIGHT + 1;
        }
        json!({
            "uid": self.uid,
            "title": self.title,
            "tags": ["logpipeline"],
            "schemaVersion": 39,
            "editable": true,
            "graphTooltip": 1,
            "refresh": "10s",
            "time": { "from": "now-1h", "to": "now" },
            "timezone": "browser",
            "templating": { "list": variables() },
            "panels": panels,
        })
    }
}

fn variables() -> Value {
    let labels = ["namespace", "logpipeline"].map(|label| {
        json!({
            "name": label, "label": label, "type": "query", "refresh": 2, "includeAll": true, "multi": true,
            "allValue": ".*", "current": { "text": "All", "value": "$__all" },
            "datasource": { "type": "prometheus", "uid": SOURCE },
            "query": { "query": format!("label_values(logpipeline_breaker_state, {label})"), "refId": "values" },
        })
    });
    let source = json!({
        "name": "source", "label": "data source", "type": "datasource", "query": "prometheus",
    });
    [vec![source], labels.to_vec()].concat().into()
}

impl Panel {
    /// What its queries ask, with the selector of the dashboard.
    pub fn expressions(&self) -> impl Iterator<Item = String> {
        self.queries.iter().map(|(query, _)| query.replace("$selector", SELECTOR))
    }

    fn json(&self, id: usize, place: &Value) -> Value {
        let legends = self.queries.iter().map(|(_, legend)| legend);
        let targets: Vec<Value> = ('A'..='Z')
            .zip(self.expressions().zip(legends))
            .map(|(id, (query, legend))| json!({ "refId": id, "expr": query, "legendFormat": legend }))
            .collect();
        json!({
            "type": "timeseries",
            "id": id,
            "title": self.title,
            "description": self.description,
            "gridPos": place,
            "datasource": { "type": "prometheus", "uid": SOURCE },
            "fieldConfig": {
                "defaults": {
                    "unit": self.unit.name(),
                    "min": 0,
                    "custom": { "lineWidth": 1, "fillOpacity": 10, "showPoints": "never" },
                },
                "overrides": [],
            },
            "options": { "legend": { "displayMode": "list", "placement": "bottom" }, "tooltip": { "mode": "multi" } },
            "targets": targets,
        })
    }
}
