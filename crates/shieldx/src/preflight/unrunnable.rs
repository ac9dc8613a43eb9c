//! Every reason a command cannot start, with its hint and its exit code.

use types::Text;

use super::elf::BadElf;
use crate::exit::Exit;
use crate::failure::Failure;

#[derive(Debug, thiserror::Error)]
pub enum Unrunnable {
    #[error("the command is an empty string")]
    Empty,
    #[error("{name}: command not found")]
    NotFound {
        name: Text,
        /// Names in PATH that are nearly the same.
        similar: Vec<String>,
        /// How a shell would be asked instead.
        shell: Option<String>,
    },
    #[error("{path}: no such file")]
    NoSuchFile { path: Text, similar: Vec<String> },
    #[error("{path}: {why}")]
    Unreachable { path: Text, why: String },
    #[error("{path} is a folder")]
    Directory { path: Text },
    #[error("{path} is not a regular file")]
    NotAFile { path: Text },
    #[error("{path} lies at {lies_at}, which the command cannot see")]
    Hidden { path: Text, lies_at: Text },
    #[error("{path} is not executable")]
    NotExecutable { path: Text, script: Option<Text> },
    #[error("{path} is empty")]
    EmptyFile { path: Text },
    #[error("{path} is built for {built_for}; this host is {host}")]
    Machine { path: Text, built_for: String, host: String },
    #[error("{path} is {kind}, not a program")]
    NotAProgram { path: Text, kind: String },
    #[error("{path} is a damaged ELF file")]
    BadElf {
        path: Text,
        #[source]
        source: BadElf,
    },
    #[error("{path} needs the loader {loader}, which does not exist here")]
    NoLoader { path: Text, loader: Text },
    #[error("{path}: its interpreter {interpreter} {why}")]
    NoInterpreter { path: Text, interpreter: Text, why: String },
    #[error("{path}: its first line `#!` names no interpreter")]
    EmptyInterpreter { path: Text },
    #[error(
        "{path}: its first line ends in a carriage return, so the interpreter is {interpreter}"
    )]
    WindowsLines { path: Text, interpreter: Text },
    #[error("{path}: more than five scripts are each other's interpreter")]
    TooManyScripts { path: Text },
    #[error("{path} is text without an interpreter line `#!`")]
    NoInterpreterLine { path: Text },
    #[error("{path} is {kind}")]
    Foreign { path: Text, kind: String },
}

impl Unrunnable {
    fn exit(&self) -> Exit {
        match self {
            Unrunnable::NotFound { .. } | Unrunnable::NoSuchFile { .. } | Unrunnable::Empty => {
                Exit::NotFound
            }
            _ => Exit::NotExecutable,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Unrunnable::Empty => "write the command after `--`".into(),
            Unrunnable::NotFound { shell: Some(line), .. } => line.clone(),
            Unrunnable::NotFound { similar, .. } | Unrunnable::NoSuchFile { similar, .. } => {
                match similar.as_slice() {
                    [] => return None,
                    names => format!("did you mean {}?", names.join(", ")),
                }
            }
            Unrunnable::Directory { .. } => {
                "name a program in it; --cwd starts the command in a folder".into()
            }
            Unrunnable::Hidden { lies_at, .. } => {
                format!("home folders are hidden; --mount {lies_at} shows the file")
            }
            Unrunnable::NotExecutable { path, script: Some(tool) } => {
                format!("run it with its interpreter: shieldx run -- {tool} {path}")
            }
            Unrunnable::NotExecutable { path, script: None } => {
                format!("if it is a program: chmod +x {path}")
            }
            Unrunnable::Machine { .. } => {
                "the process runner runs programs of the host's own machine only".into()
            }
            Unrunnable::BadElf { .. } => "the file may be cut off; copy or build it again".into(),
            Unrunnable::NoLoader { .. } => {
                "it was built for another C library or system; install that loader, or link it \
                 statically"
                    .into()
            }
            Unrunnable::NoInterpreter { why, interpreter, .. } if why.contains("hidden") => {
                format!("--mount its folder, as in --mount FOLDER_OF_{}", interpreter.file_name())
            }
            Unrunnable::NoInterpreter { path, .. } => {
                format!("install it, or name one yourself: shieldx run -- INTERPRETER {path}")
            }
            Unrunnable::EmptyInterpreter { path } | Unrunnable::NoInterpreterLine { path } => {
                format!(
                    "the kernel cannot start it; if it is a shell script: shieldx run -- sh {path}"
                )
            }
            Unrunnable::WindowsLines { .. } => {
                "the file has Windows line ends; convert it with sed -i 's/\\r$//'".into()
            }
            _ => return None,
        })
    }
}

impl From<Unrunnable> for Failure {
    fn from(error: Unrunnable) -> Self {
        let failure = Failure::of(error.exit(), &error);
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}
