//! The only place that turns an error of any room into a message, a hint and an exit code.

use std::error::Error;
use std::io::Write as _;

use types::cause::chain;

use crate::environment::Environment;
use crate::exit::Exit;
use crate::request::ColorChoice;

/// Why nothing more can be done, in words for the person at the keyboard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    pub exit: Exit,
}

impl Failure {
    #[must_use]
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, exit }
    }

    /// Joins an error with its sources into one line; no error repeats its source.
    #[must_use]
    pub fn of(exit: Exit, error: &dyn Error) -> Self {
        Self::new(exit, chain(error))
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Prints a failure to standard error and gives its exit code. A closed standard error is ignored:
/// there is nobody left to tell.
#[must_use]
pub fn report(failure: &Failure, environment: &Environment) -> Exit {
    let color = environment.color(ColorChoice::Auto, environment.stderr_terminal);
    let (error, hint, end) =
        if color { ("\u{1b}[1;31m", "\u{1b}[36m", "\u{1b}[0m") } else { ("", "", "") };
    let mut stderr = std::io::stderr().lock();
    let _ = writeln!(stderr, "{error}shieldx: error:{end} {}", failure.message);
    if let Some(text) = &failure.hint {
        let _ = writeln!(stderr, "  {hint}hint:{end} {text}");
    }
    failure.exit
}

/// Prints a note to standard error: something the person should know that stops nothing.
pub fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "shieldx: note: {text}");
}
