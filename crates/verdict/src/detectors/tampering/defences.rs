//! Security tools, audit, firewall and kernel protections: who turns them off.

use types::Kind;

use super::named;
use crate::detector::{Finding, Hits};
use crate::paths;
use crate::timeline::{Image, Timeline};

/// Programs and services that watch or protect a machine.
const WATCHMEN: &[&str] = &[
    "auditd",
    "falco",
    "clamd",
    "clamav",
    "clamav-daemon",
    "clamav-freshclam",
    "freshclam",
    "wazuh",
    "wazuh-agent",
    "ossec",
    "osqueryd",
    "osquery",
    "falcon-sensor",
    "sentinelone",
    "sentinelctl",
    "cbdaemon",
    "cbagentd",
    "cbsensor",
    "mdatp",
    "ds_agent",
    "xagt",
    "apparmor",
    "selinux",
    "aide",
    "tripwire",
    "rkhunter",
    "chkrootkit",
    "fail2ban",
    "fail2ban-server",
    "rsyslog",
    "rsyslogd",
    "syslog",
    "syslogd",
    "syslog-ng",
    "systemd-journald",
    "sysmon",
    "tetragon",
    "tracee",
    "kunai",
    "aegis",
    "AliYunDun",
    "AliYunDunUpdate",
    "aliyun",
    "YDService",
    "YDLive",
    "barad_agent",
    "sgagent",
    "cloudmonitor",
    "bcm-agent",
    "hostguard",
    "snort",
    "suricata",
    "zeek",
    "crowdsec",
    "lynis",
    "elastic-agent",
    "elastic-endpoint",
    "auditbeat",
    "filebeat",
    "samhain",
    "esets",
    "sophos",
    "savd",
    "kesl",
    "drweb",
    "nessusd",
    "qualys-cloud-agent",
    "amazon-ssm-agent",
    "google-osconfig-agent",
];

fn is_watchman(word: &str) -> bool {
    let word = word.strip_suffix(".service").unwrap_or(word);
    // Patterns of pkill are anchored.
    let word = word.trim_start_matches('^').trim_end_matches('$');
    WATCHMEN.contains(&paths::name(word))
}

pub(super) fn tools(timeline: &Timeline<'_>) -> Option<Finding> {
    const PROTECTIONS: &[&str] = &[
        "/etc/selinux/config",
        "/sys/fs/selinux/enforce",
        "/proc/sys/kernel/randomize_va_space",
        "/proc/sys/kernel/yama/ptrace_scope",
        "/proc/sys/kernel/kptr_restrict",
        "/proc/sys/kernel/dmesg_restrict",
        "/proc/sys/kernel/perf_event_paranoid",
        "/proc/sys/kernel/unprivileged_bpf_disabled",
        "/proc/sys/fs/protected_symlinks",
        "/proc/sys/fs/protected_hardlinks",
        "/proc/sys/fs/suid_dumpable",
        "/proc/sys/kernel/nmi_watchdog",
        "/proc/sys/vm/mmap_min_addr",
        "/sys/kernel/debug/tracing/tracing_on",
        "/etc/rsyslog.conf",
        "/etc/syslog.conf",
        "/etc/syslog-ng/syslog-ng.conf",
        "/etc/security/audit_event",
        "/etc/systemd/journald.conf",
        "/proc/sys/kernel/kexec_load_disabled",
    ];
    const AGENTS: &[&str] = &[
        "/usr/local/aegis",
        "/opt/CrowdStrike",
        "/var/ossec",
        "/opt/sentinelone",
        "/opt/carbonblack",
        "/usr/local/qcloud",
        "/opt/microsoft/mdatp",
        "/etc/falco",
        "/etc/apparmor.d/disable",
        "/etc/rsyslog.d",
        "/etc/osquery",
        "/etc/clamav",
        "/opt/isec",
        "/etc/fail2ban",
    ];
    let mut hits = Hits::default();
    for image in timeline.attempted().filter(|image| stops_tool(image)) {
        hits.add(image.event, 18, &named(image));
    }
    for touch in &timeline.touches {
        let image = timeline.image(touch.event);
        let installer = image.is_package_tool();
        if PROTECTIONS.contains(&touch.path.as_ref()) && !image.is_trusted(&["systemd-sysctl"]) {
            hits.add(touch.event, 15, &touch.path);
        } else if AGENTS.iter().any(|f| paths::under(&touch.path, f)) && !installer {
            hits.add(touch.event, 14, &touch.path);
        }
    }
    for (index, event) in timeline.events.iter().enumerate() {
        if let Kind::Unlink { path, .. } = &event.kind
            && AGENTS.iter().any(|f| paths::under(&paths::clean(path), f))
            && !timeline.image(index).is_package_tool()
        {
            hits.add(index, 16, &paths::clean(path));
        }
    }
    hits.finding("turned off or tried: ")
}

