//! Rights that were given away or taken: setuid bits, file capabilities, ids, and the search for
//! programs that have them.

use types::Kind;

use crate::attack::{BRUTE_FORCE, FILE_DISCOVERY, PERMISSIONS, SETUID_SETGID, SUDO_CACHING};
use crate::detector::{Detector, Finding, Hits, Info, TierC};
use crate::paths;
use crate::timeline::Timeline;

pub(crate) const ALL: &[Detector] = &[
    Detector {
        info: Info {
            id: "setuid-bit",
            title: "Setuid or setgid bit set",
            attack: SETUID_SETGID,
            looks_for: "chmod to a setuid mode, or a new file that carries one, not by an archiver",
            needs: &["chmod", "file_changed", "exec"],
            tier_c: TierC::Sees,
        },
        find: setuid_bit,
    },
    Detector {
        info: Info {
            id: "file-capability",
            title: "Capabilities granted to a file",
            attack: SETUID_SETGID,
            looks_for: "the attribute security.capability set, or setcap(8)",
            needs: &["set_xattr", "exec"],
            tier_c: TierC::Sees,
        },
        find: file_capability,
    },
    Detector {
        info: Info {
            id: "become-root",
            title: "Attempt to become root",
            attack: SETUID_SETGID,
            looks_for: "set*uid to 0, or capset, by a program of the sample's that is not root",
            needs: &["set_ids", "syscall"],
            tier_c: TierC::Sees,
        },
        find: become_root,
    },
    Detector {
        info: Info {
            id: "privileged-file-search",
            title: "Search for programs with special rights",
            attack: FILE_DISCOVERY,
            looks_for: "find for setuid or writable files across the system, or getcap over it",
            needs: &["exec"],
            tier_c: TierC::Sees,
        },
        find: search,
    },
    Detector {
        info: Info {
            id: "sudo-probe",
            title: "sudo tried without a person",
            attack: SUDO_CACHING,
            looks_for: "sudo asked what it would allow or given passwords by a pipe, or its rules read",
            needs: &["exec"],
            tier_c: TierC::Sees,
        },
        find: sudo_probe,
    },
    Detector {
        info: Info {
            id: "password-guessing",
            title: "Passwords guessed",
            attack: BRUTE_FORCE,
            looks_for: "many su or sudo calls in a row, or a tool made for guessing",
            needs: &["exec"],
            tier_c: TierC::Sees,
        },
        find: guessing,
    },
    Detector {
        info: Info {
            id: "file-attributes",
            title: "Files made immutable or opened to everybody",
            attack: PERMISSIONS,
            looks_for: "chattr of the immutable flag, or system files made writable for everybody",
            needs: &["exec", "chmod"],
            tier_c: TierC::Sees,
        },
        find: attributes,
    },
];

/// Programs that restore modes that somebody recorded elsewhere.
const RESTORERS: &[&str] = &[
    "tar",
    "bsdtar",
    "cp",
    "rsync",
    "dpkg",
    "dpkg-deb",
    "dpkg-statoverride",
    "rpm",
    "cpio",
    "unsquashfs",
    "debootstrap",
    "mmdebstrap",
    "apk",
    "pacman",
    "ostree",
    "restic",
    "borg",
];

const SETUID: u32 = 0o4000;
const SETGID: u32 = 0o2000;
const GROUP_EXECUTE: u32 = 0o010;

