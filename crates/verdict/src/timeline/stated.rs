//! Commands that a shell was told to run and that no process ever was: the program is not
//! installed, `sudo` is missing or refuses, or a branch was not taken.
//!
//! A sandbox has fewer programs than the machine a sample was written for, and a shell that does
//! not find one asks no kernel for anything. What it was told stands in its arguments all the same.
//! Such a command becomes an execution that did not happen, tied to the shell's own event.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::image::{Image, Trust};
use super::spoken::{self, Command};
use super::{How, Read, Timeline, Touch};
use crate::paths;

/// Texts within texts: `sudo sh -c '…'`.
const DEPTH_MAX: usize = 4;
/// So many of one recording are taken in; a file that anybody can write must not cost hours.
const STATED_MAX: usize = 4_096;
/// So many are compared with what was run.
const READ_MAX: usize = 65_536;

/// A command as stated, without what only says how to run it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Stated {
    argv: Vec<String>,
    /// Files that its redirections name.
    writes: Vec<String>,
}

/// Adds what shells were told and nobody did.
pub(super) fn add(timeline: &mut Timeline<'_>) {
    give_script(timeline);
    let done = Done::new(timeline);
    let mut looked_at = 0;
    let mut new: Vec<(usize, Stated)> = Vec::new();
    let mut known = BTreeSet::new();
    for (index, image) in timeline.images.iter().enumerate().skip(1) {
        if new.len() >= STATED_MAX || looked_at >= READ_MAX {
            break;
        }
        if !image.happened || is_installing(timeline, image) {
            continue;
        }
        let mut stated = Vec::new();
        if let Some(text) = image.told() {
            read(text, 0, &mut stated);
        } else if image.is(WRAPPERS) {
            let words: Vec<String> =
                image.argv.iter().map(|arg| arg.clone().into_owned()).collect();
            unwrap(Command { words, writes: Vec::new() }, 0, &mut stated);
        }
        looked_at += stated.len();
        for command in stated {
            if !known.contains(&command) && !done.has(&command) {
                known.insert(command.clone());
                new.push((index, command));
            }
        }
    }
    let in_vain: Vec<(usize, String, Stated)> = failed(timeline).collect();
    for (shell, command) in new {
        take(timeline, shell, command);
    }
    for (event, cwd, command) in in_vain {
        for path in read_by(&command) {
            timeline.reads.push(Read { event, path: Cow::Owned(absolute(path, &cwd)) });
        }
        touch(timeline, event, &cwd, written(&command));
    }
}

/// Copiers and editors that ended with an error. What they were to write and never opened, because
/// they looked first and found no folder, is kept as well.
fn failed<'t>(timeline: &'t Timeline<'_>) -> impl Iterator<Item = (usize, String, Stated)> + 't {
    let copiers = timeline.executed().filter(|image| image.is(&["cp", "mv", "ln", "sed", "tee"]));
    copiers.filter_map(|image| {
        let process = timeline.runner(image)?;
        let exit = timeline.processes[process].exit?;
        let error = matches!(timeline.events[exit].kind, types::Kind::Exit { code: Some(1..), .. });
        let installing = is_installing(timeline, image);
        let argv = image.argv.iter().map(|arg| arg.clone().into_owned()).collect();
        let command = Stated { argv, writes: Vec::new() };
        (error && !installing).then(|| (image.event, image.cwd.to_string(), command))
    })
}

/// Writes that were stated, of files that nothing in the run opened for writing.
fn touch(
    timeline: &mut Timeline<'_>,
    event: usize,
    cwd: &str,
    paths: impl Iterator<Item = String>,
) {
    for path in paths.filter(|path| !path.contains(['$', '`', '*'])) {
        let path = absolute(&path, cwd);
        if !timeline.by_path.contains_key(&path) && !path.starts_with("/dev/") {
            timeline.touches.push(Touch { event, path: Cow::Owned(path), how: How::Stated });
        }
    }
}

/// Gives the first program of the run, where it is a shell with a script, that script's text.
fn give_script(timeline: &mut Timeline<'_>) {
    let Some(script) = &timeline.recording.run.script else { return };
    if let Some(first) = timeline.images.get_mut(1)
        && first.is_shell()
        && first.text().is_none()
        && first.script().is_some()
    {
        first.script_text = Some(script.to_lossy());
    }
}

