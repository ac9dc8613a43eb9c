//! Where things that start by themselves live. Each function answers for one path; nothing here
//! knows who wrote it or what that weighs.

use types::Kind;

use crate::paths::{folder, in_home, name, under, under_any};
use crate::timeline::Timeline;

pub(super) fn crontab(path: &str) -> bool {
    matches!(path, "/etc/crontab" | "/etc/anacrontab" | "/etc/cron.allow")
        || ["d", "hourly", "daily", "weekly", "monthly", "yearly"]
            .iter()
            .any(|part| below(path, &format!("/etc/cron.{part}")))
        || below(path, "/var/spool/cron") && !at_job(path)
        || below(path, "/var/cron/tabs")
}

pub(super) fn at_job(path: &str) -> bool {
    ["/var/spool/at", "/var/spool/cron/atjobs", "/var/spool/atjobs"].iter().any(|f| below(path, f))
}

/// Strictly below.
fn below(path: &str, folder: &str) -> bool {
    under(path, folder) && path != folder
}

pub(super) fn systemd_unit(_: &Timeline<'_>, path: &str) -> bool {
    systemd(path) && !path.ends_with(".timer")
}

pub(super) fn systemd_timer(_: &Timeline<'_>, path: &str) -> bool {
    systemd(path) && path.ends_with(".timer")
}

fn systemd(path: &str) -> bool {
    const FOLDERS: &[&str] = &[
        "/etc/systemd/system",
        "/etc/systemd/user",
        "/lib/systemd/system",
        "/lib/systemd/user",
        "/usr/lib/systemd/system",
        "/usr/lib/systemd/user",
        "/usr/local/lib/systemd/system",
        "/run/systemd/system",
        "/etc/systemd/system-generators",
        "/etc/systemd/user-generators",
        "/usr/lib/systemd/system-generators",
        "/usr/share/dbus-1/system-services",
    ];
    FOLDERS.iter().any(|f| below(path, f))
        || path.contains("/.config/systemd/user/")
        || path.contains("/.local/share/systemd/user/")
}

/// Startup files of shells in `/etc` and in homes. A dot file in the folder the run works in is
/// somebody's project, not their home, unless it lies where homes lie.
pub(super) fn shell_startup(timeline: &Timeline<'_>, path: &str) -> bool {
    const SYSTEM: &[&str] = &[
        "/etc/profile",
        "/etc/bash.bashrc",
        "/etc/bashrc",
        "/etc/environment",
        "/etc/zshrc",
        "/etc/zshenv",
        "/etc/bash.bash_logout",
        "/etc/csh.cshrc",
        "/etc/csh.login",
    ];
    const HOME: &[&str] = &[
        ".bashrc",
        ".bash_profile",
        ".bash_login",
        ".bash_logout",
        ".bash_aliases",
        ".profile",
        ".shrc",
        ".zshrc",
        ".zshenv",
        ".zprofile",
        ".zlogin",
        ".zlogout",
        ".kshrc",
        ".mkshrc",
        ".cshrc",
        ".tcshrc",
        ".login",
    ];
    if SYSTEM.contains(&path)
        || ["/etc/profile.d", "/etc/zsh", "/etc/fish/conf.d"].iter().any(|f| below(path, f))
        || path.ends_with("/.config/fish/config.fish")
        || path.contains("/.config/fish/conf.d/")
        || path.ends_with("/.ssh/rc")
    {
        return true;
    }
    if !HOME.contains(&name(path)) || only_sets(timeline, path) {
        return false;
    }
    match in_home(path) {
        Some(rest) => !rest.contains('/'),
        None => {
            let work = crate::paths::clean(&timeline.recording.run.cwd);
            !under(path, &work) && !under_any(path, &["/etc/skel", "/usr", "/tmp", "/var/tmp"])
        }
    }
}

/// Whether the file holds nothing but settings in the end: aliases, variables, options. Everybody
/// adds those to a home's startup files; a command is another matter. A planted file without a
/// change in the list is as it was.
fn only_sets(timeline: &Timeline<'_>, path: &str) -> bool {
    let changes = timeline.events.iter().filter_map(|event| match &event.kind {
        Kind::FileChanged(change) if crate::paths::clean(&change.path) == path => Some(change),
        _ => None,
    });
    let mut changes = changes.peekable();
    if changes.peek().is_none() {
        return crate::detectors::decoys::planted(timeline).contains(path);
    }
    changes.any(|change| change.format.as_deref() == Some("shell-settings"))
}

/// Hooks of a repository that is not the project at hand, and those of all future repositories.
pub(super) fn repository_hook(timeline: &Timeline<'_>, path: &str) -> bool {
    let work = crate::paths::clean(&timeline.recording.run.cwd);
    let hooks = path.contains("/.git/hooks/") || path.contains("git-core/templates/hooks/");
    hooks
        && !path.ends_with(".sample")
        && !under(path, &work)
        && !under_any(path, &["/tmp", "/var/tmp"])
}