fn setuid_bit(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for (index, event) in timeline.events.iter().enumerate() {
        let (path, mode) = match &event.kind {
            Kind::Chmod { path, mode } => (path, *mode),
            Kind::FileChanged(change) if change.file_type == "file" => (&change.path, change.mode),
            _ => continue,
        };
        let path = paths::clean(path);
        if timeline.image(index).is_trusted(RESTORERS) {
            continue;
        }
        let after_run = matches!(event.kind, Kind::FileChanged(_));
        let written = timeline.written_before(&path, index).is_some();
        if mode & SETUID != 0 && (!after_run || !restored(timeline, &path)) {
            hits.add(index, 18, &path);
        } else if mode & SETGID != 0 && mode & GROUP_EXECUTE != 0 && written && !after_run {
            // On folders the bit only hands the group down; only files the run wrote count.
            hits.add(index, 14, &path);
        }
    }
    for image in timeline.attempted().filter(|image| image.is(&["chmod", "install"])) {
        let sets = image.args().any(|arg| {
            let digits = arg.trim_start_matches("-m").trim_start_matches("--mode=");
            // `g+s` hands a folder's group down; with `x` it is meant for a program.
            let group = arg.split_once('+').is_some_and(|(who, bits)| {
                who.contains('g') && bits.contains('s') && bits.contains('x')
            });
            group
                || matches!(
                    arg,
                    "u+s"
                        | "+s"
                        | "ug+s"
                        | "u=rwxs"
                        | "a+s"
                        | "u+xs"
                        | "u+sx"
                        | "u=srwx"
                        | "+xs"
                        | "+sx"
                )
                || (digits.len() == 4
                    && digits.starts_with(['4', '6'])
                    && digits.bytes().all(|b| (b'0'..=b'7').contains(&b)))
        });
        if sets {
            hits.add(image.event, 18, image.operands().last().unwrap_or(image.exact_name()));
        }
    }
    hits.finding("set on ")
}

/// Whether a restoring program wrote the file.
fn restored(timeline: &Timeline<'_>, path: &str) -> bool {
    timeline.touches_of(path).any(|touch| timeline.image(touch.event).is_trusted(RESTORERS))
}

fn file_capability(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for (index, event) in timeline.events.iter().enumerate() {
        if let Kind::SetXattr { path, name } = &event.kind
            && name.as_bytes() == b"security.capability"
            && !timeline.image(index).is_trusted(RESTORERS)
        {
            hits.add(index, 18, &paths::clean(path));
        }
    }
    for image in timeline.attempted().filter(|image| image.is(&["setcap"])) {
        if image.operands().count() >= 2 && !image.has_arg(&["-r", "-v"]) {
            hits.add(image.event, 18, image.operands().last().unwrap_or("setcap"));
        }
    }
    hits.finding("granted to ")
}

fn become_root(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for (index, event) in timeline.events.iter().enumerate() {
        let image = timeline.image(index);
        if event.task.uid == 0 || !image.is_own_will() || image.is_package_tool() {
            continue;
        }
        match &event.kind {
            Kind::SetIds { call, ids } if ids.contains(&0) && call != "setgroups" => {
                hits.add(index, 15, call);
            }
            Kind::Syscall { call, .. }
                if call == "capset" && event.ret.is_none_or(|ret| ret < 0) =>
            {
                hits.add(index, 15, call);
            }
            _ => {}
        }
    }
    hits.finding("tried by ")
}

fn search(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for image in timeline.attempted() {
        let by_find = image.is(&["find"])
            && image.args().skip_while(|arg| *arg != "-perm").nth(1).is_some_and(|mode| {
                mode.contains("4000")
                    || mode.contains("6000")
                    || mode.contains("2000")
                    || mode.contains("u=s")
                    || mode.contains("g=s")
                    || mode.contains("u+s")
                    || mode.contains("+s")
                    || mode.ends_with("7000")
            });
        let writable = image.is(&["find"])
            && image.has_arg(&["-writable", "-o+w"])
            && image.operands().next() == Some("/");
        let open_to_all = image.is(&["find"])
            && image.operands().next() == Some("/")
            && image.args().skip_while(|arg| *arg != "-perm").nth(1).is_some_and(|mode| {
                let digits = mode.trim_start_matches(['-', '/']).trim_start_matches('0');
                matches!(digits, "2" | "222" | "333" | "666" | "777" | "o+w" | "o=w")
            });
        let by_getcap = image.is(&["getcap"]) && image.has_arg(&["-r"]);
        if by_find || writable || open_to_all || by_getcap {
            hits.add(image.event, 14, image.exact_name());
        }
    }
    hits.finding("search by ")
}