/// What an installer's scripts would have done is the installer's doing.
fn is_installing(timeline: &Timeline<'_>, image: &Image<'_>) -> bool {
    timeline.runner(image).is_some_and(|p| timeline.ancestry(p).any(Image::is_package_tool))
}

/// Programs that run the command behind them.
const WRAPPERS: &[&str] = &["sudo", "doas", "nohup", "setsid", "timeout", "su", "runuser", "nice"];

/// What shells do by themselves.
const BUILTINS: &[&str] = &[
    ".", ":", "[", "[[", "alias", "bg", "break", "cd", "continue", "declare", "disown", "echo",
    "eval", "exit", "export", "false", "fc", "fg", "getopts", "hash", "history", "jobs", "kill",
    "let", "local", "printf", "pwd", "read", "readonly", "return", "set", "shift", "shopt",
    "source", "test", "times", "trap", "true", "type", "ulimit", "umask", "unalias", "unset",
    "wait", "which", "command",
];

fn read(text: &str, depth: usize, into: &mut Vec<Stated>) {
    for command in spoken::commands(text) {
        unwrap(command, depth, into);
    }
}

/// Takes `sudo`, `nohup` and the like off a command, and reads the text that `sh -c` would.
fn unwrap(mut command: Command, depth: usize, into: &mut Vec<Stated>) {
    while let Some(first) = command.words.first() {
        let name = paths::name(first).to_owned();
        match name.as_str() {
            "su" | "runuser" | "sh" | "bash" | "dash" | "zsh" | "ksh" | "ash" => {
                if let Some(text) = text_of(&command.words).filter(|_| depth < DEPTH_MAX) {
                    read(&text, depth + 1, into);
                }
                break;
            }
            "eval" => {
                if depth < DEPTH_MAX {
                    read(&command.words[1..].join(" "), depth + 1, into);
                }
                return;
            }
            _ => {}
        }
        let Some(words) = behind(&name, &command.words) else { break };
        command.words = words;
    }
    let Some(first) = command.words.first() else { return };
    if BUILTINS.contains(&first.as_str()) && command.writes.is_empty() {
        return;
    }
    into.push(Stated { argv: command.words, writes: command.writes });
}

/// The command that a wrapper of this name was to run; `None` where it is none, or was only asked.
fn behind(name: &str, words: &[String]) -> Option<Vec<String>> {
    let valued: &[&str] = match name {
        "sudo" | "doas" => &["-u", "-g", "-h", "-p", "-C", "-r", "-t", "-U"],
        "timeout" => &["-s", "-k", "--signal", "--kill-after"],
        "nice" | "ionice" => &["-n", "-c"],
        "env" => &["-u", "-C"],
        "nohup" | "setsid" | "exec" | "builtin" | "command" | "stdbuf" | "time" => &[],
        _ => return None,
    };
    let mut rest = words[1..].iter().peekable();
    while let Some(word) = rest.next_if(|word| word.starts_with('-') || is_variable(word)) {
        if matches!(word.as_str(), "-l" | "--list") {
            return None;
        }
        if valued.contains(&word.as_str()) {
            rest.next();
        }
    }
    if name == "timeout" {
        rest.next();
    }
    let words: Vec<String> = rest.cloned().collect();
    (!words.is_empty()).then_some(words)
}

fn is_variable(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    })
}

/// The text behind `-c`.
fn text_of(words: &[String]) -> Option<String> {
    let at = words.iter().position(|word| {
        word == "--command"
            || (word.starts_with('-') && !word.starts_with("--") && word.ends_with('c'))
    })?;
    words.get(at + 1).cloned()
}

/// What the run executed, or tried to: argument lists by the program's name.
struct Done(BTreeMap<String, BTreeSet<String>>);

impl Done {
    fn new(timeline: &Timeline<'_>) -> Self {
        let mut done: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for image in timeline.attempted() {
            let args: Vec<&str> = image.args().collect();
            let called = image.argv.first().map_or("", |arg| paths::name(arg));
            for name in [image.exact_name(), called] {
                done.entry(name.to_owned()).or_default().insert(args.join("\0"));
            }
            // One file, many programs.
            if let ("busybox" | "toybox", [applet, rest @ ..]) = (image.exact_name(), &args[..]) {
                done.entry((*applet).to_owned()).or_default().insert(rest.join("\0"));
            }
        }
        Self(done)
    }

