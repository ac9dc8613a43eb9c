//! Where compiled rules are kept between runs: compiling them takes longer than most runs do.
//!
//! What is kept is machine code that this program will execute, so the folder is used only where
//! nobody but this user can write to it: for root below /var/cache, whatever HOME says (`sudo` may
//! keep that of somebody else), for others below their own cache folder. Where there is none, rules
//! are compiled anew, which costs time and nothing else.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rules::Cache;

use crate::environment::Environment;

const SYSTEM: &str = "/var/cache";
const NAME: &str = "shieldx";
/// For its owner alone.
const MODE: u32 = 0o700;

static PARENT: OnceLock<Option<PathBuf>> = OnceLock::new();

/// Tells once, before rules are asked for, where caches of this user are.
pub fn keep_in_cache_of(environment: &Environment) {
    let named = |name: &str| {
        let value = environment.variable(name).map(PathBuf::from);
        value.filter(|path| path.is_absolute())
    };
    let parent = if rustix::process::geteuid().is_root() {
        Some(PathBuf::from(SYSTEM))
    } else {
        named("XDG_CACHE_HOME").or_else(|| Some(named("HOME")?.join(".cache")))
    };
    // Whoever was first decided.
    let _ = PARENT.set(parent);
}

/// The cache of this process, with a folder where there may be one.
pub(super) fn cache() -> Arc<Cache> {
    static CACHE: OnceLock<Arc<Cache>> = OnceLock::new();
    let made = CACHE.get_or_init(|| {
        let folder = PARENT.get().and_then(Option::as_deref).and_then(own_folder);
        Arc::new(folder.map_or_else(Cache::new, Cache::in_folder))
    });
    Arc::clone(made)
}

/// Our folder in this one, made where it is missing; `None` when it cannot be, or is not ours alone.
fn own_folder(parent: &Path) -> Option<PathBuf> {
    let folder = parent.join(NAME);
    // One that is there already is looked at like a new one.
    let _ = DirBuilder::new().mode(MODE).create(&folder);
    let ours = |path: &Path, mode: u32| {
        let meta = fs::symlink_metadata(path).ok();
        meta.is_some_and(|meta| {
            meta.is_dir()
                && meta.uid() == rustix::process::geteuid().as_raw()
                && meta.mode() & 0o7777 & !mode == 0
        })
    };
    // Who may write to the parent could put another folder in its place.
    (ours(&folder, MODE) && ours(parent, 0o755)).then_some(folder)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::own_folder;

    #[test]
    fn a_folder_that_others_can_write_to_is_not_used() {
        let parent = tempfile::tempdir().unwrap();
        let made = own_folder(parent.path()).unwrap();
        assert_eq!(fs::metadata(&made).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(own_folder(parent.path()).as_ref(), Some(&made));
        fs::set_permissions(&made, fs::Permissions::from_mode(0o770)).unwrap();
        assert_eq!(own_folder(parent.path()), None, "a group may write to it");
        fs::set_permissions(&made, fs::Permissions::from_mode(0o700)).unwrap();
        fs::set_permissions(parent.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        assert_eq!(own_folder(parent.path()), None, "somebody else could have made it");
    }

    #[test]
    fn a_link_or_nothing_at_all_is_no_folder() {
        let parent = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        symlink(elsewhere.path(), parent.path().join("shieldx")).unwrap();
        assert_eq!(own_folder(parent.path()), None);
        assert_eq!(own_folder(&parent.path().join("absent")), None);
    }
}
