//! Panels as Grafana reads them. Each has a title, a description, a unit and the dashboard's data
//! source; nothing here knows what is shown.

use serde_json::{Value, json};

/// Columns of a dashboard.
const COLUMNS: u64 = 24;

pub(super) fn data_source() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Stat,
    TimeSeries,
    BarGauge,
    Table,
}

/// A line in a graph.
#[derive(Debug, Clone)]
pub(super) struct Query {
    pub(super) expr: String,
    pub(super) legend: String,
    /// Dots of single requests that lead to their traces.
    pub(super) exemplars: bool,
}

impl Query {
    pub(super) fn new(expr: impl Into<String>, legend: &str) -> Self {
        Self { expr: expr.into(), legend: legend.to_owned(), exemplars: false }
    }

    pub(super) fn with_exemplars(self) -> Self {
        Self { exemplars: true, ..self }
    }
}

/// A colour from a value on; `None` for the least.
pub(super) type Step = (Option<f64>, &'static str);

#[derive(Debug, Clone)]
pub(super) struct Panel {
    pub(super) kind: Kind,
    pub(super) title: String,
    pub(super) description: String,
    pub(super) unit: &'static str,
    pub(super) queries: Vec<Query>,
    pub(super) width: u64,
    pub(super) height: u64,
    pub(super) steps: Vec<Step>,
    /// Thresholds are drawn as lines.
    pub(super) lines: bool,
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
    pub(super) decimals: Option<u64>,
    /// A logarithmic axis that also has room for nought.
    pub(super) logarithmic: bool,
    /// Title and URL.
    pub(super) link: Option<(String, String)>,
}

impl Panel {
    pub(super) fn new(kind: Kind, title: &str, description: &str, unit: &'static str) -> Self {
        let (width, height) = match kind {
            Kind::Stat => (6, 4),
            Kind::Table => (24, 8),
            Kind::TimeSeries | Kind::BarGauge => (12, 8),
        };
        Self {
            kind,
            title: title.to_owned(),
            description: description.to_owned(),
            unit,
            queries: Vec::new(),
            width,
            height,
            steps: Vec::new(),
            lines: false,
            min: None,
            max: None,
            decimals: None,
            logarithmic: false,
            link: None,
        }
    }

    pub(super) fn query(mut self, query: Query) -> Self {
        self.queries.push(query);
        self
    }

    pub(super) fn steps(mut self, steps: &[Step]) -> Self {
        self.steps = steps.to_vec();
        self
    }

    pub(super) fn lines(mut self) -> Self {
        self.lines = true;
        self
    }

    pub(super) fn between(mut self, min: Option<f64>, max: Option<f64>) -> Self {
        (self.min, self.max) = (min, max);
        self
    }

    pub(super) fn decimals(mut self, decimals: u64) -> Self {
        self.decimals = Some(decimals);
        self
    }

    pub(super) fn logarithmic(mut self) -> Self {
        self.logarithmic = true;
        self
    }

    pub(super) fn link(mut self, title: &str, url: String) -> Self {
        self.link = Some((title.to_owned(), url));
        self
    }

    fn json(&self, id: usize, (x, y): (u64, u64)) -> Value {
        let links: Vec<_> = self
            .link
            .iter()
            .map(|(title, url)| json!({"title": title, "url": url, "targetBlank": true}))
            .collect();
        json!({
            "id": id, "type": self.type_name(), "title": self.title, "description": self.description,
            "datasource": data_source(), "links": links,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "targets": self.queries.iter().enumerate().map(|(index, query)| self.target(index, query)).collect::<Vec<_>>(),
            "fieldConfig": {"defaults": self.defaults(), "overrides": []},
            "options": self.options(),
        })
    }

    fn type_name(&self) -> &'static str {
        match self.kind {
            Kind::Stat => "stat",
            Kind::TimeSeries => "timeseries",
            Kind::BarGauge => "bargauge",
            Kind::Table => "table",
        }
    }

    fn target(&self, index: usize, query: &Query) -> Value {
        let range = self.kind == Kind::TimeSeries;
        let letters = ["A", "B", "C", "D", "E", "F", "G", "H"];
        json!({
            "refId": letters.get(index).copied().unwrap_or("Z"),
            "datasource": data_source(), "expr": query.expr, "legendFormat": query.legend,
            "range": range, "instant": !range, "exemplar": query.exemplars, "editorMode": "code",
            "format": if self.kind == Kind::Table { "table" } else { "time_series" },
        })
    }

    fn defaults(&self) -> Value {
        let mut steps: Vec<_> = self
            .steps
            .iter()
            .map(|(value, color)| json!({"value": value, "color": color}))
            .collect();
        if steps.is_empty() {
            steps.push(json!({"value": null, "color": "green"}));
        }
        let mut defaults = json!({
            "unit": self.unit, "thresholds": {"mode": "absolute", "steps": steps},
            "color": {"mode": if self.kind == Kind::TimeSeries { "palette-classic" } else { "thresholds" }},
            "noValue": "no events",
        });
        for (key, value) in [("min", self.min), ("max", self.max)] {
            if let Some(value) = value {
                defaults[key] = json!(value);
            }
        }
        if let Some(decimals) = self.decimals {
            defaults["decimals"] = json!(decimals);
        }
        if self.kind == Kind::TimeSeries {
            let scale = if self.logarithmic {
                json!({"type": "symlog", "log": 10, "linearThreshold": 1})
            } else {
                json!({"type": "linear"})
            };
            defaults["custom"] = json!({
                "drawStyle": "line", "lineWidth": 1, "fillOpacity": 8, "showPoints": "never",
                // What is unknown is a gap, and not a line across it.
                "spanNulls": false, "scaleDistribution": scale,
                "thresholdsStyle": {"mode": if self.lines { "line" } else { "off" }},
            });
        }
        defaults
    }

    fn options(&self) -> Value {
        let last = json!({"calcs": ["lastNotNull"], "fields": "", "values": false});
        match self.kind {
            Kind::TimeSeries => json!({
                "legend": {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"], "showLegend": true},
                "tooltip": {"mode": "multi", "sort": "desc"},
            }),
            Kind::Stat => json!({
                "reduceOptions": last, "colorMode": "value", "graphMode": "none", "justifyMode": "auto",
                "orientation": "auto", "textMode": "auto",
            }),
            Kind::BarGauge => json!({
                "reduceOptions": last, "displayMode": "basic", "orientation": "horizontal", "showUnfilled": true,
            }),
            Kind::Table => json!({"showHeader": true, "cellHeight": "sm"}),
        }
    }
}

/// Panels in rows of a dashboard, from the top; a row breaks where it is full.
pub(super) fn placed(rows: Vec<Vec<Panel>>) -> Vec<Value> {
    let mut panels = Vec::new();
    let mut y = 0;
    for row in rows {
        let (mut x, mut height) = (0, 0);
        for panel in row {
            if x + panel.width > COLUMNS {
                (x, y, height) = (0, y + height, 0);
            }
            panels.push(panel.json(panels.len() + 1, (x, y)));
            x += panel.width;
            height = height.max(panel.height);
        }
        y += height;
    }
    panels
}