    fn has(&self, command: &Stated) -> bool {
        let name = paths::name(&command.argv[0]);
        if command.argv[0].contains(['$', '`', '*']) || name.is_empty() {
            return true;
        }
        let Some(known) = self.0.get(name) else { return false };
        // What the shell expands cannot be compared.
        let expands = |word: &String| word.contains(['$', '`', '*', '?', '{', '~', '[']);
        command.argv.iter().any(expands) || known.contains(&command.argv[1..].join("\0"))
    }
}

fn take(timeline: &mut Timeline<'_>, shell: usize, command: Stated) {
    if !is_name(&command.argv[0]) {
        return;
    }
    let (event, cwd) = (timeline.images[shell].event, timeline.images[shell].cwd.to_string());
    touch(timeline, event, &cwd, written(&command).chain(command.writes.iter().cloned()));
    if BUILTINS.contains(&command.argv[0].as_str()) {
        return;
    }
    for path in read_by(&command) {
        timeline.reads.push(Read { event, path: Cow::Owned(absolute(path, &cwd)) });
    }
    let path: Cow<'_, str> = Cow::Owned(command.argv[0].clone());
    let trust =
        if !path.contains('/') || paths::is_system(&path) { Trust::System } else { Trust::Foreign };
    timeline.images.push(Image {
        event,
        path,
        argv: command.argv.into_iter().map(Cow::Owned).collect(),
        cwd: Cow::Owned(cwd),
        memfd: false,
        deleted: false,
        stdio: &[],
        happened: false,
        trust,
        before: shell,
        script_text: None,
    });
}

/// Whether a word can be the name of a program: a program in another language, given to a shell to
/// be passed on, is not made of commands.
fn is_name(word: &str) -> bool {
    let odd = |c: char| c.is_whitespace() || c.is_control() || "(){}<>;,=\"'`|&*?!\\".contains(c);
    word == "{" || !word.contains(odd) && (word == ":" || !word.ends_with(':'))
}

/// The path as the shell would have made it absolute.
pub(crate) fn absolute(path: &str, cwd: &str) -> String {
    const HOME: &str = "/home/sandbox";
    let home = ["~/", "$HOME/", "${HOME}/"].iter().find_map(|start| path.strip_prefix(start));
    let path = match home {
        Some(rest) => format!("{HOME}/{rest}"),
        None if path.starts_with('/') => path.to_owned(),
        None => format!("{cwd}/{path}"),
    };
    paths::normal(&path).into_owned()
}

fn operands(command: &Stated) -> impl Iterator<Item = &str> {
    command.argv[1..].iter().map(String::as_str).filter(|word| !word.starts_with('-'))
}

/// Files that the command would have written.
fn written(command: &Stated) -> impl Iterator<Item = String> {
    let words: Vec<&str> = operands(command).collect();
    let flag = |flag: &str| command.argv.iter().any(|word| word.starts_with(flag));
    let files: Vec<String> = match paths::name(&command.argv[0]) {
        "tee" | "touch" => words.iter().map(|&word| word.to_owned()).collect(),
        "sed" if flag("-i") || flag("--in-place") => {
            words.iter().skip(usize::from(!flag("-e"))).map(|&word| word.to_owned()).collect()
        }
        "cp" | "mv" | "ln" | "install" if words.len() > 1 => {
            let (from, to) = (words[0], words[words.len() - 1]);
            let inside = if to.ends_with('/') { paths::name(from) } else { "" };
            vec![format!("{to}{inside}")]
        }
        "dd" => words.iter().filter_map(|w| w.strip_prefix("of=")).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    files.into_iter()
}

/// Files that the command would have read, for commands that do little else.
fn read_by(command: &Stated) -> Vec<&str> {
    const READERS: &[&str] = &[
        "cat", "head", "tail", "less", "more", "strings", "base64", "xxd", "cp", "nl", "tac", "vi",
        "vim", "nano", "ed", "cut",
    ];
    if !READERS.contains(&paths::name(&command.argv[0])) {
        return Vec::new();
    }
    operands(command).filter(|word| word.contains('/')).collect()
}
