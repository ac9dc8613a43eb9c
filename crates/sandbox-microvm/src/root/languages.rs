//! What interpreters read beside their program: their libraries, which no ELF file names.

use std::fs;
use std::path::{Path, PathBuf};

/// Programs whose name starts like this read these trees. A `*` stands for the rest of a name.
const TREES: &[(&str, &[&str])] = &[
    (
        "python",
        &["/usr/lib/python3.*", "/usr/lib/python3", "/usr/local/lib/python3.*", "/etc/python3*"],
    ),
    (
        "perl",
        &[
            "/usr/share/perl*",
            "/usr/lib/x86_64-linux-gnu/perl*",
            "/etc/perl",
            "/usr/local/share/perl",
        ],
    ),
    ("node", &["/usr/share/nodejs", "/usr/lib/node_modules", "/usr/lib/x86_64-linux-gnu/nodejs"]),
    ("npm", &["/usr/share/nodejs", "/usr/share/npm", "/usr/lib/node_modules"]),
    ("ruby", &["/usr/lib/ruby", "/var/lib/gems", "/usr/lib/x86_64-linux-gnu/ruby"]),
    ("java", &["/usr/lib/jvm", "/etc/java-*"]),
    ("lua", &["/usr/share/lua*", "/usr/share/luajit*", "/usr/lib/x86_64-linux-gnu/lua"]),
    ("php", &["/usr/lib/php", "/usr/share/php", "/etc/php"]),
    (
        "gcc",
        &["/usr/lib/gcc", "/usr/include", "/usr/lib/x86_64-linux-gnu/crt*", "/usr/libexec/gcc"],
    ),
    ("git", &["/usr/lib/git-core", "/usr/share/git-core"]),
    ("bash", &["/etc/bash.bashrc"]),
];

/// The trees of a program, as far as this host has them.
pub(super) fn trees(program: &Path) -> Vec<PathBuf> {
    let name = program.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let name = if matches!(name, "cc" | "c++" | "g++" | "cpp") || name.contains("-gcc") {
        "gcc"
    } else {
        name
    };
    TREES
        .iter()
        .filter(|(start, _)| name.starts_with(start))
        .flat_map(|(_, trees)| trees.iter().flat_map(|pattern| expand(Path::new(pattern))))
        .collect()
}

/// What a path stands for; only its last part may have a star, at its end.
fn expand(pattern: &Path) -> Vec<PathBuf> {
    let name = pattern.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let Some(start) = name.strip_suffix('*') else {
        return if pattern.exists() { vec![pattern.to_owned()] } else { Vec::new() };
    };
    let Some(folder) = pattern.parent() else { return Vec::new() };
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(|name| name.starts_with(start)))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn a_star_stands_for_the_rest_of_a_name() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["p3.1", "p3.2", "q"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let found = super::expand(&dir.path().join("p3.*"));
        assert_eq!(found, [dir.path().join("p3.1"), dir.path().join("p3.2")]);
        assert!(super::expand(Path::new("/nonexistent/x")).is_empty());
    }
}
