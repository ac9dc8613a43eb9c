//! Ids of a run under root: a range of host ids that nothing else uses, and the user namespaces
//! that translate into it.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::rootfs::{INSIDE_IDS, INSIDE_UID, Ids, Owner};
use crate::spec::Spec;
use crate::sys::{self, Fork};

/// Ranges start here and end below 2^31, as systemd-nspawn's do, away from people and services.
const BASE_FIRST: u32 = 0x1000_0000;
const RANGES: u32 = 0x6000;

/// Makes the run's ids. The range comes from the supervisor's pid, which no other run has now.
pub(crate) fn make(spec: &Spec, prepared: Option<OwnedFd>) -> io::Result<Ids> {
    let base = base();
    let shifted = prepared.map_or_else(shifted, Ok)?;
    let mut owners: Vec<Owner> = Vec::new();
    for path in spec.tools.iter().chain([&spec.cwd]) {
        let Ok(meta) = fs::metadata(path) else { continue };
        let (uid, gid) = (meta.uid(), meta.gid());
        if !owners.iter().any(|owner| owner.uid == uid && owner.gid == gid) {
            let map = user_namespace(&swapped(base, uid), &swapped(base, gid))?;
            owners.push(Owner { uid, gid, map });
        }
    }
    Ok(Ids { base, shifted, owners })
}

/// The user namespace that shifts every id into the range. It knows nothing of a spec.
pub(crate) fn shifted() -> io::Result<OwnedFd> {
    let shift = format!("0 {} {INSIDE_IDS}\n", base());
    user_namespace(&shift, &shift)
}

fn base() -> u32 {
    BASE_FIRST + (std::process::id() % RANGES) * INSIDE_IDS
}

/// The map that shifts every id but lets `owner` and the command's user change places.
fn swapped(base: u32, owner: u32) -> String {
    let user = INSIDE_UID;
    if owner == user {
        return format!("0 {base} {INSIDE_IDS}\n");
    }
    let (low, high) = (owner.min(user), owner.max(user));
    let mut lines = String::new();
    let mut range = |from: u32, to: u32, start: u32| {
        if to > from {
            lines.push_str(&format!("{from} {start} {}\n", to - from));
        }
    };
    let partner = if low == owner { high } else { low };
    if high < INSIDE_IDS {
        range(0, low, base);
        range(low, low + 1, base + high);
        range(low + 1, high, base + low + 1);
        range(high, high + 1, base + low);
        range(high + 1, INSIDE_IDS, base + high + 1);
    } else {
        range(0, partner, base);
        range(partner + 1, INSIDE_IDS, base + partner + 1);
        range(owner, owner.saturating_add(1), base + user);
    }
    lines
}

/// A user namespace with these maps, held by its descriptor alone.
fn user_namespace(uid_map: &str, gid_map: &str) -> io::Result<OwnedFd> {
    let (ready_read, ready_write) = sys::pipe()?;
    let (hold_read, hold_write) = sys::pipe()?;
    let child = match sys::fork()? {
        Fork::Child => {
            drop((ready_read, hold_write));
            let made = sys::unshare(libc::CLONE_NEWUSER).is_ok();
            let _ = sys::write_all(ready_write.as_fd(), &[u8::from(made)]);
            let _ = sys::read(hold_read.as_fd(), &mut [0]);
            sys::exit_now(0)
        }
        Fork::Parent(pid) => pid,
    };
    drop((ready_write, hold_read));
    let mut made = [0];
    let result = sys::read(ready_read.as_fd(), &mut made).and_then(|_| {
        if made != [1] {
            return Err(io::Error::from_raw_os_error(libc::EPERM));
        }
        let proc = Path::new("/proc").join(child.to_string());
        fs::write(proc.join("uid_map"), uid_map)?;
        fs::write(proc.join("gid_map"), gid_map)?;
        Ok(fs::File::open(proc.join("ns/user"))?.into())
    });
    drop(hold_write);
    let _ = sys::wait(child, 0);
    result
}

#[cfg(test)]
mod tests {
    use super::swapped;

    #[test]
    fn owner_and_user_change_places_and_everyone_else_shifts() {
        assert_eq!(swapped(100_000, 1000), "0 100000 65536\n");
        assert_eq!(
            swapped(100_000, 0),
            "0 101000 1\n1 100001 999\n1000 100000 1\n1001 101001 64535\n"
        );
        assert_eq!(swapped(100_000, 70_000), "0 100000 1000\n1001 101001 64535\n70000 101000 1\n");
    }
}
