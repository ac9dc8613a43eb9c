//! Files through which something starts again by itself: schedulers, services, logins, loaders.
//!
//! One table, one rule: a place was written, or somebody tried to, and not by the program whose job
//! that is. Reading these places is nobody's concern here.

mod places;

use crate::attack::{ACCOUNT_MANIPULATION, Attack, DATA_MANIPULATION};
use crate::attack::{
    AT, AUTHORIZED_KEYS, BOOTKIT, CRON, DOMAIN_ACCOUNT, EVENT_TRIGGERED, HOST_BINARY,
    INSTALLER_PACKAGES, KERNEL_MODULES, LINKER_HIJACKING, LOCAL_ACCOUNT, MODIFY_AUTHENTICATION,
    PATH_INTERCEPTION, PYTHON_HOOKS, RC_SCRIPTS, ROOT_CERTIFICATE, SHELL_CONFIGURATION,
    SUDO_CACHING, SYSTEMCTL, SYSTEMD_SERVICE, SYSTEMD_TIMERS, UDEV_RULES, WEB_SHELL, XDG_AUTOSTART,
};
use crate::detector::{Detector, Finding, Hits, Info, TierC};
use crate::paths;
use crate::timeline::{Image, Timeline};

/// Package managers put files into every place below.
const INSTALLERS: &[&str] = &[
    "dpkg",
    "dpkg-deb",
    "rpm",
    "apk",
    "pacman",
    "update-alternatives",
    "debootstrap",
    "mmdebstrap",
    "update-rc.d",
    "deb-systemd-helper",
    "ldconfig",
    "snapd",
    "rpm2cpio",
];

const NEEDS: &[&str] = &["open", "write", "rename", "link", "truncate", "file_changed"];

