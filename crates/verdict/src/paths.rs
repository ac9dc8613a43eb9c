//! Questions about path names, as text: where a file lives and what it is called.
//!
//! Nothing here touches a file system; a path is judged by its letters after `.`, `..` and the
//! detours through `/proc/<pid>/root` are taken out.

use std::borrow::Cow;

use types::Text;

/// The path for matching: valid text, without detours.
pub(crate) fn clean(path: &Text) -> Cow<'_, str> {
    match path.to_lossy() {
        Cow::Borrowed(path) => normal(path),
        Cow::Owned(path) => Cow::Owned(normal(&path).into_owned()),
    }
}

/// Takes `//`, `/./`, `/../`, `/proc/self/root` and ` (deleted)` out of an absolute path.
pub(crate) fn normal(path: &str) -> Cow<'_, str> {
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    let path = behind_proc_root(path);
    if !path.starts_with('/') || !(path.contains("//") || path.contains("/.")) {
        return Cow::Borrowed(path);
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let mut clean = String::with_capacity(path.len());
    for part in &parts {
        clean.push('/');
        clean.push_str(part);
    }
    if clean.is_empty() {
        clean.push('/');
    }
    Cow::Owned(clean)
}

fn behind_proc_root(path: &str) -> &str {
    let Some((who, rest)) = path.strip_prefix("/proc/").and_then(|rest| rest.split_once('/'))
    else {
        return path;
    };
    let is_task = who == "self" || who.bytes().all(|b| b.is_ascii_digit());
    match rest.strip_prefix("root") {
        Some(inner) if is_task && inner.starts_with('/') => inner,
        _ => path,
    }
}

/// The last component.
pub(crate) fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Everything before the last component, without its slash.
pub(crate) fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// A program's name without its version: `python3.13` → `python`, `nc.openbsd` → `nc`.
pub(crate) fn versionless(name: &str) -> &str {
    let name = ["nc.", "awk."]
        .iter()
        .find_map(|start| name.starts_with(start).then(|| &name[..start.len() - 1]))
        .unwrap_or(name);
    let bare = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let bare = bare.strip_suffix('-').unwrap_or(bare);
    if bare.is_empty() { name } else { bare }
}

/// Whether `path` is `folder` or below it.
pub(crate) fn under(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || folder.ends_with('/'))
}

pub(crate) fn under_any(path: &str, folders: &[&str]) -> bool {
    folders.iter().any(|folder| under(path, folder))
}

/// The part behind a home folder: `/home/ann/.ssh/id` → `.ssh/id`.
pub(crate) fn in_home(path: &str) -> Option<&str> {
    if let Some(rest) = path.strip_prefix("/root/") {
        return Some(rest);
    }
    let rest = path.strip_prefix("/home/").or_else(|| path.strip_prefix("/var/home/"))?;
    rest.split_once('/').map(|(_, rest)| rest)
}

/// The part behind the first `/.name/` or `/.name` that starts a dot file or folder of a home,
/// wherever that home is: `/x/.aws/credentials` → `.aws/credentials`.
pub(crate) fn dot_part(path: &str) -> Option<&str> {
    path.find("/.").map(|at| &path[at + 1..])
}

/// Where programs live that the sample did not bring.
const SYSTEM: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/opt",
    "/snap",
    "/nix/store",
    "/etc/alternatives",
];

/// Folders in which version managers and language tools keep programs for one user.
const TOOLCHAINS: &[&str] = &[
    "/.cargo/",
    "/.rustup/",
    "/.nvm/",
    "/.pyenv/",
    "/.rbenv/",
    "/.sdkman/",
    "/.volta/",
    "/.asdf/",
    "/.local/share/mise/",
    "/.local/share/uv/",
    "/.bun/",
    "/.deno/",
    "/.nodenv/",
    "/.goenv/",
    "/go/pkg/mod/golang.org/toolchain",
    "/.conda/",
    "/miniconda3/",
    "/anaconda3/",
    "/.dotnet/",
    "/.ghcup/",
    "/.opam/",
    "/.julia/",
    "/.juliaup/",
];

pub(crate) fn is_system(path: &str) -> bool {
    under_any(path, SYSTEM)
}

pub(crate) fn is_toolchain(path: &str) -> bool {
    TOOLCHAINS.iter().any(|part| path.contains(part))
}

/// Folders anyone can write to.
pub(crate) fn is_scratch(path: &str) -> bool {
    under_any(path, &["/tmp", "/var/tmp", "/dev/shm", "/run/shm", "/run/user"])
}

/// The pid in `/proc/<pid>/rest` and what follows; `None` for names like `self`.
pub(crate) fn proc_entry(path: &str) -> Option<(u32, &str)> {
    let (pid, rest) = path.strip_prefix("/proc/")?.split_once('/')?;
    Some((pid.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::{dot_part, in_home, normal, under, versionless};

    #[test]
    fn detours_are_taken_out() {
        for (path, expect) in [
            ("/etc/./shadow", "/etc/shadow"),
            ("//etc//shadow", "/etc/shadow"),
            ("/tmp/../etc/shadow", "/etc/shadow"),
            ("/proc/self/root/etc/shadow", "/etc/shadow"),
            ("/proc/17/root/etc/shadow", "/etc/shadow"),
            ("/tmp/x (deleted)", "/tmp/x"),
            ("/../..", "/"),
            ("/home/a/.ssh/id", "/home/a/.ssh/id"),
            ("relative/../x", "relative/../x"),
        ] {
            assert_eq!(normal(path), expect);
        }
    }

    #[test]
    fn program_names_lose_their_versions() {
        for (name, expect) in [
            ("python3.13", "python"),
            ("python3", "python"),
            ("perl5.36.0", "perl"),
            ("gcc-12", "gcc"),
            ("nc.traditional", "nc"),
            ("base64", "base"),
            ("7", "7"),
            ("sh", "sh"),
        ] {
            assert_eq!(versionless(name), expect);
        }
    }

    #[test]
    fn places() {
        assert!(under("/usr/bin/x", "/usr") && !under("/usrlocal", "/usr"));
        assert_eq!(in_home("/home/ann/.ssh/id"), Some(".ssh/id"));
        assert_eq!(in_home("/home/ann"), None);
        assert_eq!(dot_part("/srv/x/.aws/credentials"), Some(".aws/credentials"));
    }
}
