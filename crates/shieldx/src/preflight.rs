//! Says before anything starts why a command cannot run, in the words of the person's problem
//! instead of an errno from inside a sandbox.
//!
//! It reads the file as the kernel would (`execve(2)`), follows script interpreters, and looks
//! through the sandbox's view: a file that is there but hidden is not there for the command.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use sandbox::Mount;
use types::Text;
use types::machine::Machine;

use crate::view::{View, clean};

pub mod elf;
pub mod lookup;
mod unrunnable;

pub use unrunnable::Unrunnable;

/// A program that the kernel will accept.
#[derive(Debug, Clone)]
pub struct Program {
    /// Its path inside.
    pub path: PathBuf,
    /// A named file in a hidden folder is shown, alone and read-only: it was named on purpose.
    pub mount: Option<Mount>,
}

/// The kernel reads this much of a file to find out what it is (`BINPRM_BUF_SIZE`).
const HEAD_BYTES: usize = 256;
/// A script's interpreter may be a script again; the kernel gives up after five.
const SCRIPTS_MAX: usize = 5;

/// Finds the program of a command and checks that it can start. `base` is the folder that a
/// relative path is relative to.
///
/// # Errors
/// Why it cannot start.
pub fn check(command: &OsStr, base: &Path, view: &View) -> Result<Program, Unrunnable> {
    if command.is_empty() {
        return Err(Unrunnable::Empty);
    }
    if command.as_bytes().contains(&0) {
        return Err(Unrunnable::NotFound { name: text(command), similar: vec![], shell: None });
    }
    if !command.as_bytes().contains(&b'/') {
        let path = lookup::find(command, view)?;
        file(&path, view, &mut Vec::new())?;
        return Ok(Program { path, mount: None });
    }
    let path = clean(&base.join(command));
    let mount = uncover(&path, view)?;
    let mut view = view.clone();
    view.mounts.extend(mount.clone());
    file(&path, &view, &mut Vec::new())?;
    Ok(Program { path, mount })
}

/// Notes about arguments that name files the command will not see; nothing is uncovered for them,
/// because reading such a file may be just what the command is suspected of.
#[must_use]
pub fn hidden_arguments(arguments: &[OsString], base: &Path, view: &View) -> Vec<String> {
    const NOTES_MAX: usize = 3;
    let missing = arguments.iter().filter_map(|argument| {
        if argument.is_empty() || argument.as_bytes().starts_with(b"-") {
            return None;
        }
        let path = clean(&base.join(argument));
        (path.is_file() && !view.shows(&path)).then(|| {
            let path = text(path.as_os_str());
            format!("{path} is not visible to the command; --mount {path} shows it")
        })
    });
    missing.take(NOTES_MAX).collect()
}

/// The mount that shows a hidden program file, where one is needed.
fn uncover(path: &Path, view: &View) -> Result<Option<Mount>, Unrunnable> {
    if view.shows(path) {
        return Ok(None);
    }
    match fs::canonicalize(path) {
        Ok(source) if source.is_file() => {
            Ok(Some(Mount { source, target: path.to_path_buf(), writable: false }))
        }
        // Whatever else is wrong with it is said by the check of the file itself.
        Ok(_) => Ok(None),
        Err(error) => Err(unreadable(path, &error)),
    }
}

/// Checks one program file; `scripts` are the scripts whose interpreter it is.
fn file(path: &Path, view: &View, scripts: &mut Vec<PathBuf>) -> Result<(), Unrunnable> {
    let host = view.on_host(path);
    let meta = fs::metadata(&host).map_err(|error| unreadable(path, &error))?;
    let shown = text(path.as_os_str());
    if meta.is_dir() {
        return Err(Unrunnable::Directory { path: shown });
    }
    if !meta.is_file() {
        return Err(Unrunnable::NotAFile { path: shown });
    }
    let resolved = fs::canonicalize(&host).unwrap_or_else(|_| host.clone());
    let mounted = host != clean(path);
    if !mounted && !view.shows(&resolved) {
        return Err(Unrunnable::Hidden { path: shown, lies_at: text(resolved.as_os_str()) });
    }
    let head = read_head(&host);
    let given = view.given.as_deref() == Some(path);
    if !given && meta.permissions().mode() & 0o111 == 0 {
        let script = head.as_deref().ok().and_then(script_tool);
        return Err(Unrunnable::NotExecutable { path: shown, script });
    }
    // A program may be executable but not readable; then only the kernel can tell.
    let Ok(head) = head else { return Ok(()) };
    if head.starts_with(b"#!") {
        return script(path, &head, view, scripts);
    }
    if head.starts_with(elf::MAGIC) {
        return elf_file(path, &host, meta.len(), view);
    }
    Err(foreign(shown, &head))
}

fn elf_file(path: &Path, host: &Path, len: u64, view: &View) -> Result<(), Unrunnable> {
    let shown = || text(path.as_os_str());
    let Ok(opened) = File::open(host) else { return Ok(()) };
    let program =
        elf::read(&opened, len).map_err(|source| Unrunnable::BadElf { path: shown(), source })?;
    let host_machine = Machine::HOST;
    if program.machine != host_machine {
        return Err(Unrunnable::Machine {
            path: shown(),
            built_for: program.machine.to_string(),
            host: host_machine.to_string(),
        });
    }
    match program.kind {
        elf::Kind::Program => {}
        kind => return Err(Unrunnable::NotAProgram { path: shown(), kind: kind.to_string() }),
    }
    let Some(loader) = program.interpreter else { return Ok(()) };
    let loader = PathBuf::from(OsString::from_vec(loader));
    let inside = clean(&view.cwd.join(&loader));
    if fs::metadata(view.on_host(&inside)).is_ok_and(|meta| meta.is_file()) && view.shows(&inside) {
        return Ok(());
    }
    Err(Unrunnable::NoLoader { path: shown(), loader: text(loader.as_os_str()) })
}

