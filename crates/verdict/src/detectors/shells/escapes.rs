//! Shells in odd places: started bare by programs that edit, page or compute, given a terminal that
//! nobody sits at, or waiting in a trap for something to happen.

use crate::detector::{Finding, Hits};
use crate::timeline::{Image, Timeline, spoken};

/// Programs with a way to start others that is meant for a person at a terminal.
const HOSTS: &[&str] = &[
    "awk", "gawk", "mawk", "vi", "vim", "view", "ed", "emacs", "nano", "less", "more", "man",
    "find", "gdb", "ftp", "cpan", "nmap", "tar", "zip", "irb", "lua", "tclsh", "expect", "gimp",
    "mysql", "psql", "sqlite3", "docker", "screen", "watch", "flock", "taskset", "stdbuf",
];

/// A shell without script, text or pipe below such a program, and a terminal made for a shell.
pub(super) fn escaped(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for image in timeline.executed().filter(|image| is_bare(image)) {
        let Some(process) = timeline.runner(image) else { continue };
        // The shell that `system()` starts stands in between.
        let host = timeline
            .lineage(process)
            .take(3)
            .flat_map(|p| timeline.images_of(p))
            .find(|host| host.event != image.event && host.is(HOSTS) && tells_shell(host));
        if let Some(host) = host {
            hits.add(
                image.event,
                13,
                &format!("{} below {}", image.exact_name(), host.exact_name()),
            );
            hits.context.push(host.event);
        }
    }
    for image in timeline.attempted() {
        let scripted = image.is(&["python", "pypy"])
            && image.text().is_some_and(|text| text.contains("pty.spawn(") && tells_shell(image));
        let typescript = image.is(&["script"])
            && image.args().skip_while(|arg| !arg.ends_with('c')).nth(1).is_some_and(is_shell_word);
        let editor = !image.happened && image.is(HOSTS) && image.args().any(starts_shell);
        if scripted || typescript || editor {
            hits.add(image.event, 13, &format!("a shell by {}", image.exact_name()));
        }
    }
    hits.finding("started: ")
}

/// A shell that was given nothing to do, and whose input is no pipe.
fn is_bare(image: &Image<'_>) -> bool {
    image.is_shell()
        && image.args().all(|arg| matches!(arg, "-i" | "-p" | "-l" | "--norc" | "--noprofile"))
        && image.stdio.first().is_none_or(|stream| *stream != types::StdioKind::Pipe)
}

fn is_shell_word(word: &str) -> bool {
    let name = word.split_whitespace().next().unwrap_or("");
    let name = name.rsplit('/').next().unwrap_or("");
    matches!(name, "sh" | "bash" | "dash" | "zsh" | "ksh") && word.split_whitespace().count() <= 2
}

/// Whether the host's own arguments name the shell that it starts.
fn tells_shell(image: &Image<'_>) -> bool {
    image.args().any(|arg| {
        ["/bin/sh", "/bin/bash", "/bin/dash", "/bin/zsh", ":!sh", "'sh'", "\"sh\"", "bash"]
            .iter()
            .any(|shell| arg.contains(shell))
    })
}

/// Words by which editors and calculators start a shell.
fn starts_shell(arg: &str) -> bool {
    const WAYS: &[&str] =
        &["system(\"/bin/", "(term \"/bin/", ":!/bin/", "exec \"/bin/", "os.execute(\"/bin/"];
    WAYS.iter().any(|way| arg.contains(way))
}

/// A shell's text whose trap starts something detached or reaches for the network.
pub(super) fn trapped(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for (event, handler, signals) in traps(timeline) {
        let starts = spoken::commands(&handler).iter().any(|command| {
            let name = command.words.first().map_or("", |word| crate::paths::name(word));
            matches!(
                name,
                "nohup" | "setsid" | "curl" | "wget" | "nc" | "ncat" | "socat" | "disown" | "at"
            ) || command.writes.iter().any(|path| path.starts_with("/dev/tcp/"))
        });
        let logs = signals.contains("DEBUG") && handler.contains("BASH_COMMAND");
        if starts || logs && handler.contains('>') {
            hits.add(event, 13, &signals);
        }
    }
    hits.finding("set for ")
}

/// Traps in the texts of shells: the shell's event, the handler, and what it waits for.
pub(crate) fn traps(timeline: &Timeline<'_>) -> Vec<(usize, String, String)> {
    let shells = timeline.executed().filter(|image| image.is_shell());
    let texts = shells.filter_map(|image| Some((image.event, image.told()?)));
    texts
        .filter(|(_, text)| text.contains("trap "))
        .flat_map(|(event, text)| spoken::commands(text).into_iter().map(move |c| (event, c)))
        .filter(|(_, command)| command.words.first().is_some_and(|word| word == "trap"))
        .filter_map(|(event, command)| {
            let signals = command.words.get(2..)?.join(" ");
            Some((event, command.words[1].clone(), signals))
        })
        .collect()
}
