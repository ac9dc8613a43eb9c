//! The cgroup hierarchies of this host, and where a process is in them.

use std::fs;
use std::path::PathBuf;

/// One cgroup mount of this host.
pub(super) struct Hierarchy {
    /// Empty for v2.
    pub controllers: Vec<String>,
    pub mount: PathBuf,
    /// The part of the hierarchy that the mount shows.
    pub root: String,
}

/// This process' group in a hierarchy, as a path below its mount.
pub(super) fn own_group(hierarchy: &Hierarchy, own: &str) -> PathBuf {
    let line = own.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let same = if hierarchy.controllers.is_empty() {
            controllers.is_empty()
        } else {
            controllers.split(',').any(|c| hierarchy.controllers.iter().any(|h| h == c))
        };
        same.then_some(path)
    });
    let path = line.unwrap_or("/");
    let below = path.strip_prefix(hierarchy.root.as_str()).unwrap_or(path);
    hierarchy.mount.join(below.trim_start_matches('/'))
}

/// The cgroup mounts of this mount namespace, from mountinfo (proc(5)).
pub(super) fn hierarchies() -> Vec<Hierarchy> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mut found: Vec<Hierarchy> = Vec::new();
    for line in text.lines() {
        let Some((left, right)) = line.split_once(" - ") else { continue };
        let left: Vec<&str> = left.split(' ').collect();
        let right: Vec<&str> = right.split(' ').collect();
        let (Some(&root), Some(&mount), Some(&kind)) = (left.get(3), left.get(4), right.first())
        else {
            continue;
        };
        let controllers: Vec<String> = match kind {
            "cgroup2" => Vec::new(),
            "cgroup" => right
                .get(2)
                .map_or_else(Vec::new, |options| options.split(',').map(str::to_owned).collect()),
            _ => continue,
        };
        if found.iter().any(|h| h.controllers == controllers) {
            continue;
        }
        let root = if root == "/" { String::new() } else { root.to_owned() };
        found.push(Hierarchy { controllers, mount: PathBuf::from(mount), root });
    }
    found
}