/// Follows a `#!` line.
fn script(
    path: &Path,
    head: &[u8],
    view: &View,
    scripts: &mut Vec<PathBuf>,
) -> Result<(), Unrunnable> {
    let shown = || text(path.as_os_str());
    scripts.push(path.to_path_buf());
    if scripts.len() > SCRIPTS_MAX {
        return Err(Unrunnable::TooManyScripts { path: shown() });
    }
    let line = head.get(2..).unwrap_or_default();
    let line = line.split(|&byte| byte == b'\n' || byte == 0).next().unwrap_or_default();
    let line = line.trim_ascii_start();
    let end = line.iter().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(line.len());
    let (name, argument) = line.split_at_checked(end).unwrap_or((line, &[]));
    let argument = argument.trim_ascii();
    if name.trim_ascii().is_empty() {
        return Err(Unrunnable::EmptyInterpreter { path: shown() });
    }
    if name.ends_with(b"\r") {
        return Err(Unrunnable::WindowsLines { path: shown(), interpreter: Text::from(name) });
    }
    let interpreter = clean(&view.cwd.join(OsStr::from_bytes(name)));
    let missing = |why: String| Unrunnable::NoInterpreter {
        path: shown(),
        interpreter: Text::from(name),
        why,
    };
    if !view.shows(&interpreter) {
        return Err(missing("lies in a folder that is hidden from the command".into()));
    }
    match fs::metadata(view.on_host(&interpreter)) {
        Err(_) => return Err(missing("does not exist".into())),
        Ok(meta) if meta.is_dir() => return Err(missing("is a folder".into())),
        Ok(_) => {}
    }
    if interpreter.file_name() == Some(OsStr::new("env")) {
        env_argument(path, argument, view)?;
    }
    file(&interpreter, view, scripts)
}

/// `#!/usr/bin/env NAME` fails in the sandbox when NAME is not in PATH; say it now.
fn env_argument(path: &Path, argument: &[u8], view: &View) -> Result<(), Unrunnable> {
    let name = argument.strip_suffix(b"\r").unwrap_or(argument);
    let odd = name.is_empty()
        || name.starts_with(b"-")
        || name.iter().any(|byte| matches!(byte, b'=' | b'/' | b' '));
    if odd {
        return Ok(());
    }
    if name.len() != argument.len() {
        let interpreter = Text::from(argument);
        return Err(Unrunnable::WindowsLines { path: text(path.as_os_str()), interpreter });
    }
    lookup::find(OsStr::from_bytes(name), view).map(|_| ()).map_err(|_| Unrunnable::NoInterpreter {
        path: text(path.as_os_str()),
        interpreter: Text::from(name),
        why: "is not in PATH".into(),
    })
}

/// What a file is that is neither ELF nor a script.
fn foreign(path: Text, head: &[u8]) -> Unrunnable {
    let kind = match head {
        [] => return Unrunnable::EmptyFile { path },
        [b'M', b'Z', ..] => "a Windows program",
        [0xfe, 0xed, 0xfa, 0xce | 0xcf, ..] | [0xce | 0xcf, 0xfa, 0xed, 0xfe, ..] => {
            "a macOS program"
        }
        [0xca, 0xfe, 0xba, 0xbe, ..] => "a Java class or a macOS program",
        [0, b'a', b's', b'm', ..] => "a WebAssembly module",
        [b'P', b'K', 3, 4, ..] => "a ZIP or JAR archive",
        [0x1f, 0x8b, ..] => "a gzip archive",
        head if looks_like_text(head) => return Unrunnable::NoInterpreterLine { path },
        _ => "neither a program of this host nor a script",
    };
    Unrunnable::Foreign { path, kind: kind.into() }
}

fn looks_like_text(head: &[u8]) -> bool {
    head.iter().all(|byte| !matches!(byte, 0..=8 | 14..=26 | 28..=31 | 127))
}

/// The program that a script's first line names, for a hint.
fn script_tool(head: &[u8]) -> Option<Text> {
    let line = head.strip_prefix(b"#!")?.split(|&byte| byte == b'\n').next()?;
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let first = Text::from(words.next()?).file_name();
    let second = words.next().filter(|word| !word.starts_with(b"-"));
    Some(if first.as_bytes() == b"env" { Text::from(second?) } else { first })
}

fn read_head(path: &Path) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    File::open(path)?.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    Ok(head)
}

fn unreadable(path: &Path, error: &io::Error) -> Unrunnable {
    let path_text = text(path.as_os_str());
    match error.kind() {
        io::ErrorKind::NotFound => {
            Unrunnable::NoSuchFile { path: path_text, similar: lookup::similar_beside(path) }
        }
        io::ErrorKind::NotADirectory => Unrunnable::NoSuchFile { path: path_text, similar: vec![] },
        _ => Unrunnable::Unreachable { path: path_text, why: error.to_string() },
    }
}

fn text(name: &OsStr) -> Text {
    Text::from(name.as_bytes())
}

#[cfg(test)]
#[path = "preflight/tests.rs"]
mod tests;