const fn place(
    id: &'static str,
    title: &'static str,
    attack: Attack,
    looks_for: &'static str,
    find: fn(&Timeline<'_>) -> Option<Finding>,
) -> Detector {
    Detector {
        info: Info { id, title, attack, looks_for, needs: NEEDS, tier_c: TierC::Sees },
        find,
    }
}

pub(crate) const ALL: &[Detector] = &[
    place(
        "cron-job",
        "Cron job installed",
        CRON,
        "a write to the system's or a user's crontab, or crontab(1) given a new table",
        cron,
    ),
    place(
        "at-job",
        "Job queued for later",
        AT,
        "at(1) or batch(1) given a job, or a write to their spool",
        at,
    ),
    place(
        "systemd-unit",
        "systemd unit installed",
        SYSTEMD_SERVICE,
        "a write to the folders of systemd units, of the system or of a user",
        |t| writes(t, 18, "unit", places::systemd_unit, &["systemctl", "systemd"]),
    ),
    place(
        "service-started",
        "New service started",
        SYSTEMCTL,
        "systemctl told to start, enable or link a unit that the run wrote or that lies in a scratch \
         folder, or systemd-run given a command",
        service,
    ),
    place(
        "directory-account",
        "Account made in a directory",
        DOMAIN_ACCOUNT,
        "ldapadd, ldapmodify or their like given entries under a name and password",
        |t| directory(t, &["ldapadd", "ldapmodify", "samba-tool", "addcomputer.py"]),
    ),
    place(
        "systemd-timer",
        "systemd timer installed",
        SYSTEMD_TIMERS,
        "a write of a timer to the folders of systemd units, or systemd-run with a calendar",
        timer,
    ),
    place(
        "shell-startup",
        "Shell startup file changed",
        SHELL_CONFIGURATION,
        "a write to a file that shells read when they start or end",
        |t| {
            writes(
                t,
                15,
                "startup file",
                places::shell_startup,
                &["useradd", "adduser", "git", "cp"],
            )
        },
    ),
    place(
        "authorized-keys",
        "Key added for SSH logins",
        AUTHORIZED_KEYS,
        "a write to authorized_keys",
        |t| writes(t, 20, "key file", places::authorized_keys, &[]),
    ),
    place(
        "library-preload",
        "Library forced into every program",
        LINKER_HIJACKING,
        "a write to ld.so.preload or the dynamic linker's configuration, or LD_PRELOAD with a \
         library in a scratch folder or a hidden one that the run wrote",
        preload,
    ),
    place(
        "desktop-autostart",
        "Desktop autostart entry",
        XDG_AUTOSTART,
        "a write to autostart folders or X session scripts",
        |t| writes(t, 15, "autostart entry", |_, p| places::desktop_autostart(p), &[]),
    ),
    place(
        "boot-script",
        "Boot or network script changed",
        RC_SCRIPTS,
        "a write to rc.local, init scripts, update-motd.d or network hooks",
        |t| writes(t, 18, "script", |_, p| places::boot_script(p), &[]),
    ),
    place(
        "udev-rule",
        "Device rule installed",
        UDEV_RULES,
        "a write to a udev rules folder",
        |t| writes(t, 18, "rule", |_, p| places::udev_rule(p), &["udevadm"]),
    ),
    place(
        "login-configuration",
        "Login checks changed",
        MODIFY_AUTHENTICATION,
        "a write to PAM's configuration or modules, nsswitch.conf or the SSH server's configuration",
        |t| writes(t, 20, "file", |_, p| places::login_configuration(p), &["pam-auth-update"]),
    ),
    place(
        "module-configuration",
        "Kernel module set to load",
        KERNEL_MODULES,
        "a write to the lists or folders of kernel modules",
        |t| writes(t, 18, "file", |_, p| places::module_configuration(p), &["depmod"]),
    ),
    place(
        "python-startup",
        "Python startup hook",
        PYTHON_HOOKS,
        "a sitecustomize, usercustomize or .pth file in a folder of installed packages, not written \
         by an installer",
        |t| writes(t, 15, "hook", places::python_startup, &[]),
    ),
    place(
        "local-account",
        "Local account made or changed",
        LOCAL_ACCOUNT,
        "a write to the account files, or a program that adds accounts",
        account,
    ),
    place(
        "password-file",
        "Password file changed",
        ACCOUNT_MANIPULATION,
        "a write to the shadow files, or a program that sets passwords or groups",
        password,
    ),
    place(
        "sudo-rule",
        "Right to become root granted",
        SUDO_CACHING,
        "a write to sudoers, doas.conf or polkit rules",
        |t| writes(t, 20, "rule", |_, p| places::sudo_rule(p), &["visudo"]),
    ),
    place(
        "web-shell",
        "Program placed in a web server's folder",
        WEB_SHELL,
        "a script written below a web server's document folder",
        web_shell,
    ),
    place(
        "root-certificate",
        "Certificate authority installed",
        ROOT_CERTIFICATE,
        "a write to the folders of trusted certificates",
        |t| {
            writes(
                t,
                14,
                "certificate",
                |_, p| places::root_certificate(p),
                &["update-ca-certificates", "openssl", "trust", "update-ca-trust"],
            )
        },
    ),
    place(
        "name-resolution",
        "Name resolution changed",
        DATA_MANIPULATION,
        "a write to the hosts file or the resolver's configuration",
        |t| {
            writes(
                t,
                13,
                "file",
                |_, p| places::name_resolution(p),
                &["dhclient", "NetworkManager", "resolvconf", "systemd-resolved", "netplan"],
            )
        },
    ),
    place(
        "installer-hook",
        "Hook in the package manager",
        INSTALLER_PACKAGES,
        "a write to the package managers' hook folders",
        |t| {
            writes(
                t,
                14,
                "hook",
                |_, p| places::installer_hook(p),
                &["apt", "apt-config", "dnf", "yum"],
            )
        },
    ),
    place(
        "repository-hook",
        "Hook planted in a repository",
        EVENT_TRIGGERED,
        "a script that version control runs by itself, written into a repository outside of the \
         folder the command works in",
        |t| {
            writes(
                t,
                14,
                "hook",
                places::repository_hook,
                &["git", "pre-commit", "lefthook", "husky", "hg"],
            )
        },
    ),
    place(
        "boot-files",
        "Boot files changed",
        BOOTKIT,
        "a write to the boot loader, the kernel's image or its initial file system",
        |t| {
            writes(
                t,
                18,
                "file",
                |_, p| places::boot_files(p),
                &["update-initramfs", "grub-mkconfig", "grub-install", "dracut", "mkinitramfs"],
            )
        },
    ),
    place(
        "system-program",
        "System program replaced",
        HOST_BINARY,
        "a write to a program or library in the system's own folders",
        system_program,
    ),
    place(
        "path-interception",
        "Program named like a system command",
        PATH_INTERCEPTION,
        "a file named like a basic command placed in a folder that PATH searches first",
        |t| {
            writes(
                t,
                14,
                "program",
                |_, p| places::path_interception(p),
                &["make", "install", "busybox"],
            )
        },
    ),
];

/// Whoever may write here by profession: installers, and programs this place belongs to.
fn excused(image: &Image<'_>, owners: &[&str]) -> bool {
    image.is_trusted(INSTALLERS) || (image.is_trusted(owners) && !image.is_interpreter())
}

/// Events by which something in `places` was written, or somebody tried.
fn hits(
    timeline: &Timeline<'_>,
    weight: u32,
    place: impl Fn(&Timeline<'_>, &str) -> bool,
    owners: &[&str],
) -> Hits {
    let mut hits = Hits::default();
    for touch in &timeline.touches {
        if place(timeline, &touch.path) && !excused(timeline.image(touch.event), owners) {
            hits.add(touch.event, weight, &touch.path);
        }
    }
    hits
}

fn writes(
    timeline: &Timeline<'_>,
    weight: u32,
    what: &str,
    place: impl Fn(&Timeline<'_>, &str) -> bool,
    owners: &[&str],
) -> Option<Finding> {
    hits(timeline, weight, place, owners).finding(&format!("{what} written: "))
}

fn cron(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = hits(timeline, 20, |_, path| places::crontab(path), &[]);
    for image in timeline.attempted().filter(|image| image.is(&["crontab"])) {
        let harmless = image.has_arg(&["-l", "-r", "--help", "-V", "-T"]);
        if !harmless && (image.operands().count() > 0 || image.has_arg(&["-", "-e"])) {
            hits.add(image.event, 20, "crontab(1)");
        }
    }
    hits.finding("table written: ")
}

fn at(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = hits(timeline, 14, |_, path| places::at_job(path), &[]);
    for image in timeline.attempted().filter(|image| image.is(&["at", "batch"])) {
        let reads = image.has_arg(&["-l", "-V", "-c", "-d", "-r"]) || image.only_asks();
        if !reads && (image.is(&["batch"]) || image.operands().count() > 0) {
            hits.add(image.event, 14, image.exact_name());
        }
    }
    hits.finding("queued by ")
}

fn timer(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = hits(timeline, 15, places::systemd_timer, &["systemctl", "systemd"]);
    for image in timeline.attempted().filter(|image| image.is(&["systemd-run"])) {
        if image.args().any(|arg| arg.starts_with("--on-")) {
            hits.add(image.event, 14, "systemd-run");
        }
    }
    hits.finding("timer made: ")
}

/// Units that the run made, or tried to, and then told systemd about.
fn service(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    let unit = |path: &str| path.ends_with(".service") || path.ends_with(".timer");
    let made: Vec<&str> = timeline
        .touches
        .iter()
        .filter(|touch| unit(&touch.path))
        .map(|touch| paths::name(&touch.path))
        .collect();
    for image in timeline.attempted().filter(|image| image.is(&["systemctl"])) {
        let acts = image.has_arg(&["start", "restart", "enable", "reenable", "link"]);
        let ours = |word: &str| {
            let name = paths::name(word);
            made.iter().any(|made| *made == name || made.split('.').next() == Some(name))
                || paths::is_scratch(word)
        };
        if let Some(word) = image.operands().find(|word| acts && ours(word)) {
            hits.add(image.event, 13, word);
        }
    }
    for image in timeline.attempted().filter(|image| image.is(&["systemd-run"])) {
        // A scope only sets limits for a command that the caller runs itself.
        if !image.has_arg(&["--scope"]) && !image.only_asks() && image.operands().count() > 0 {
            hits.add(image.event, 13, "systemd-run");
        }
    }
    hits.finding("started or tried: ")
}

/// Programs that change a directory, bound with a name and password on the command line.
fn directory(timeline: &Timeline<'_>, names: &'static [&'static str]) -> Option<Finding> {
    let mut hits = Hits::default();
    for image in timeline.attempted().filter(|image| image.is(names) && !image.only_asks()) {
        if image.has_arg(&["-D", "-w", "-W", "-U", "user", "computer"]) {
            hits.add(image.event, 13, image.exact_name());
        }
    }
    hits.finding("by ")
}

fn preload(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = hits(timeline, 30, |_, path| path == "/etc/ld.so.preload", &[]);
    for touch in &timeline.touches {
        let image = timeline.image(touch.event);
        if places::linker_configuration(&touch.path) && !excused(image, &["ldconfig"]) {
            hits.add(touch.event, 14, &touch.path);
        }
    }
    for image in timeline.attempted() {
        for library in preloaded(image) {
            // One shell's text may first build the library and then use it. A library in the folder
            // that the run works in is somebody's project.
            let work = paths::clean(&timeline.recording.run.cwd);
            let project = !library.starts_with('/') || paths::under(library, &work);
            let hidden = paths::name(library).starts_with('.');
            // Nobody installs a library where everybody may write, so it need not be there yet.
            let scratch = paths::is_scratch(library) && !project;
            let name = library.trim_start_matches("./");
            let written = || timeline.touches.iter().any(|touch| touch.path.ends_with(name));
            if library.contains(".so") && (scratch || hidden && written()) {
                hits.add(image.event, 15, library);
            }
        }
    }
    hits.finding("forced into programs: ")
}

/// Libraries that a command line sets `LD_PRELOAD` or `LD_AUDIT` to.
fn preloaded<'t>(image: &'t Image<'_>) -> Vec<&'t str> {
    let sets = |arg: &'t str| -> Vec<&'t str> {
        ["LD_PRELOAD=", "LD_AUDIT="]
            .iter()
            .filter_map(|name| arg.split_once(name))
            .filter_map(|(_, value)| value.split([' ', ';', ':', '\n']).next())
            .map(|value| value.trim_matches(['"', '\'']).trim_start_matches("$PWD/"))
            .filter(|value| !value.is_empty())
            .collect()
    };
    if image.is_shell() {
        return image.told().map(sets).unwrap_or_default();
    }
    if image.is(&["env"]) { image.args().flat_map(sets).collect() } else { Vec::new() }
}

fn account(timeline: &Timeline<'_>) -> Option<Finding> {
    const MANAGERS: &[&str] =
        &["useradd", "adduser", "userdel", "usermod", "chfn", "chsh", "vipw", "groupadd", "passwd"];
    let passwd = |_: &Timeline<'_>, path: &str| {
        matches!(path, "/etc/passwd" | "/etc/passwd-" | "/etc/passwd+" | "/etc/group")
    };
    let mut hits = hits(timeline, 18, passwd, MANAGERS);
    for image in timeline.attempted().filter(|i| i.is(&["useradd", "adduser", "newusers"])) {
        if !image.only_asks() && image.argv.len() > 1 && !image.has_arg(&["-D"]) {
            hits.add(image.event, 18, image.exact_name());
        }
    }
    // One program for everything, on other systems.
    for image in timeline.attempted().filter(|image| image.is(&["pw", "dscl", "sysadminctl"])) {
        if image.has_arg(&["useradd", "adduser", "usermod", "-create", "-addUser", "unlock"]) {
            hits.add(image.event, 16, image.exact_name());
        }
    }
    hits.finding("account file or program: ")
}

fn password(timeline: &Timeline<'_>) -> Option<Finding> {
    const MANAGERS: &[&str] =
        &["passwd", "chpasswd", "usermod", "useradd", "userdel", "chage", "vipw"];
    let shadow = |_: &Timeline<'_>, path: &str| {
        matches!(path, "/etc/shadow" | "/etc/shadow-" | "/etc/gshadow" | "/etc/security/opasswd")
    };
    let mut hits = hits(timeline, 18, shadow, MANAGERS);
    for image in
        timeline.attempted().filter(|i| i.is(&["chpasswd", "usermod", "gpasswd", "passwd"]))
    {
        let asks = image.only_asks() || image.has_arg(&["-S", "--status", "-h", "--help"]);
        if !asks && (image.argv.len() > 1 || image.is(&["chpasswd"])) {
            hits.add(image.event, 14, image.exact_name());
        }
    }
    hits.finding("password file or program: ")
}

fn web_shell(timeline: &Timeline<'_>) -> Option<Finding> {
    /// What a web shell's text starts with, as lowercase hexadecimal: `system(`, `eval(`,
    /// `passthru`, `shell_exec`, `$_GET`, `$_POST`, `$_REQUEST`, `Runtime`.
    const TELLING: &[&str] = &[
        "73797374656d28",
        "6576616c28",
        "7061737374687275",
        "7368656c6c5f65786563",
        "245f474554",
        "245f504f5354",
        "245f52455155455354",
        "52756e74696d65",
    ];
    let mut hits = hits(timeline, 14, |_, path| places::web_script(path), &[]);
    let tells = hits.events.iter().any(|&event| match &timeline.events[event].kind {
        types::Kind::Write { head, .. } => TELLING.iter().any(|part| head.contains(part)),
        _ => false,
    });
    if tells {
        hits.weight = 26;
    }
    hits.finding("script placed: ")
}

fn system_program(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for touch in &timeline.touches {
        let image = timeline.image(touch.event);
        if !places::system_program(&touch.path)
            || excused(image, &["ld", "strip", "ldconfig", "update-ca-certificates"])
            || image.is_package_tool()
            || builds(timeline, touch.event)
        {
            continue;
        }
        let weight = if places::core_program(&touch.path) { 20 } else { 14 };
        hits.add(touch.event, weight, &touch.path);
    }
    hits.finding("written in the system's folders: ")
}

/// Whether the event belongs to a build or an installation somebody started as such.
fn builds(timeline: &Timeline<'_>, event: usize) -> bool {
    let builder = ["make", "ninja", "cmake", "meson", "apt", "apt-get", "dnf", "yum", "install"];
    timeline.process(event).is_some_and(|p| timeline.ancestry(p).any(|i| i.is_trusted(&builder)))
}
