//! What the command will see of the host: which folders are hidden, which tools stay visible, and
//! where a path inside comes from outside.
//!
//! This room only decides; the runner builds it. It looks at the file system but never changes it.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};

use sandbox::Mount;

use crate::environment::Environment;

/// Folders that are fresh and private inside, so that nothing of the host's is in them.
const PRIVATE: [&str; 6] = ["/tmp", "/var/tmp", "/dev", "/proc", "/run", "/sys"];

/// A home that is one of these is a placeholder of a system account; hiding it would take the
/// system itself away.
const NEVER_HIDDEN: [&str; 20] = [
    "/",
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
    "/usr",
    "/usr/bin",
    "/usr/sbin",
    "/etc",
    "/opt",
    "/srv",
    "/var",
    "/var/lib",
    "/var/run",
    "/tmp",
    "/dev",
    "/proc",
    "/sys",
    "/run",
    "/nonexistent",
];

/// Tool managers below a home: when PATH names `entry` or something in it, `shown` is what its
/// programs need to run. Folders with credentials (`~/.cargo` itself, `~/.config`) are not listed.
const TOOL_ROOTS: [(&str, &[&str]); 20] = [
    (".cargo/bin", &[".cargo/bin", ".rustup"]),
    (".pyenv", &[".pyenv"]),
    (".rbenv", &[".rbenv"]),
    (".nodenv", &[".nodenv"]),
    (".nvm", &[".nvm"]),
    (".volta", &[".volta"]),
    (".asdf", &[".asdf"]),
    (".local/share/mise", &[".local/share/mise"]),
    (".deno", &[".deno"]),
    (".bun", &[".bun"]),
    (".sdkman", &[".sdkman"]),
    (".ghcup", &[".ghcup"]),
    (".opam", &[".opam"]),
    (".juliaup", &[".juliaup", ".julia/juliaup"]),
    (
        ".local/bin",
        &[".local/bin", ".local/lib", ".local/share/pipx", ".local/share/uv", ".local/pipx"],
    ),
    (".local/share/pnpm", &[".local/share/pnpm"]),
    (".nix-profile", &[".nix-profile"]),
    ("miniconda3", &["miniconda3"]),
    ("anaconda3", &["anaconda3"]),
    ("miniforge3", &["miniforge3"]),
];

/// Variables that only say where a tool is installed. They pass when they name an existing folder.
const LOCATIONS: [&str; 14] = [
    "RUSTUP_HOME",
    "PYENV_ROOT",
    "RBENV_ROOT",
    "NODENV_ROOT",
    "NVM_DIR",
    "VOLTA_HOME",
    "ASDF_DIR",
    "ASDF_DATA_DIR",
    "SDKMAN_DIR",
    "GOROOT",
    "JAVA_HOME",
    "CONDA_PREFIX",
    "VIRTUAL_ENV",
    "OPAM_SWITCH_PREFIX",
];

/// Where the tools that look below HOME are told to look instead, by their folder in the home.
const HOME_TOOLS: [(&str, &str); 6] = [
    (".rustup", "RUSTUP_HOME"),
    (".pyenv", "PYENV_ROOT"),
    (".rbenv", "RBENV_ROOT"),
    (".nodenv", "NODENV_ROOT"),
    (".nvm", "NVM_DIR"),
    (".volta", "VOLTA_HOME"),
];

/// The host as the command will see it.
#[derive(Debug, Clone, Default)]
pub struct View {
    pub hidden: Vec<PathBuf>,
    pub tools: Vec<PathBuf>,
    pub mounts: Vec<Mount>,
    pub cwd: PathBuf,
    /// The folders of PATH, absolute and in order.
    pub path: Vec<PathBuf>,
    /// Variables that tell tools where they are installed.
    pub locations: Vec<(OsString, OsString)>,
    /// A file, by its path inside, that the runner makes executable whatever its mode here.
    pub given: Option<PathBuf>,
}

impl View {
    /// Decides what a command started in `cwd` sees.
    #[must_use]
    pub fn new(environment: &Environment, cwd: PathBuf, mounts: Vec<Mount>) -> Self {
        let homes = homes(environment);
        let mut hidden = homes.clone();
        for folder in ["/root", "/home"] {
            push_new(&mut hidden, PathBuf::from(folder));
        }
        let path = search_path(environment);
        let mut view = Self { hidden, mounts, cwd, path, ..Self::default() };
        view.show_tools(&homes);
        view.tell_locations(environment, &homes);
        view
    }

    /// Whether something at this path of the host can be seen at the same path inside.
    #[must_use]
    pub fn shows(&self, path: &Path) -> bool {
        let path = clean(path);
        if self.mounts.iter().any(|mount| path.starts_with(&mount.target)) {
            return true;
        }
        if path.starts_with(&self.cwd) && self.cwd_is_shown() {
            return true;
        }
        if self.tools.iter().any(|tool| path.starts_with(tool)) {
            return true;
        }
        self.hidden_by(&path).is_none()
    }

    /// The hidden or private folder that this path lies in.
    #[must_use]
    pub fn hidden_by(&self, path: &Path) -> Option<&Path> {
        let private = PRIVATE.iter().map(Path::new);
        self.hidden.iter().map(PathBuf::as_path).chain(private).find(|dir| path.starts_with(dir))
    }

