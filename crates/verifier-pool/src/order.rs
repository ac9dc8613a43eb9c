//! What a submission asks for besides the artifact: fields of a query string or of a form, checked
//! one by one. Text from outside that goes on as data only.

use store::domain::Order;

use crate::config::Config;
use crate::error::PoolError;
use crate::identify::{Identified, Interpreter, Kind};

pub(crate) const FILE_NAME_MAX_BYTES: usize = 255;
pub(crate) const ARGUMENTS_MAX: usize = 64;
pub(crate) const ARGUMENT_MAX_BYTES: usize = 4096;
pub(crate) const RUNNER_MAX_BYTES: usize = 32;
pub(crate) const IDEMPOTENCY_KEY_MAX_BYTES: usize = 255;

/// The runner of WebAssembly.
const WASM: &str = "wasm";
/// The runner whose containers have no file of this host but the artifact's.
const DOCKER: &str = "docker";

/// What an artifact is called when nobody says.
const FILE_NAME_DEFAULT: &str = "artifact";

/// The parameters as far as they were given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Parameters {
    file_name: Option<String>,
    arguments: Vec<String>,
    runner: Option<String>,
    timeout_ms: Option<u64>,
    interpreter: Option<Interpreter>,
}

fn bad(name: &'static str, reason: impl Into<String>) -> PoolError {
    PoolError::Parameter { name, reason: reason.into() }
}

impl Parameters {
    /// Of a query string, still percent-encoded.
    pub(crate) fn from_query(query: &str) -> Result<Self, PoolError> {
        let mut parameters = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = percent_decoded(name).and_then(|name| String::from_utf8(name).ok());
            let name = name.ok_or_else(|| bad("query", "a parameter's name is malformed"))?;
            let known = known(&name).ok_or_else(|| bad("query", unknown(&name)))?;
            let value = percent_decoded(value)
                .ok_or_else(|| bad(known, "a % is not followed by two hexadecimal digits"))?;
            parameters.set(known, value)?;
        }
        Ok(parameters)
    }

    /// Takes one field. `name` is one of [`known`].
    pub(crate) fn set(&mut self, name: &'static str, value: Vec<u8>) -> Result<(), PoolError> {
        let value = String::from_utf8(value)
            .map_err(|_| bad(name, "it is not UTF-8, and only UTF-8 can be told apart here"))?;
        if name == "argument" {
            return self.argument(value);
        }
        let set = match name {
            "file_name" => self.file_name.is_some(),
            "runner" => self.runner.is_some(),
            "timeout_ms" => self.timeout_ms.is_some(),
            _ => self.interpreter.is_some(),
        };
        if set {
            return Err(bad(name, "it is given twice"));
        }
        match name {
            "file_name" => self.file_name = Some(file_name(value)?),
            "runner" => self.runner = Some(runner(value)?),
            "timeout_ms" => {
                let digits = value.bytes().all(|byte| byte.is_ascii_digit());
                let number = value.parse().ok().filter(|_| digits);
                self.timeout_ms =
                    Some(number.ok_or_else(|| {
                        bad(name, format!("{value:?} is no number of milliseconds"))
                    })?);
            }
            _ => {
                let known = Interpreter::named(&value);
                let names = Interpreter::ALL.map(Interpreter::as_str).join(", ");
                let unknown = || bad(name, format!("{value:?} is none of {names}"));
                self.interpreter = Some(known.ok_or_else(unknown)?);
            }
        }
        Ok(())
    }

    fn argument(&mut self, value: String) -> Result<(), PoolError> {
        let name = "argument";
        if self.arguments.len() == ARGUMENTS_MAX {
            return Err(bad(name, format!("there are more than {ARGUMENTS_MAX}")));
        }
        if value.len() > ARGUMENT_MAX_BYTES {
            return Err(bad(name, format!("one is longer than {ARGUMENT_MAX_BYTES} bytes")));
        }
        if value.contains('\0') {
            return Err(bad(name, "one has a NUL byte, which no program can be given"));
        }
        self.arguments.push(value);
        Ok(())
    }

    /// The name that the artifact's own form part has, if nothing else says how it is called.
    pub(crate) fn suggest_file_name(&mut self, name: String) -> Result<(), PoolError> {
        if self.file_name.is_none() {
            self.file_name = Some(file_name(name)?);
        }
        Ok(())
    }

    pub(crate) fn file_name(&self) -> &str {
        self.file_name.as_deref().unwrap_or(FILE_NAME_DEFAULT)
    }

    pub(crate) fn interpreter(&self) -> Option<Interpreter> {
        self.interpreter
    }

    pub(crate) fn runner<'a>(&'a self, config: &'a Config) -> &'a str {
        self.runner.as_deref().unwrap_or(&config.runner)
    }

    /// Settles the runner now that it is known what the artifact is: WebAssembly runs in `wasm`,
    /// and nothing else does; a script in a container needs an image with its interpreter.
    pub(crate) fn settle(&mut self, kind: Kind, config: &Config) -> Result<(), PoolError> {
        let wasm = kind == Kind::Wasm;
        if wasm && self.runner.is_none() {
            self.runner = Some(WASM.to_owned());
        }
        match self.runner(config) {
            WASM if !wasm => Err(bad("runner", "wasm is for WebAssembly, which this is not")),
            WASM => Ok(()),
            other if wasm => {
                Err(bad("runner", format!("WebAssembly runs in wasm, and not in {other}")))
            }
            DOCKER if kind.is_text() && config.docker_image.is_none() => Err(PoolError::Runner {
                runner: DOCKER.to_owned(),
                reason: "it has no interpreter for a script as long as `docker_image` in \
                         [verifier-pool] of the server's settings names no image that has one; \
                         the runners process and microvm take scripts"
                    .to_owned(),
            }),
            _ => Ok(()),
        }
    }

    /// How long the artifact may run.
    pub(crate) fn timeout_ms(&self, config: &Config) -> Result<u64, PoolError> {
        let max = config.timeout_max_ms;
        let wanted = self.timeout_ms.unwrap_or(config.timeout_default_ms.min(max));
        if (1..=max).contains(&wanted) {
            return Ok(wanted);
        }
        Err(bad("timeout_ms", format!("{wanted} is not between 1 and {max}")))
    }

    /// The order, but for the artifact's hash and size.
    pub(crate) fn order(
        self,
        config: &Config,
        identified: Identified,
        traceparent: Option<String>,
    ) -> Result<Order, PoolError> {
        let timeout_ms = self.timeout_ms(config)?;
        Ok(Order {
            sha256: String::new(),
            size_bytes: 0,
            kind: identified.kind.as_str().to_owned(),
            interpreter: identified.interpreter.map(|known| known.as_str().to_owned()),
            runner: self.runner(config).to_owned(),
            timeout_ms,
            traceparent,
            file_name: self.file_name.unwrap_or_else(|| FILE_NAME_DEFAULT.to_owned()),
            arguments: self.arguments,
        })
    }
}

