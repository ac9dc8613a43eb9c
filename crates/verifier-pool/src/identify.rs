//! Tells by content what an artifact is and how it is executed. Knows nothing of who submitted it,
//! and runs nothing.
//!
//! Only the first [`HEAD_BYTES`] and the length are looked at, so that an upload is judged before
//! any of it is kept. A name decides between Python, Node and shell only, and only for text.

mod elf;
mod foreign;
mod script;
mod text;

/// How much of an artifact is looked at. ELF headers, a `#!` line and the first lines of a program
/// lie well within it.
pub const HEAD_BYTES: usize = 64 * 1024;

/// How a module and a component begin (WebAssembly Core Specification, binary format).
const WASM: &[u8] = b"\0asm";

/// What can be executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A program of this host.
    Elf,
    /// Text whose first line names its interpreter; the kernel follows it.
    Script,
    Python,
    Node,
    Shell,
    /// A WebAssembly module or component: for the runner `wasm`, and only for it.
    Wasm,
}

impl Kind {
    /// Whether an interpreter runs it.
    #[must_use]
    pub fn is_text(self) -> bool {
        matches!(self, Kind::Script | Kind::Python | Kind::Node | Kind::Shell)
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Elf => "elf",
            Kind::Script => "script",
            Kind::Python => "python",
            Kind::Node => "node",
            Kind::Shell => "shell",
            Kind::Wasm => "wasm",
        }
    }
}

/// A program that runs text, as a submission may name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interpreter {
    Python3,
    Node,
    Sh,
    Bash,
}

impl Interpreter {
    pub const ALL: [Interpreter; 4] =
        [Interpreter::Python3, Interpreter::Node, Interpreter::Sh, Interpreter::Bash];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Interpreter::Python3 => "python3",
            Interpreter::Node => "node",
            Interpreter::Sh => "sh",
            Interpreter::Bash => "bash",
        }
    }

    /// By its name, exactly.
    #[must_use]
    pub fn named(name: &str) -> Option<Interpreter> {
        Self::ALL.into_iter().find(|interpreter| interpreter.as_str() == name)
    }

    fn kind(self) -> Kind {
        match self {
            Interpreter::Python3 => Kind::Python,
            Interpreter::Node => Kind::Node,
            Interpreter::Sh | Interpreter::Bash => Kind::Shell,
        }
    }
}

/// An artifact that can be executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identified {
    pub kind: Kind,
    /// `None`: the file runs itself.
    pub interpreter: Option<Interpreter>,
}

/// Why an artifact cannot be executed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the artifact is empty")]
    Empty,
    #[error(
        "it is {what}, and only programs of this host, scripts and WebAssembly can be run{hint}"
    )]
    Foreign { what: &'static str, hint: &'static str },
    #[error("it is a program for {built_for}, and this host runs {host}")]
    Machine { built_for: String, host: String },
    #[error("it is {what}, not a program that can be started")]
    NotAProgram { what: &'static str },
    #[error("it is an ELF file whose {part} is damaged or cut off")]
    BadElf { part: &'static str },
    #[error("{what}")]
    BadInterpreterLine { what: String },
    #[error(
        "it is {what} that is no recognisable Python, Node or shell program; a name that ends in \
         .py, .js or .sh, an interpreter line (#!…) or the parameter `interpreter` says how to run it"
    )]
    PlainText { what: &'static str },
    #[error("`interpreter` is for text, and this is {what}")]
    InterpreterForBinary { what: &'static str },
}

/// Tells what an artifact of `size_bytes` is, by its first bytes; `name` breaks ties between
/// languages, `wanted` overrides them.
///
/// # Errors
/// What it is instead.
pub fn identify(
    head: &[u8],
    size_bytes: u64,
    name: &str,
    wanted: Option<Interpreter>,
) -> Result<Identified, Refused> {
    if size_bytes == 0 || head.is_empty() {
        return Err(Refused::Empty);
    }
    if head.starts_with(elf::MAGIC) {
        if wanted.is_some() {
            return Err(Refused::InterpreterForBinary { what: "an ELF file" });
        }
        elf::check(head, size_bytes)?;
        return Ok(Identified { kind: Kind::Elf, interpreter: None });
    }
    if head.starts_with(WASM) {
        if wanted.is_some() {
            return Err(Refused::InterpreterForBinary { what: "a WebAssembly module" });
        }
        return Ok(Identified { kind: Kind::Wasm, interpreter: None });
    }
    if head.starts_with(b"#!") && wanted.is_none() {
        script::check(head)?;
        return Ok(Identified { kind: Kind::Script, interpreter: None });
    }
    // Behind an interpreter line may be anything: self-extracting archives are scripts too.
    let foreign = if head.starts_with(b"#!") { None } else { foreign::recognise(head, name) };
    if let Some(foreign) = foreign {
        return Err(match wanted {
            Some(_) => Refused::InterpreterForBinary { what: foreign.what },
            None => Refused::Foreign { what: foreign.what, hint: foreign.hint },
        });
    }
    if let Some(interpreter) = wanted {
        return Ok(Identified { kind: interpreter.kind(), interpreter: Some(interpreter) });
    }
    let interpreter = text::language(head, name)?;
    Ok(Identified { kind: interpreter.kind(), interpreter: Some(interpreter) })
}

#[cfg(test)]
mod tests;
