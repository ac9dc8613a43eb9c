//! The settings of the services: defaults, one TOML file, `SHIELDX_` variables, in this order.
//!
//! Every crate has its own `Config`; here they are put together. A key that nobody knows is an
//! error that names the nearest known one. `default.toml` holds every setting with its default and
//! its meaning, is what `shieldx config` prints, and a test compares it with the defaults in code.

use std::path::{Path, PathBuf};

use figment::error::Kind;
use figment::providers::{Format as _, Serialized, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use runtime::telemetry::Keeping;
use serde::{Deserialize, Serialize};
use store::traces::TraceArchiveLimits;

use crate::environment::Environment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::request::show;

/// Every setting, commented.
pub const DEFAULT: &str = include_str!("config/default.toml");

/// All settings of `shieldx up`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub log: Log,
    pub process: Process,
    pub policy: Policy,
    pub ingress: ingress::Config,
    pub gateway: gateway::Config,
    pub contauth: contauth::Config,
    #[serde(rename = "verifier-pool")]
    pub verifier_pool: verifier_pool::Config,
    #[serde(rename = "ml-service")]
    pub ml_service: ml_service::Config,
    pub ledger: ledger::Config,
    pub console: console::Config,
    pub traces: Traces,
    pub observability: Observability,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `level` or `target=level`, comma-separated.
    pub filter: String,
    pub format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Pretty on a terminal, JSON otherwise.
    Auto,
    Pretty,
    Json,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Process {
    /// How long requests and runs may go on after SIGTERM, in milliseconds.
    pub drain_ms: u64,
    /// Threads that serve requests; 0 for one per core.
    pub threads: usize,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Folder of Rego files; absent for the policy that is built in.
    pub folder: Option<PathBuf>,
}

/// Which traces are kept, and how many.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Traces {
    pub keeping: Keeping,
    pub archive: TraceArchiveLimits,
}

/// Who watches from outside; only `shieldx health` asks them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Observability {
    /// Base URL of the Prometheus that scrapes this server.
    pub prometheus: Option<String>,
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::Auto }
    }
}

impl Default for Process {
    fn default() -> Self {
        Self { drain_ms: 10_000, threads: 0 }
    }
}

/// Variables that are no settings of the services.
const OTHER_VARIABLES: [&str; 5] =
    ["SHIELDX_DATA", "SHIELDX_CONFIG", "SHIELDX_SERVER", "SHIELDX_API_KEY", "SHIELDX_GUEST"];

impl Config {
    /// Reads a file (`--config`, else `SHIELDX_CONFIG`) and the variables over the defaults.
    ///
    /// # Errors
    /// When the file cannot be read, or a key or value is none that is known.
    pub fn load(file: Option<&Path>, environment: &Environment) -> Result<Self, Failure> {
        let named = || environment.variable("SHIELDX_CONFIG").filter(|v| !v.is_empty());
        let file = file.map(Path::to_path_buf).or_else(|| named().map(PathBuf::from));
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        if let Some(file) = &file {
            let text = std::fs::read_to_string(file).map_err(|error| {
                Failure::new(Exit::Usage, format!("--config {}: {error}", show(file)))
            })?;
            figment = figment.merge(Toml::string(&text));
        }
        let figment = figment.merge(Variables(variables(environment)?));
        figment.extract().map_err(|error| explain(&error, file.as_deref()))
    }
}

/// `SHIELDX_VERIFIER_POOL__WORKERS=4` is `verifier-pool.workers = 4`.
fn variables(environment: &Environment) -> Result<Dict, Failure> {
    let mut all = Dict::new();
    for (name, value) in &environment.variables {
        let Some(name) = name.to_str().filter(|name| name.starts_with("SHIELDX_")) else {
            continue;
        };
        if OTHER_VARIABLES.contains(&name) {
            continue;
        }
        let bad = |why: &str| {
            Failure::new(Exit::Usage, format!("the variable {name} {why}"))
                .hint("a setting is SHIELDX_SECTION__KEY, as in SHIELDX_VERIFIER_POOL__WORKERS=4")
        };
        let value = value.to_str().ok_or_else(|| bad("is no UTF-8"))?;
        let path: Vec<String> =
            name["SHIELDX_".len()..].split("__").map(str::to_ascii_lowercase).collect();
        let [section, keys @ ..] = path.as_slice() else { continue };
        if keys.is_empty() {
            return Err(bad("is no setting"));
        }
        // Sections are called like services, with a dash.
        let section = section.replace('_', "-");
        // Whatever is no number, list or table is text.
        let Ok(value) = value.parse::<Value>();
        insert(&mut all, &section, keys, value);
    }
    Ok(all)
}

fn insert(dict: &mut Dict, key: &str, rest: &[String], value: Value) {
    let [next, rest @ ..] = rest else {
        dict.insert(key.to_owned(), value);
        return;
    };
    let inner = dict.entry(key.to_owned()).or_insert_with(|| Value::from(Dict::new()));
    if let Value::Dict(_, inner) = inner {
        insert(inner, next, rest, value);
    }
}

struct Variables(Dict);

impl Provider for Variables {
    fn metadata(&self) -> Metadata {
        Metadata::named("SHIELDX_ variables")
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.0.clone()))
    }
}

