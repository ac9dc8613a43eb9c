//! Which folders of a home stay visible, tried on made-up homes.

use std::path::{Path, PathBuf};

use sandbox::Mount;

use super::{View, clean};
use crate::environment::Environment;

fn home_with(folders: &[&str]) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    for folder in folders {
        std::fs::create_dir_all(home.path().join(folder)).unwrap();
    }
    home
}

fn view(home: &Path, path: &str, more: &[(&str, &str)]) -> View {
    let mut variables = vec![("HOME".into(), home.into()), ("PATH".into(), path.into())];
    variables.extend(more.iter().map(|(key, value)| ((*key).into(), (*value).into())));
    let environment = Environment { variables, ..Environment::default() };
    View::new(&environment, PathBuf::from("/usr"), Vec::new())
}

#[test]
fn a_home_is_hidden_except_for_the_tools_that_path_names() {
    let home = home_with(&[".cargo/bin", ".rustup", ".ssh", ".pyenv/shims", "mybin"]);
    let root = home.path();
    let path = format!(
        "{0}/.cargo/bin:{0}/.pyenv/shims:{0}/mybin:/usr/bin:relative:/nowhere",
        root.display()
    );
    let view = view(root, &path, &[]);
    for shown in [".cargo/bin/cargo", ".rustup/x", ".pyenv/versions/3", "mybin/tool"] {
        assert!(view.shows(&root.join(shown)), "{shown}");
    }
    for hidden in [".ssh/id_rsa", ".cargo/credentials.toml", "notes.txt", ""] {
        assert!(!view.shows(&root.join(hidden)), "{hidden}");
    }
    assert!(view.shows(Path::new("/usr/bin/ls")));
    assert!(!view.shows(Path::new("/root/x")) && !view.shows(Path::new("/home/x/y")));
    let told: Vec<_> = view.locations.iter().map(|(key, _)| key.to_str().unwrap()).collect();
    assert_eq!(told, ["RUSTUP_HOME", "PYENV_ROOT"]);
    assert!(view.path.iter().all(|folder| folder.is_absolute()) && view.path.len() == 4);
}

#[test]
fn a_virtual_environment_is_shown_whole() {
    let home = home_with(&["project/.venv/bin", "project/secrets"]);
    let root = home.path();
    std::fs::write(root.join("project/.venv/pyvenv.cfg"), "").unwrap();
    let view = view(root, &format!("{}/project/.venv/bin:/usr/bin", root.display()), &[]);
    assert!(view.shows(&root.join("project/.venv/lib/python3/site.py")));
    assert!(!view.shows(&root.join("project/secrets")));
}

#[test]
fn a_location_variable_cannot_uncover_the_home_itself() {
    let home = home_with(&["go"]);
    let root = home.path().display().to_string();
    let view = view(home.path(), "/usr/bin", &[("GOROOT", &root), ("JAVA_HOME", "/usr")]);
    assert!(!view.shows(home.path()));
    let told: Vec<_> = view.locations.iter().map(|(key, _)| key.to_str().unwrap()).collect();
    assert_eq!(told, ["JAVA_HOME"]);
}

#[test]
fn a_placeholder_home_does_not_hide_the_system() {
    for home in ["/", "/usr", "/nonexistent", "/usr/"] {
        let view = view(Path::new(home), "/usr/bin", &[]);
        assert!(view.shows(Path::new("/usr/bin/env")), "{home}");
    }
}

#[test]
fn mounts_and_the_working_folder_are_seen() {
    let environment = Environment { variables: vec![], ..Environment::default() };
    let mounts = vec![Mount {
        source: PathBuf::from("/srv/data"),
        target: PathBuf::from("/root/data"),
        writable: false,
    }];
    let view = View::new(&environment, PathBuf::from("/root/project"), mounts);
    assert!(view.shows(Path::new("/root/project/src")));
    assert!(view.shows(Path::new("/root/data/file")));
    assert!(!view.shows(Path::new("/root/project2")));
    assert_eq!(view.on_host(Path::new("/root/data/./a")), Path::new("/srv/data/a"));
    assert_eq!(view.on_host(Path::new("/root/data")), Path::new("/srv/data"));
    assert_eq!(view.on_host(Path::new("/etc/passwd")), Path::new("/etc/passwd"));
}

#[test]
fn a_working_folder_above_a_hidden_one_does_not_uncover_it() {
    let home = home_with(&[".ssh"]);
    let mut view = view(home.path(), "/usr/bin", &[]);
    for (cwd, uncovers) in [
        (home.path().to_path_buf(), true),
        (home.path().parent().unwrap().to_path_buf(), true),
        (home.path().join("project"), false),
        (PathBuf::from("/"), false),
        (PathBuf::from("/usr"), false),
    ] {
        view.cwd = cwd;
        assert_eq!(view.uncovered_by_cwd().is_some(), uncovers, "{:?}", view.cwd);
    }
    view.cwd = PathBuf::from("/tmp");
    assert!(!view.shows(Path::new("/tmp/x")), "the host's /tmp is never shown");
}

#[test]
fn cleaning_never_climbs_above_the_root() {
    assert_eq!(clean(Path::new("/a/../../b/./c")), Path::new("/b/c"));
}