    /// Where the file that is at `inside` for the command lies on the host.
    #[must_use]
    pub fn on_host(&self, inside: &Path) -> PathBuf {
        let inside = clean(inside);
        self.mounts
            .iter()
            .rev()
            .filter_map(|mount| {
                let rest = inside.strip_prefix(&mount.target).ok()?;
                // `join("")` would add a slash and make a file look like a folder.
                let source = &mount.source;
                Some(if rest.as_os_str().is_empty() { source.clone() } else { source.join(rest) })
            })
            .next()
            .unwrap_or(inside)
    }

    /// The hidden folder that would be laid open by showing the working folder: it is that folder
    /// or lies in it. (`/` is shown with the hidden folders covered.)
    #[must_use]
    pub fn uncovered_by_cwd(&self) -> Option<&Path> {
        let inside = |dir: &&PathBuf| dir.starts_with(&self.cwd) && self.cwd != Path::new("/");
        self.hidden.iter().find(inside).map(PathBuf::as_path)
    }

    /// The working folder is shown as it is on the host, unless it is a private one itself.
    fn cwd_is_shown(&self) -> bool {
        self.cwd != Path::new("/") && !PRIVATE.iter().any(|dir| self.cwd == Path::new(dir))
    }

    fn show_tools(&mut self, homes: &[PathBuf]) {
        for entry in self.path.clone() {
            let resolved = entry.canonicalize().unwrap_or_else(|_| entry.clone());
            for folder in [entry, resolved] {
                for tool in tool_roots(&folder, &self.hidden, homes) {
                    push_new(&mut self.tools, tool);
                }
            }
        }
    }

    fn tell_locations(&mut self, environment: &Environment, homes: &[PathBuf]) {
        for name in LOCATIONS {
            let Some(value) = environment.variable(name) else { continue };
            let folder = clean(Path::new(value));
            if folder.is_absolute() && folder.is_dir() {
                if self.hidden.iter().any(|dir| folder.starts_with(dir)) {
                    // A tool's folder inside a hidden one is shown, a hidden folder itself never.
                    if self.hidden.iter().any(|dir| dir.starts_with(&folder)) {
                        continue;
                    }
                    push_new(&mut self.tools, folder);
                }
                self.locations.push((name.into(), value.to_owned()));
            }
        }
        for (folder, name) in HOME_TOOLS {
            let told = self.locations.iter().any(|(key, _)| key == name);
            let shown = homes.iter().map(|home| home.join(folder)).find(|f| self.tools.contains(f));
            if let (false, Some(folder)) = (told, shown) {
                self.locations.push((name.into(), folder.into_os_string()));
            }
        }
    }
}

/// The caller's homes: what HOME says and what the password file says.
fn homes(environment: &Environment) -> Vec<PathBuf> {
    let mut homes = Vec::new();
    let named = environment.variable("HOME").map(PathBuf::from);
    for home in named.into_iter().chain(environment.passwd_home.clone()) {
        let resolved = home.canonicalize().unwrap_or_else(|_| home.clone());
        for home in [clean(&home), resolved] {
            if home.is_absolute() && !NEVER_HIDDEN.iter().any(|dir| home == Path::new(dir)) {
                push_new(&mut homes, home);
            }
        }
    }
    homes
}

/// PATH without relative and missing entries: those would mean something else inside.
fn search_path(environment: &Environment) -> Vec<PathBuf> {
    let default = OsString::from("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    let path = environment.variable("PATH").unwrap_or(&default);
    let mut folders = Vec::new();
    for entry in path.as_bytes().split(|&byte| byte == b':') {
        let folder = PathBuf::from(OsString::from_vec(entry.to_vec()));
        if folder.is_absolute() && folder.is_dir() {
            push_new(&mut folders, clean(&folder));
        }
    }
    folders
}

/// What to show so that the programs in this folder of PATH work; empty when nothing hides it.
fn tool_roots(folder: &Path, hidden: &[PathBuf], homes: &[PathBuf]) -> Vec<PathBuf> {
    let Some(cover) = hidden.iter().filter(|dir| folder.starts_with(dir)).max_by_key(|dir| {
        // A home below /home is the nearer cover: tool roots are relative to a home.
        dir.components().count()
    }) else {
        return Vec::new();
    };
    if hidden.iter().any(|dir| dir.starts_with(folder)) {
        return Vec::new();
    }
    let home = homes.iter().find(|home| folder.starts_with(home)).unwrap_or(cover);
    if let Ok(below) = folder.strip_prefix(home)
        && let Some((_, shown)) = TOOL_ROOTS.iter().find(|(entry, _)| below.starts_with(entry))
    {
        return shown.iter().map(|dir| home.join(dir)).filter(|dir| dir.exists()).collect();
    }
    // A Python or conda environment is its `bin` and the library beside it.
    if let Some(parent) = folder.parent()
        && (parent.join("pyvenv.cfg").exists() || parent.join("conda-meta").exists())
    {
        return vec![parent.to_path_buf()];
    }
    vec![folder.to_path_buf()]
}

/// Removes `.` and `..` by name, without asking the file system.
#[must_use]
pub fn clean(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

fn push_new(list: &mut Vec<PathBuf>, item: PathBuf) {
    if !list.contains(&item) {
        list.push(item);
    }
}

#[cfg(test)]
#[path = "view/tests.rs"]
mod tests;