/// Says which key is wrong, where it stands, and which one was meant.
fn explain(error: &figment::Error, file: Option<&Path>) -> Failure {
    let place = match (&error.metadata, file) {
        (Some(metadata), _) if metadata.name.starts_with("SHIELDX") => metadata.name.to_string(),
        (_, Some(file)) => show(file).to_string(),
        (_, None) => "settings".to_owned(),
    };
    let key = error.path.join(".");
    let text = |kind: &Kind| match kind {
        // A syntax error comes as text of several lines with the place marked.
        Kind::Message(message) => message.trim_end().to_owned(),
        kind => kind.to_string(),
    };
    let message = match &error.kind {
        Kind::UnknownField(field, _) => {
            format!("{place}: there is no setting `{}`", dotted(&key, field))
        }
        kind if key.is_empty() => format!("{place}: {}", text(kind)),
        kind => format!("{place}: `{key}`: {}", text(kind)),
    };
    let failure = Failure::new(Exit::Usage, message);
    match &error.kind {
        Kind::UnknownField(field, known) => match nearest(field, known) {
            Some(near) => failure.hint(format!("did you mean `{near}`?")),
            None => failure.hint("`shieldx config` prints all settings"),
        },
        _ => failure.hint("`shieldx config` prints all settings with their defaults"),
    }
}

/// The path of an unknown field; some errors already end with it.
fn dotted(path: &str, field: &str) -> String {
    if path.is_empty() || path == field {
        field.to_owned()
    } else if path.ends_with(&format!(".{field}")) {
        path.to_owned()
    } else {
        format!("{path}.{field}")
    }
}

fn nearest<'a>(field: &str, known: &[&'a str]) -> Option<&'a str> {
    const LIKENESS_MIN: f64 = 0.7;
    let likeness = |name: &&str| strsim::jaro_winkler(field, name);
    let best = known.iter().copied().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(&best) >= LIKENESS_MIN).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        let variables = variables.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect();
        Environment { variables, ..Environment::default() }
    }

    fn load(text: &str, variables: &[(&str, &str)]) -> Result<Config, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("shieldx.toml");
        std::fs::write(&file, text).unwrap();
        Config::load(Some(&file), &environment(variables))
    }

    #[test]
    fn the_printed_settings_are_the_defaults_in_code() {
        let printed: toml_value::Table = toml_value::parse(DEFAULT);
        let in_code = toml_value::of(&Config::default());
        assert_eq!(printed, in_code);
    }

    #[test]
    fn a_misspelt_key_is_named_with_the_nearest_known_one() {
        let failure = load("[log]\nfiltr = \"debug\"\n", &[]).unwrap_err();
        assert!(failure.message.contains("`log.filtr`"), "{failure:?}");
        assert_eq!(failure.hint.as_deref(), Some("did you mean `filter`?"));
    }

    #[test]
    fn a_wrong_type_names_the_key() {
        let failure = load("[process]\ndrain_ms = \"soon\"\n", &[]).unwrap_err();
        assert!(failure.message.contains("process.drain_ms"), "{failure:?}");
    }

    #[test]
    fn more_spares_than_are_kept_are_an_error_that_names_the_bound() {
        let at = |count: u32| load(&format!("[verifier-pool]\nspare_workers = {count}\n"), &[]);
        assert_eq!(at(16).unwrap().verifier_pool.spare_workers, 16);
        let failure = at(17).unwrap_err();
        assert!(failure.message.contains("verifier-pool.spare_workers"), "{failure:?}");
        assert!(failure.message.contains("at most 16"), "{failure:?}");
        let variable = [("SHIELDX_VERIFIER_POOL__SPARE_WORKERS", "400")];
        assert!(load("", &variable).unwrap_err().message.contains("at most 16"));
    }

    #[test]
    fn variables_stand_above_the_file() {
        let config = load("[log]\nfilter = \"debug\"\n", &[("SHIELDX_LOG__FILTER", "warn")]);
        assert_eq!(config.unwrap().log.filter, "warn");
        let failure = load("", &[("SHIELDX_VERIFIER_POOL__WORKRS", "3")]).unwrap_err();
        assert!(failure.message.contains("verifier-pool.workrs"), "{failure:?}");
        let failure = load("", &[("SHIELDX_WORKERS", "3")]).unwrap_err();
        assert!(failure.message.contains("SHIELDX_WORKERS"), "{failure:?}");
        // Those of other rooms are none, and no error.
        let others = super::OTHER_VARIABLES.map(|name| (name, ""));
        assert!(load("", &others).is_ok());
        assert!(super::OTHER_VARIABLES.contains(&"SHIELDX_GUEST"), "`up` finds guests by it");
    }

    /// Compares settings as figment reads them, absent options left out.
    mod toml_value {
        use figment::Provider as _;
        use figment::providers::{Format as _, Serialized, Toml};
        use figment::value::Value;

        pub(super) type Table = Vec<(String, String)>;

        pub(super) fn parse(text: &str) -> Table {
            flat(Toml::string(text).data().unwrap().into_values().map(Value::from).collect())
        }

        pub(super) fn of<T: serde::Serialize>(value: &T) -> Table {
            flat(
                Serialized::defaults(value)
                    .data()
                    .unwrap()
                    .into_values()
                    .map(Value::from)
                    .collect(),
            )
        }

        fn flat(values: Vec<Value>) -> Table {
            let mut rows = Vec::new();
            for value in values {
                walk("", &value, &mut rows);
            }
            rows.sort();
            rows
        }

        fn walk(path: &str, value: &Value, rows: &mut Table) {
            match value {
                Value::Dict(_, dict) => {
                    for (key, value) in dict {
                        let path =
                            if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                        walk(&path, value, rows);
                    }
                }
                Value::Empty(..) => {}
                Value::Array(_, items) if items.is_empty() => {}
                // The width of a number is not in the file.
                Value::Num(_, number) => {
                    let text = format!("{number:?}");
                    let digits = text.split(['(', ')']).nth(1).unwrap_or(&text);
                    rows.push((path.to_owned(), digits.to_owned()));
                }
                Value::Bool(_, is) => rows.push((path.to_owned(), is.to_string())),
                other => rows.push((path.to_owned(), format!("{:?}", other.clone().into_string()))),
            }
        }
    }
}