/// The parameter of a name, if there is one.
pub(crate) fn known(name: &str) -> Option<&'static str> {
    let names = ["file_name", "argument", "runner", "timeout_ms", "interpreter"];
    names.into_iter().find(|known| *known == name)
}

pub(crate) fn unknown(name: &str) -> String {
    let shown: String = name.chars().take(64).collect();
    format!(
        "there is no parameter {shown:?}; there are file_name, argument, runner, timeout_ms and \
         interpreter"
    )
}

/// One component of a path, as a directory entry can have it.
fn file_name(name: String) -> Result<String, PoolError> {
    let reason = match name.as_str() {
        "" => "it is empty",
        "." | ".." => "it names a folder",
        name if name.len() > FILE_NAME_MAX_BYTES => "it is longer than 255 bytes",
        name if name.contains('/') => "it has a /, and an artifact is one file",
        name if name.chars().any(char::is_control) => "it has control characters",
        _ => return Ok(name),
    };
    Err(bad("file_name", reason))
}

fn runner(name: String) -> Result<String, PoolError> {
    let letter = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    if (1..=RUNNER_MAX_BYTES).contains(&name.len()) && name.bytes().all(letter) {
        return Ok(name);
    }
    Err(bad("runner", "a runner is named with 1 to 32 of a-z, 0-9 and -"))
}

/// The caller's key for "the same request again".
pub(crate) fn idempotency_key(value: &[u8]) -> Result<String, PoolError> {
    let name = "Idempotency-Key";
    let text = std::str::from_utf8(value).ok();
    let text = text.filter(|text| text.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
    let text = text.ok_or_else(|| bad(name, "it is not printable ASCII"))?;
    if (1..=IDEMPOTENCY_KEY_MAX_BYTES).contains(&text.len()) {
        return Ok(text.to_owned());
    }
    Err(bad(name, "it is empty or longer than 255 bytes"))
}

/// `application/x-www-form-urlencoded` (URL Standard, 5.1), but strict: `None` for a `%` without two
/// hexadecimal digits.
fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        bytes.push(match first {
            b'+' => b' ',
            b'%' => {
                let (digits, after) = rest.split_at_checked(2)?;
                rest = after;
                let [high, low] = digits else { return None };
                let digit = |byte: u8| char::from(byte).to_digit(16);
                u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()?
            }
            byte => byte,
        });
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
