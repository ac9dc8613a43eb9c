//! One program as it was executed, and what can be said about it: its name, where its file comes
//! from, and whether its behaviour is its own or the sample's.

use std::borrow::Cow;

use types::{Event, Kind, StdioKind};

use crate::paths;

/// How far a program file is to be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// In a system folder, and not changed during the run.
    System,
    /// In the folder of a language's tools, and not changed during the run.
    Toolchain,
    /// Anywhere else.
    Foreign,
    /// Written during the run.
    Written,
}

/// A program that was executed or tried.
#[derive(Debug)]
pub(crate) struct Image<'r> {
    /// Index of its exec event; 0 for the unknown image.
    pub(crate) event: usize,
    pub(crate) path: Cow<'r, str>,
    pub(crate) argv: Vec<Cow<'r, str>>,
    /// The folder it was started in.
    pub(crate) cwd: Cow<'r, str>,
    pub(crate) memfd: bool,
    pub(crate) deleted: bool,
    pub(crate) stdio: &'r [StdioKind],
    pub(crate) happened: bool,
    pub(crate) trust: Trust,
    /// The image that was replaced; index into the timeline's images.
    pub(crate) before: usize,
    /// The text of the script file that it was given, where the recording has it.
    pub(crate) script_text: Option<Cow<'r, str>>,
}

const SHELLS: &[&str] =
    &["sh", "bash", "dash", "zsh", "ksh", "mksh", "ash", "fish", "csh", "tcsh", "rbash", "pwsh"];

/// Programs that run someone else's program text.
const INTERPRETERS: &[&str] = &[
    "python",
    "pypy",
    "perl",
    "ruby",
    "node",
    "nodejs",
    "deno",
    "bun",
    "php",
    "lua",
    "luajit",
    "tclsh",
    "expect",
    "guile",
    "Rscript",
    "julia",
    "java",
    "awk",
    "gawk",
    "mawk",
    "busybox",
    "osascript",
    "dotnet",
    "mono",
    "elixir",
    "escript",
    "groovy",
    "scala",
    "wish",
    "gjs",
    "qjs",
];

const AWKS: &[&str] = &["awk", "gawk", "mawk", "original-awk"];

/// Programs that generate machine code while they run.
const COMPILERS_AT_RUN_TIME: &[&str] = &[
    "node", "nodejs", "deno", "bun", "java", "javac", "dotnet", "mono", "luajit", "pypy", "julia",
    "ruby", "php", "qjs", "gjs", "wasmtime", "wasmer", "pwsh", "valgrind", "erl", "beam.smp",
    "chrome", "chromium", "firefox", "electron", "code", "racket", "sbcl", "ghc", "R",
];

/// Programs that install, build or fetch other programs as their job.
const PACKAGE_TOOLS: &[&str] = &[
    "pip",
    "pipx",
    "uv",
    "npm",
    "npx",
    "pnpm",
    "yarn",
    "corepack",
    "cargo",
    "rustup",
    "go",
    "gem",
    "bundle",
    "bundler",
    "apt",
    "apt-get",
    "aptitude",
    "dpkg",
    "dpkg-deb",
    "rpm",
    "dnf",
    "yum",
    "zypper",
    "apk",
    "pacman",
    "conda",
    "mamba",
    "poetry",
    "composer",
    "mvn",
    "gradle",
    "brew",
    "nix",
    "snap",
    "flatpak",
    "git",
    "hg",
    "svn",
    "venv",
    "virtualenv",
    "ensurepip",
    "setup.py",
    "hatch",
    "tox",
    "nox",
    "build",
    "bazel",
    "update-alternatives",
    "debootstrap",
    "mmdebstrap",
];

/// Those of them that a project installs for itself.
const ENVIRONMENT_TOOLS: &[&str] = &[
    "pip",
    "uv",
    "pipx",
    "virtualenv",
    "poetry",
    "tox",
    "nox",
    "hatch",
    "build",
    "npm",
    "npx",
    "yarn",
];

/// One file, many programs: the name it is called by decides which.
const MANY_IN_ONE: &[&str] = &[
    "busybox",
    "toybox",
    "coreutils",
    "kmod",
    "systemctl",
    "xtables-nft-multi",
    "xtables-legacy-multi",
];