fn sudo_probe(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for image in timeline.attempted().filter(|image| image.is(&["sudo"])) {
        let flags: String = image
            .args()
            .take_while(|arg| arg.starts_with('-'))
            .filter(|arg| !arg.starts_with("--"))
            .flat_map(|arg| arg.chars().skip(1))
            .collect();
        let asks = flags.contains('l') || image.has_arg(&["--list"]);
        if (asks && flags.contains('n')) || flags.contains('S') {
            hits.add(image.event, 10, "sudo");
        }
    }
    let rules = |path: &str| path.ends_with("/etc/sudoers") || path.contains("/etc/sudoers.d/");
    for read in timeline.reads.iter().filter(|read| rules(&read.path)) {
        let image = timeline.image(read.event);
        if !image.is_trusted(&["sudo", "visudo", "cvtsudoers"]) && !image.is_package_tool() {
            let named = image.args().any(rules)
                || timeline.attempted().any(|i| i.event == read.event && i.args().any(rules));
            // Whoever walks a tree meets the rules without having looked for them.
            if named || image.is_own_will() {
                hits.add(read.event, 13, &read.path);
            }
        }
    }
    hits.finding("asked by ")
}

fn guessing(timeline: &Timeline<'_>) -> Option<Finding> {
    const CALLS_MIN: usize = 5;
    const TOOLS: &[&str] =
        &["hydra", "medusa", "ncrack", "patator", "thc-hydra", "crowbar", "sucrack", "brutespray"];
    let mut hits = Hits::default();
    for image in timeline.attempted().filter(|image| image.is(TOOLS) && !image.only_asks()) {
        hits.add(image.event, 15, image.exact_name());
    }
    let calls: Vec<usize> = timeline
        .attempted()
        .filter(|image| image.is(&["su", "sudo", "sshpass"]) && !image.only_asks())
        .filter(|image| image.is(&["su", "sshpass"]) || image.has_arg(&["-S", "-kS", "-Sk"]))
        .map(|image| image.event)
        .collect();
    // A shell that was told to try a list, and has nothing to try it with.
    for image in timeline.attempted().filter(|image| image.is(&["sshpass"]) && !image.happened) {
        let shell = timeline.executed().find(|shell| shell.event == image.event);
        let loops = shell.and_then(crate::timeline::Image::told).is_some_and(|text| {
            ["for ", "while "].iter().any(|word| {
                text.starts_with(word)
                    || text.contains(&format!("\n{word}"))
                    || text.contains(&format!("; {word}"))
            })
        });
        if loops && image.args().any(|arg| arg.contains(['$', '`'])) {
            hits.add(image.event, 14, "a list of passwords");
        }
    }
    if calls.len() >= CALLS_MIN {
        calls.into_iter().for_each(|event| hits.add(event, 16, "repeated logins"));
    }
    hits.finding("by ")
}

fn attributes(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for image in timeline.attempted().filter(|image| image.is(&["chattr"])) {
        let immutable = image.args().any(|arg| {
            arg.starts_with(['+', '-', '='])
                && arg.contains(['i', 'a'])
                && !arg.starts_with("--")
                && arg != "-R"
        });
        if immutable {
            hits.add(image.event, 13, image.args().last().unwrap_or("chattr"));
        }
    }
    for (index, event) in timeline.events.iter().enumerate() {
        if let Kind::Chmod { path, mode } = &event.kind
            && mode & 0o002 != 0
            && mode & 0o1000 == 0
            && paths::under_any(
                &paths::clean(path),
                &["/etc", "/usr", "/bin", "/sbin", "/lib", "/boot"],
            )
        {
            hits.add(index, 13, &paths::clean(path));
        }
    }
    hits.finding("changed: ")
}