fn stops_tool(image: &Image<'_>) -> bool {
    let aimed = || image.operands().any(is_watchman);
    if image.is(&["pkill", "killall", "skill", "killall5"]) {
        return aimed();
    }
    if image.is(&["systemctl", "service", "rc-service", "initctl", "invoke-rc.d"]) {
        return image.has_arg(&["stop", "disable", "mask", "kill"]) && aimed();
    }
    if image.is(&["chkconfig", "update-rc.d"]) {
        return image.has_arg(&["off", "disable", "remove", "--del"]) && aimed();
    }
    if image.is(&["apt", "apt-get", "yum", "dnf", "rpm", "dpkg", "zypper"]) {
        return image.has_arg(&["remove", "purge", "erase", "-e", "-r", "-P"]) && aimed();
    }
    if image.is(&["sysrc"]) {
        return image.args().any(|arg| {
            let off = |value: &str| matches!(value.to_ascii_lowercase().as_str(), "no" | "none");
            arg.split_once("_enable=").is_some_and(|(name, value)| off(value) && is_watchman(name))
        });
    }
    // The agents' own controls.
    if image.is(&["mdatp", "falconctl", "sentinelctl", "clamdscan", "auditbeat"]) {
        return image.has_arg(&["disabled", "disable", "stop", "unload", "passive", "uninstall"]);
    }
    if image.is(&["setenforce"]) {
        return image.has_arg(&["0", "Permissive", "permissive"]);
    }
    if image.is(&["sysctl"]) {
        const WEAKENED: &[&str] = &[
            "kernel.randomize_va_space=0",
            "kernel.yama.ptrace_scope=0",
            "kernel.kptr_restrict=0",
            "fs.suid_dumpable=",
            "vm.mmap_min_addr=0",
            "kernel.unprivileged_bpf_disabled=0",
            "kernel.nmi_watchdog=0",
            "kernel.dmesg_restrict=0",
        ];
        return image.args().any(|arg| {
            let arg: String = arg.chars().filter(|c| *c != ' ').collect();
            WEAKENED.iter().any(|weak| arg.starts_with(weak))
        });
    }
    image.is(&["aa-teardown", "aa-disable", "aa-complain"])
        || (image.is(&["apparmor_parser"]) && image.has_arg(&["-R", "--remove"]))
}

pub(super) fn audit(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for image in timeline.attempted().filter(|image| image.is(&["auditctl"])) {
        let off = image.has_arg(&["-D", "-d", "-W"])
            || image.args().collect::<Vec<_>>().windows(2).any(|pair| pair == ["-e", "0"])
            || image.has_arg(&["-e0"]);
        if off {
            hits.add(image.event, 18, &named(image));
        }
    }
    let configuration = |path: &str| {
        ["/etc/audit", "/etc/audisp", "/etc/libaudit.conf"].iter().any(|f| paths::under(path, f))
    };
    for touch in timeline.touches.iter().filter(|touch| configuration(&touch.path)) {
        if !timeline.image(touch.event).is_package_tool() {
            hits.add(touch.event, 15, &touch.path);
        }
    }
    for (index, event) in timeline.events.iter().enumerate() {
        if let Kind::Unlink { path, .. } = &event.kind
            && configuration(&paths::clean(path))
            && !timeline.image(index).is_package_tool()
        {
            hits.add(index, 15, &paths::clean(path));
        }
    }
    hits.finding("changed or tried: ")
}

pub(super) fn firewall(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for image in timeline.attempted().filter(|image| opens_firewall(image)) {
        hits.add(image.event, 15, &named(image));
    }
    for touch in &timeline.touches {
        let rules = [
            "/etc/ufw",
            "/etc/default/ufw",
            "/etc/pf.conf",
            "/etc/iptables",
            "/etc/nftables.conf",
            "/etc/firewalld",
            "/etc/sysconfig/iptables",
        ];
        if paths::under_any(&touch.path, &rules) && !timeline.image(touch.event).is_package_tool() {
            hits.add(touch.event, 14, &touch.path);
        }
    }
    hits.finding("opened or tried: ")
}

fn opens_firewall(image: &Image<'_>) -> bool {
    if image.is(&["iptables", "ip6tables", "iptables-legacy", "iptables-nft"]) {
        let words: Vec<&str> = image.args().collect();
        return image.has_arg(&["-F", "-X", "--flush", "-D", "--delete"])
            || words.windows(3).any(|w| matches!(w[0], "-P" | "--policy") && w[2] == "ACCEPT");
    }
    if image.is(&["nft"]) {
        return image.has_arg(&["flush"]) || image.mentions("flush ruleset");
    }
    if image.is(&["ufw"]) {
        // Setting up a server opens its own port; rules before others, or gone, are another matter.
        let verbs = &["disable", "reset", "prepend", "insert", "delete"];
        return image.has_arg(verbs) || image.has_arg(&["logging"]) && image.has_arg(&["off"]);
    }
    if image.is(&["pfctl"]) {
        return image.has_arg(&["-d", "-F", "-f"]);
    }
    let service = image.operands().any(|word| {
        matches!(
            word.trim_end_matches(".service"),
            "firewalld" | "ufw" | "iptables" | "nftables" | "SuSEfirewall2" | "pf"
        )
    });
    service
        && image.is(&["systemctl", "service", "rc-service", "chkconfig"])
        && image.has_arg(&["stop", "disable", "mask", "off"])
}

/// Seconds since 1970 of an RFC 3339 time in UTC; fractions are dropped.
pub(super) fn seconds_since_epoch(time: &str) -> Option<i64> {
    let field = |from: usize, to: usize| time.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (field(0, 4)?, field(5, 7)?, field(8, 10)?);
    let (hour, minute, second) = (field(11, 13)?, field(14, 16)?, field(17, 19)?);
    // Days from civil, counted in years that start in March.
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::seconds_since_epoch;

    #[test]
    fn times() {
        assert_eq!(seconds_since_epoch("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(seconds_since_epoch("2000-02-29T12:00:00Z"), Some(951_825_600));
        assert_eq!(seconds_since_epoch("2026-11-22T14:28:09.5Z"), Some(1_795_357_689));
        assert_eq!(seconds_since_epoch("soon"), None);
    }
}