pub(super) fn authorized_keys(_: &Timeline<'_>, path: &str) -> bool {
    path.ends_with("/.ssh/authorized_keys")
        || path.ends_with("/.ssh/authorized_keys2")
        || under(path, "/etc/ssh/authorized_keys")
        || under(path, "/etc/ssh/authorized_keys.d")
}

pub(super) fn linker_configuration(path: &str) -> bool {
    path == "/etc/ld.so.conf" || below(path, "/etc/ld.so.conf.d")
}

pub(super) fn desktop_autostart(path: &str) -> bool {
    below(path, "/etc/xdg/autostart")
        || path.contains("/.config/autostart/")
        || path.contains("/.config/autostart-scripts/")
        || path.contains("/.config/plasma-workspace/env/")
        || below(path, "/etc/X11/Xsession.d")
        || matches!(
            in_home(path),
            Some(".xprofile" | ".xinitrc" | ".xsession" | ".xsessionrc" | ".Xclients")
        )
}

pub(super) fn boot_script(path: &str) -> bool {
    const FOLDERS: &[&str] = &[
        "/etc/init.d",
        "/etc/rc.d",
        "/etc/init",
        "/etc/update-motd.d",
        "/etc/network/if-up.d",
        "/etc/network/if-pre-up.d",
        "/etc/network/if-down.d",
        "/etc/network/if-post-down.d",
        "/etc/NetworkManager/dispatcher.d",
        "/etc/dhcp/dhclient-enter-hooks.d",
        "/etc/dhcp/dhclient-exit-hooks.d",
        "/etc/networkd-dispatcher",
        "/etc/local.d",
        "/etc/ppp/ip-up.d",
        "/etc/pm",
        "/etc/acpi",
        "/usr/local/etc/rc.d",
    ];
    matches!(path, "/etc/rc.local" | "/etc/inittab" | "/etc/rc.common" | "/etc/rc.conf")
        || FOLDERS.iter().any(|f| below(path, f))
        || (path.starts_with("/etc/rc") && folder(path).ends_with(".d"))
}

pub(super) fn udev_rule(path: &str) -> bool {
    ["/etc/udev", "/lib/udev", "/usr/lib/udev", "/run/udev/rules.d"].iter().any(|f| below(path, f))
}

pub(super) fn login_configuration(path: &str) -> bool {
    below(path, "/etc/pam.d")
        || matches!(path, "/etc/pam.conf" | "/etc/nsswitch.conf" | "/etc/login.defs")
        || path == "/etc/ssh/sshd_config"
        || below(path, "/etc/ssh/sshd_config.d")
        || below(path, "/etc/security") && path != "/etc/security/opasswd"
        || path.contains("/security/pam_") && path.ends_with(".so")
}

pub(super) fn module_configuration(path: &str) -> bool {
    path == "/etc/modules"
        || [
            "/etc/modules-load.d",
            "/etc/modprobe.d",
            "/lib/modules",
            "/usr/lib/modules",
            "/usr/lib/modules-load.d",
            "/usr/lib/modprobe.d",
        ]
        .iter()
        .any(|f| below(path, f))
}

/// Installers write `.pth` files for a living, so those only count where no installer wrote them,
/// and nothing counts inside a virtual environment the run makes for itself.
pub(super) fn python_startup(timeline: &Timeline<'_>, path: &str) -> bool {
    let hook = matches!(name(path), "sitecustomize.py" | "usercustomize.py");
    let packages = folder(path).ends_with("-packages") || below(path, "/etc/python");
    let shared = path.starts_with("/usr/") || path.contains("/.local/lib/python");
    let python_folder = path.starts_with("/usr/lib/python");
    // A line of text that somebody echoes there is no installation, wherever it is.
    let by_hand = path.ends_with(".pth")
        && packages
        && timeline.touches_of(path).any(|touch| {
            let image = timeline.image(touch.event);
            image.is_shell() || image.is(&["tee", "cp", "sed", "printf"])
        });
    let installed = hook && (packages || python_folder);
    if !(installed || by_hand || path.ends_with(".pth") && packages && shared) {
        return false;
    }
    let installs = |event: usize| {
        let process = timeline.process(event);
        process.is_some_and(|p| timeline.ancestry(p).any(crate::timeline::Image::is_package_tool))
    };
    timeline.touches_of(path).any(|touch| !installs(touch.event))
}

pub(super) fn sudo_rule(path: &str) -> bool {
    matches!(path, "/etc/sudoers" | "/etc/doas.conf" | "/etc/sudo.conf" | "/usr/local/etc/sudoers")
        || [
            "/etc/sudoers.d",
            "/etc/doas.d",
            "/etc/polkit-1",
            "/usr/share/polkit-1/rules.d",
            "/var/lib/polkit-1/localauthority",
        ]
        .iter()
        .any(|f| below(path, f))
}

