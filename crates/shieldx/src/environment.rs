//! The one place that reads arguments and the environment (invariant 1), once, at start.
//!
//! Everything else gets an [`Environment`] handed in, so a test can make one and nothing can
//! depend on a variable in secret.

use std::ffi::{OsStr, OsString};
use std::io::IsTerminal as _;
use std::path::PathBuf;

use crate::request::ColorChoice;

/// What the caller's process gave us.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    pub args: Vec<OsString>,
    pub variables: Vec<(OsString, OsString)>,
    pub cwd: Option<PathBuf>,
    /// The file of this program.
    pub program: Option<PathBuf>,
    /// Home of the effective user in /etc/passwd, which `HOME` need not agree with.
    pub passwd_home: Option<PathBuf>,
    pub stdout_terminal: bool,
    pub stderr_terminal: bool,
    /// Width of the terminal, where there is one.
    pub columns: Option<usize>,
}

impl Environment {
    /// Reads the process's own.
    #[expect(clippy::disallowed_methods, reason = "this is the module that may read them")]
    #[must_use]
    pub fn read() -> Self {
        Self {
            args: std::env::args_os().collect(),
            variables: std::env::vars_os().collect(),
            cwd: std::env::current_dir().ok(),
            program: std::env::current_exe().ok(),
            passwd_home: passwd_home(),
            stdout_terminal: std::io::stdout().is_terminal(),
            stderr_terminal: std::io::stderr().is_terminal(),
            columns: columns(),
        }
    }

    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&OsStr> {
        self.variables.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_os_str())
    }

    /// Whether to colour what goes to the stream. <https://no-color.org>: any non-empty `NO_COLOR`
    /// turns colour off; the option on the command line decides before it.
    #[must_use]
    pub fn color(&self, choice: ColorChoice, terminal: bool) -> bool {
        match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                terminal
                    && self.variable("NO_COLOR").is_none_or(OsStr::is_empty)
                    && self.variable("TERM").is_none_or(|term| term != "dumb")
            }
        }
    }

    /// Characters per line: `COLUMNS` when it is set, the terminal's width, or 100.
    #[must_use]
    pub fn width(&self) -> usize {
        let told = self.variable("COLUMNS").and_then(|text| text.to_str()?.parse().ok());
        let width = told.or(self.columns).unwrap_or(WIDTH_DEFAULT);
        width.clamp(WIDTH_MIN, WIDTH_MAX)
    }
}

const WIDTH_DEFAULT: usize = 100;
/// Narrower than this a report cannot be laid out.
const WIDTH_MIN: usize = 60;
const WIDTH_MAX: usize = 160;

/// The width of the terminal behind standard error or output.
#[expect(unsafe_code, reason = "ioctl(TIOCGWINSZ) has no safe wrapper in std")]
fn columns() -> Option<usize> {
    [libc::STDERR_FILENO, libc::STDOUT_FILENO].into_iter().find_map(|stream| {
        let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: TIOCGWINSZ (ioctl_tty(2)) writes one `winsize` to the pointer, which is valid
        // and lives until the call returns; a stream that is closed or no terminal is an error.
        let result = unsafe { libc::ioctl(stream, libc::TIOCGWINSZ, &raw mut size) };
        (result == 0 && size.ws_col > 0).then_some(usize::from(size.ws_col))
    })
}

/// The sixth field of the line whose third field is our user id. Read as a file and not through
/// the C library: a name service that answers slowly must not delay a run.
fn passwd_home() -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt as _;
    use std::os::unix::fs::MetadataExt as _;
    let uid = std::fs::metadata("/proc/self").ok()?.uid().to_string();
    let passwd = std::fs::read("/etc/passwd").ok()?;
    let line = passwd
        .split(|&byte| byte == b'\n')
        .find(|line| line.split(|&byte| byte == b':').nth(2) == Some(uid.as_bytes()))?;
    let home = line.split(|&byte| byte == b':').nth(5)?;
    Some(PathBuf::from(OsString::from_vec(home.to_vec())))
}