impl<'r> Image<'r> {
    pub(super) fn unknown() -> Self {
        Self {
            event: 0,
            path: Cow::Borrowed(""),
            argv: Vec::new(),
            cwd: Cow::Borrowed(""),
            memfd: false,
            deleted: false,
            stdio: &[],
            happened: false,
            trust: Trust::Foreign,
            before: 0,
            script_text: None,
        }
    }

    /// The image of an exec event; `written` tells whether the run wrote a path before.
    pub(super) fn new(
        index: usize,
        event: &'r Event,
        before: usize,
        written: impl Fn(&str) -> bool,
    ) -> Self {
        let Kind::Exec { path, argv, cwd, memfd, deleted, stdio } = &event.kind else {
            return Self::unknown();
        };
        let path = paths::clean(path);
        let trust = if written(&path) || *memfd || *deleted {
            Trust::Written
        } else if paths::is_system(&path) {
            Trust::System
        } else if paths::is_toolchain(&path) {
            Trust::Toolchain
        } else {
            Trust::Foreign
        };
        Self {
            event: index,
            path,
            argv: argv.iter().map(|arg| arg.to_lossy()).collect(),
            cwd: paths::clean(cwd),
            memfd: *memfd,
            deleted: *deleted,
            stdio,
            happened: event.happened(),
            trust,
            before,
            script_text: None,
        }
    }

    /// The program's file name as it is.
    pub(crate) fn exact_name(&self) -> &str {
        paths::name(&self.path)
    }

    /// The program's file name without its version.
    pub(crate) fn name(&self) -> &str {
        paths::versionless(self.exact_name())
    }

    /// Whether the program is called one of these, with or without its version. What a
    /// program of many names is called as counts as its name.
    pub(crate) fn is(&self, names: &[&str]) -> bool {
        let named = |name: &str| names.contains(&name);
        named(self.exact_name())
            || named(self.name())
            || (MANY_IN_ONE.contains(&self.exact_name()) && self.applet().is_some_and(named))
    }

    fn applet(&self) -> Option<&str> {
        let first = paths::name(self.argv.first()?);
        if first == "busybox" { self.argv.get(1).map(AsRef::as_ref) } else { Some(first) }
    }

    /// A program of these names that comes with the system or a tool chain.
    pub(crate) fn is_trusted(&self, names: &[&str]) -> bool {
        self.trusted() && self.is(names)
    }

    pub(crate) fn trusted(&self) -> bool {
        matches!(self.trust, Trust::System | Trust::Toolchain)
    }

    pub(crate) fn is_shell(&self) -> bool {
        self.is(SHELLS)
    }

    pub(crate) fn is_interpreter(&self) -> bool {
        self.is(INTERPRETERS) || self.is_shell()
    }

    pub(crate) fn generates_code(&self) -> bool {
        self.is(COMPILERS_AT_RUN_TIME) || self.name().starts_with("qemu-")
    }

    /// Whether what this program does was decided by the sample: it brought the program, or it
    /// brought the text that an interpreter runs. A system tool only does what its name says.
    pub(crate) fn is_own_will(&self) -> bool {
        !self.trusted() || self.is_interpreter()
    }

    /// Package managers, build tools and version control, also as a script of an interpreter.
    pub(crate) fn is_package_tool(&self) -> bool {
        if self.is(PACKAGE_TOOLS) {
            let in_environment =
                paths::folder(&self.path).ends_with("/bin") && self.is(ENVIRONMENT_TOOLS);
            return self.trusted() || in_environment;
        }
        if !self.is_interpreter() {
            return false;
        }
        let Some(script) = self.script() else { return false };
        let name = paths::versionless(paths::name(script));
        let name =
            name.strip_suffix("-cli.js").or_else(|| name.strip_suffix(".js")).unwrap_or(name);
        PACKAGE_TOOLS.contains(&name)
            && (!script.contains('/') || script.contains("/bin/") || name == "setup.py")
    }