pub(super) fn web_script(path: &str) -> bool {
    const ROOTS: &[&str] = &[
        "/var/www",
        "/srv/www",
        "/srv/http",
        "/usr/share/nginx",
        "/usr/local/apache2/htdocs",
        "/opt/lampp/htdocs",
        "/usr/lib/cgi-bin",
        "/var/lib/tomcat",
        "/opt/tomcat/webapps",
    ];
    const ENDINGS: &[&str] = &[
        "php", "php3", "php5", "php7", "phtml", "phar", "jsp", "jspx", "war", "asp", "aspx", "cgi",
        "pl", "py", "sh", "htaccess",
    ];
    let rooted = under_any(path, ROOTS)
        || path.starts_with("/var/lib/tomcat")
        || path.contains("/public_html/")
        || path.contains("/htdocs/");
    rooted && name(path).rsplit_once('.').is_some_and(|(_, end)| ENDINGS.contains(&end))
}

pub(super) fn root_certificate(path: &str) -> bool {
    const FOLDERS: &[&str] = &[
        "/usr/local/share/ca-certificates",
        "/usr/local/share/certs",
        "/usr/share/ca-certificates",
        "/etc/ssl/certs",
        "/etc/pki/ca-trust/source/anchors",
        "/usr/share/pki/trust",
        "/etc/ca-certificates",
        "/etc/pki/tls/certs",
    ];
    FOLDERS.iter().any(|f| below(path, f)) || path == "/etc/ca-certificates.conf"
}

pub(super) fn name_resolution(path: &str) -> bool {
    matches!(path, "/etc/hosts" | "/etc/resolv.conf" | "/etc/host.conf" | "/etc/gai.conf")
        || below(path, "/etc/systemd/resolved.conf.d")
        || path == "/etc/systemd/resolved.conf"
}

pub(super) fn installer_hook(path: &str) -> bool {
    [
        "/etc/apt/apt.conf.d",
        "/etc/dpkg/dpkg.cfg.d",
        "/var/lib/dpkg/info",
        "/usr/lib/yum-plugins",
        "/etc/yum/pluginconf.d",
        "/etc/dnf/plugins",
        "/etc/pacman.d/hooks",
    ]
    .iter()
    .any(|f| below(path, f))
}

pub(super) fn boot_files(path: &str) -> bool {
    path == "/etc/default/grub"
        || [
            "/boot",
            "/etc/grub.d",
            "/etc/initramfs-tools",
            "/usr/share/initramfs-tools",
            "/etc/dracut.conf.d",
            "/usr/lib/dracut",
            "/efi",
        ]
        .iter()
        .any(|f| below(path, f))
}

/// Programs and libraries outside `/usr/local`, which belongs to whoever builds by hand.
pub(super) fn system_program(path: &str) -> bool {
    let program =
        ["/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/libexec"].iter().any(|f| below(path, f));
    let library = ["/lib", "/lib64", "/usr/lib", "/usr/lib64"].iter().any(|f| below(path, f))
        && (name(path).ends_with(".so") || name(path).contains(".so."));
    program || library
}

/// Programs that decide who gets in and what an administrator sees.
pub(super) fn core_program(path: &str) -> bool {
    const NAMES: &[&str] = &[
        "sshd",
        "login",
        "su",
        "sudo",
        "passwd",
        "ssh",
        "sh",
        "bash",
        "dash",
        "ls",
        "ps",
        "top",
        "netstat",
        "ss",
        "lsof",
        "find",
        "who",
        "w",
        "last",
        "kill",
        "pgrep",
        "ip",
        "systemctl",
        "cron",
        "crond",
        "agetty",
        "init",
        "systemd",
        "curl",
        "wget",
        "python3",
        "perl",
    ];
    NAMES.contains(&name(path))
        || name(path).starts_with("libc.so")
        || name(path).starts_with("pam_")
}

pub(super) fn path_interception(path: &str) -> bool {
    const NAMES: &[&str] = &[
        "sudo",
        "su",
        "ssh",
        "scp",
        "login",
        "passwd",
        "ls",
        "ps",
        "netstat",
        "ss",
        "top",
        "cat",
        "id",
        "who",
        "w",
        "systemctl",
        "crontab",
        "lsof",
        "doas",
        "gpg",
        "kill",
        "ip",
        "mount",
    ];
    let searched_first = matches!(folder(path), "/usr/local/bin" | "/usr/local/sbin")
        || matches!(in_home(folder(path)), Some("bin" | ".local/bin"));
    searched_first && NAMES.contains(&name(path))
}