    /// The script file or module an interpreter was given, where its text is not an argument.
    pub(crate) fn script(&self) -> Option<&str> {
        let mut args = self.argv.iter().skip(1);
        while let Some(arg) = args.next() {
            match arg.as_ref() {
                "-m" => return args.next().map(AsRef::as_ref),
                "-c" | "-e" | "-E" | "-r" | "-p" | "-s" | "--eval" | "--print" => return None,
                "-W" | "-X" | "-o" | "-O" | "--require" | "--import" => {
                    args.next();
                }
                "-f" if self.is(AWKS) => return args.next().map(AsRef::as_ref),
                arg if arg.starts_with('-') => {
                    // `sh -ec`, `perl -ne`, `python -Ic`: the text follows.
                    let text = (self.is_shell() && arg.contains('c'))
                        || (self.is(&["perl", "ruby"]) && arg.ends_with(['e', 'E']))
                        || (self.is(&["python"]) && arg.ends_with('c'));
                    if text && !arg.starts_with("--") {
                        return None;
                    }
                }
                // Its first operand is its text.
                _ if self.is(AWKS) => return None,
                script => return Some(script),
            }
        }
        None
    }

    /// The absolute path of [`Image::script`], where it is a file.
    pub(crate) fn script_path(&self) -> Option<String> {
        let script = self.script().filter(|_| !self.has_arg(&["-m"]))?;
        if script.starts_with('/') {
            return Some(paths::normal(script).into_owned());
        }
        Some(paths::normal(&format!("{}/{script}", self.cwd)).into_owned())
    }

    /// The program text an interpreter was given as an argument (`sh -c`, `python -c`, `perl -e`).
    pub(crate) fn text(&self) -> Option<&str> {
        if !self.is_interpreter() {
            return None;
        }
        let shell = self.is_shell();
        let mut args = self.argv.iter().skip(1).map(AsRef::as_ref);
        while let Some(arg) = args.next() {
            let flags = arg.strip_prefix('-').filter(|rest| !rest.starts_with('-'));
            let takes_text = match flags {
                Some(flags) if shell => flags.contains('c'),
                Some(flags) if self.is(&["perl", "ruby"]) => flags.ends_with(['e', 'E']),
                Some(flags) if self.is(&["node", "nodejs", "deno", "bun"]) => {
                    matches!(flags, "e" | "p" | "pe")
                }
                Some(flags) => flags.ends_with(['c', 'e', 'r']),
                None => matches!(arg, "--eval" | "--print" | "eval" | "--command"),
            };
            if takes_text {
                return args.next();
            }
            // `perl -e'…'`, `python -c'…'`: the text may stick to its letter.
            let letters: &[char] = match self.name() {
                "perl" | "ruby" => &['e', 'E'],
                "python" | "pypy" => &['c'],
                "php" => &['r'],
                _ => &[],
            };
            let attached = flags.and_then(|flags| flags.strip_prefix(letters));
            if let Some(text) = attached.filter(|text| text.contains(['(', '=', ';', ' '])) {
                return Some(text);
            }
            if flags.is_none() && self.is(AWKS) {
                return Some(arg);
            }
        }
        None
    }

    /// What a shell was told, as an argument or in the script that the run is about.
    pub(crate) fn told(&self) -> Option<&str> {
        self.text().or(self.script_text.as_deref()).filter(|_| self.is_shell())
    }

    /// All arguments behind the program's name, for searches.
    pub(crate) fn args(&self) -> impl Iterator<Item = &str> {
        self.argv.iter().skip(1).map(AsRef::as_ref)
    }

    pub(crate) fn has_arg(&self, args: &[&str]) -> bool {
        self.args().any(|arg| args.contains(&arg))
    }

    /// Whether any argument contains `part`.
    pub(crate) fn mentions(&self, part: &str) -> bool {
        self.args().any(|arg| arg.contains(part))
    }

    /// The arguments that are not options.
    pub(crate) fn operands(&self) -> impl Iterator<Item = &str> {
        self.args().filter(|arg| !arg.starts_with('-'))
    }

    /// Asked only for its help or version.
    pub(crate) fn only_asks(&self) -> bool {
        self.argv.len() == 2
            && self.has_arg(&[
                "--version",
                "--help",
                "-V",
                "-h",
                "-v",
                "version",
                "help",
                "-version",
            ])
    }
}
