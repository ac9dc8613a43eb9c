//! Hostile programs, run for real: each must be called malicious or suspicious, with the right
//! technique and with the events that show it.
//!
//! Only primitives, no exploits. Everything they reach is a decoy: the sandbox's own loopback, its
//! own memory file system, their own children. A sample is one row of the table; the row makes a
//! test of its own, and [`ALL`] runs again as an ordinary user.

use types::Verdict;

use crate::lab::{Lab, Outcome, have, skip, tier};

/// One hostile program and what must be said about it.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    source: &'static str,
    arguments: &'static [&'static str],
    /// Start it through the listener, which waits on this port.
    port: Option<&'static str>,
    needs: &'static [&'static str],
    /// One of these ATT&CK techniques (by prefix) must be among the detections.
    techniques: &'static [&'static str],
    options: &'static [&'static str],
}

const fn sample(source: &'static str, techniques: &'static [&'static str]) -> Sample {
    Sample { source, arguments: &[], port: None, needs: &[], techniques, options: &[] }
}

impl Sample {
    const fn with(self, arguments: &'static [&'static str]) -> Self {
        Self { arguments, ..self }
    }

    const fn calls(self, port: &'static str) -> Self {
        Self { port: Some(port), ..self }
    }

    const fn needs(self, needs: &'static [&'static str]) -> Self {
        Self { needs, ..self }
    }

    const fn under(self, options: &'static [&'static str]) -> Self {
        Self { options, ..self }
    }

    /// Whether this machine has what the sample is made of; tells so when it has not.
    pub(crate) fn possible(self, name: &str) -> bool {
        let language = match self.source.rsplit_once('.') {
            Some((_, "py")) => "python3",
            Some((_, "bash")) => "bash",
            Some((_, "pl")) => "perl",
            _ => "cc",
        };
        have(name, &[language]) && have(name, self.needs)
    }

    /// Builds the sample in the lab and answers with the command that starts it.
    pub(crate) fn prepare(self, lab: &Lab) -> Vec<String> {
        for number in 0..48 {
            let line = format!("Minutes of meeting {number}: everyone agreed with everyone.\n");
            lab.write(&format!("documents/{}/minutes-{number}.txt", number % 4), line.repeat(60));
        }
        let mut words = Vec::new();
        if let Some(port) = self.port {
            words = lab.program("listener.c");
            words.push(port.to_owned());
        }
        words.extend(lab.program(self.source));
        words.extend(self.arguments.iter().map(|&word| word.to_owned()));
        words
    }

    pub(crate) fn options(self) -> Vec<&'static str> {
        let mut options = vec!["--net", "loopback", "--timeout", "60s"];
        options.extend(self.options);
        options
    }

    /// The verdict and the technique that a sample must get.
    pub(crate) fn convicted(self, outcome: &Outcome) -> bool {
        let verdict = outcome.assessment.verdict;
        matches!(verdict, Verdict::Malicious | Verdict::Suspicious)
            && outcome.shows(self.techniques)
    }
}

fn convict(name: &str, sample: Sample) {
    if !sample.possible(name) {
        return;
    }
    if tier() != types::Tier::B {
        skip(name, "no tier B here; tests of ordinary users cover tier C");
        return;
    }
    let lab = Lab::new();
    let command = sample.prepare(&lab);
    let outcome = lab.shieldx().with(&sample.options()).run(&command);
    assert!(
        sample.convicted(&outcome),
        "{name}: expected {:?} to be shown\n{}",
        sample.techniques,
        outcome.summary()
    );
    outcome.check_replay(&lab);
    lab.assert_no_process();
}

/// Each row becomes a test and an entry of `ALL`.
macro_rules! samples {
    ($($name:ident: $sample:expr;)*) => {
        pub(crate) const ALL: &[(&str, Sample)] = &[$((stringify!($name), $sample)),*];

        mod each {
            use super::{convict, sample};

            $(
                #[test]
                fn $name() {
                    convict(stringify!($name), $sample);
                }
            )*
        }
    };
}

samples! {
    reverse_shell_c: sample("reverse_shell.c", &["T1059"]).calls("4444").with(&["4444"]);
    reverse_shell_bash: sample("reverse_shell.bash", &["T1059"])
        .calls("4445").with(&["4445"]).needs(&["bash"]);
    reverse_shell_python: sample("reverse_shell.py", &["T1059"]).calls("4446").with(&["4446"]);
    reverse_shell_fifo: sample("reverse_shell_fifo.sh", &["T1059"])
        .calls("4447").with(&["4447"]).needs(&["busybox"]);
    bind_shell: sample("bind_shell.c", &["T1059"]).with(&["4448"]);

    encrypt_in_place: sample("encryptor.c", &["T1486"]).with(&["in-place", "documents"]);
    encrypt_and_rename: sample("encryptor.c", &["T1486"]).with(&["rename", "documents"]);
    encrypt_copies: sample("encryptor.c", &["T1486", "T1485"]).with(&["rewrite", "documents"]);
    encrypt_in_python: sample("encryptor.py", &["T1486"]).with(&["documents"]);

    persist_cron: sample("persist_cron.sh", &["T1053"]);
    persist_systemd: sample("persist_systemd.sh", &["T1543"]);
    persist_shell_rc: sample("persist_shell_rc.sh", &["T1546"]);
    persist_authorized_keys: sample("persist_authorized_keys.sh", &["T1098"]);
    persist_preload: sample("persist_preload.sh", &["T1574"]);
    persist_autostart: sample("persist_autostart.sh", &["T1546", "T1547", "T1037"]);
    persist_account: sample("persist_account.sh", &["T1136", "T1548", "T1098", "T1078"]);

    memfd_loader: sample("memfd_loader.c", &["T1620"]);
    deleted_exec: sample("deleted_exec.c", &["T1620", "T1070", "T1036"]);
    shellcode_rwx: sample("shellcode.c", &["T1055", "T1620"]).with(&["rwx"]);
    shellcode_flipped: sample("shellcode.c", &["T1055", "T1620"]).with(&["rw-rx"]);
    inject_ptrace: sample("inject.c", &["T1055"]).with(&["ptrace"]);
    inject_vm_write: sample("inject.c", &["T1055"]).with(&["vm-write"]);
    inject_proc_mem: sample("inject.c", &["T1055"]).with(&["proc-mem"]);

    credentials_sh: sample("credentials.sh", &["T1552", "T1003", "T1555"]);
    credentials_c: sample("credentials.c", &["T1552", "T1003", "T1555"]);
    wipe_logs: sample("wipe_logs.sh", &["T1070", "T1685", "T1562"]);
    wipe_history: sample("wipe_history.sh", &["T1070", "T1685", "T1562"]);
    timestomp: sample("timestomp.c", &["T1070"]);
    self_delete: sample("self_delete.c", &["T1070"]);
    impair_defences: sample("impair.sh", &["T1685", "T1562", "T1489", "T1686"]);

    setuid_dropper: sample("setuid_dropper.sh", &["T1548"]);
    file_capabilities: sample("privileges.c", &["T1548"]).with(&["file-caps"]);
    setuid_zero: sample("privileges.c", &["T1548", "T1068"]).with(&["setuid"]);
    capset: sample("privileges.c", &["T1548", "T1068"]).with(&["capset"]);

    escape_unshare: sample("escape.c", &["T1611"]).with(&["unshare"]);
    escape_mount: sample("escape.c", &["T1611"]).with(&["mount"]);
    escape_pivot: sample("escape.c", &["T1611"]).with(&["pivot"]);
    escape_setns: sample("escape.c", &["T1611"]).with(&["setns"]);
    escape_handle: sample("escape.c", &["T1611"]).with(&["handle"]);
    escape_chroot: sample("escape.c", &["T1611"]).with(&["chroot"]);
    escape_cgroup: sample("escape.c", &["T1611"]).with(&["cgroup"]);
    escape_procfs: sample("escape.c", &["T1611"]).with(&["procfs"]);
    docker_socket: sample("docker_socket.py", &["T1611", "T1610", "T1613", "T1609"]);

    kernel_bpf: sample("kernel.c", &["T1014", "T1068", "T1611"]).with(&["bpf"]);
    kernel_perf: sample("kernel.c", &["T1014", "T1068", "T1611"]).with(&["perf"]);
    kernel_io_uring: sample("kernel.c", &["T1014", "T1068", "T1611"]).with(&["io_uring"]);
    kernel_userfaultfd: sample("kernel.c", &["T1014", "T1068", "T1611"]).with(&["userfaultfd"]);
    kernel_keyctl: sample("kernel.c", &["T1014", "T1068", "T1611", "T1555"]).with(&["keyctl"]);
    kernel_module: sample("kernel.c", &["T1547", "T1014", "T1068"]).with(&["module"]);
    kernel_kexec: sample("kernel.c", &["T1014", "T1068", "T1611", "T1529"]).with(&["kexec"]);

    miner: sample("miner.c", &["T1496"])
        .with(&["-o", "stratum+tcp://127.0.0.1:3333", "-u", "44decoywallet", "--donate-level=1"]);
    discovery: sample("discovery.sh", &["T1082", "T1033", "T1057", "T1016", "T1083", "T1087"]);
    download_execute_sh: sample("download_execute.sh", &["T1105", "T1204"])
        .needs(&["curl", "python3"]);
    download_execute_python: sample("download_execute.py", &["T1105", "T1204"]);
    download_pipe: sample("download_pipe.sh", &["T1105", "T1059"]).needs(&["curl", "python3"]);
    decode_run: sample("decode_run.sh", &["T1027", "T1140", "T1059"]);
    masquerade_name: sample("masquerade.c", &["T1036"]).with(&["name"]);
    masquerade_exec: sample("masquerade.c", &["T1036"]).with(&["exec"]);
    dns_tunnel: sample("dns_tunnel.c", &["T1071", "T1048", "T1572", "T1568"]);
    odd_sockets: sample("sockets.c", &["T1040", "T1068", "T1095", "T1014"]);
    kill_all: sample("kill_all.c", &["T1489", "T1529", "T1685", "T1562"]);
    fork_bomb: sample("fork_bomb.c", &["T1499"]).under(&["--pids", "48"]);
    port_scan: sample("port_scan.c", &["T1046"]);

    reverse_shell_nc: sample("reverse_shell_nc.sh", &["T1059"])
        .calls("4449").with(&["4449"]).needs(&["busybox"]);
    reverse_shell_perl: sample("reverse_shell.pl", &["T1059"]).calls("4450").with(&["4450"]);
    reverse_shell_pty: sample("reverse_shell_pty.py", &["T1059"]).calls("4451").with(&["4451"]);
    self_memory: sample("self_memory.c", &["T1055", "T1620"]);
    web_shell: sample("habits.sh", &["T1505"]).with(&["web-shell"]);
    udev_rule: sample("habits.sh", &["T1546"]).with(&["udev-rule"]);
    python_startup: sample("habits.sh", &["T1546"]).with(&["python-startup"]).needs(&["python3"]);
    login_module: sample("habits.sh", &["T1556"]).with(&["login-module"]);
    motd: sample("habits.sh", &["T1037", "T1546"]).with(&["motd"]);
    at_job: sample("habits.sh", &["T1053"]).with(&["at-job"]);
    replace_program: sample("habits.sh", &["T1554"]).with(&["replace-program"]);
    hosts: sample("habits.sh", &["T1565"]).with(&["hosts"]);
    certificate: sample("habits.sh", &["T1553"]).with(&["certificate"]);
    destroy: sample("habits.sh", &["T1485", "T1070"]).with(&["destroy"]).needs(&["shred"]);
    wipe_disk: sample("habits.sh", &["T1561"]).with(&["wipe-disk"]);
    other_environments: sample("habits.sh", &["T1003", "T1552", "T1057"])
        .with(&["other-environments"]);
    hidden_exec: sample("habits.sh", &["T1564", "T1036", "T1059"]).with(&["hidden-exec"]);
    encoded_python: sample("habits.sh", &["T1027", "T1140", "T1059"])
        .with(&["encoded-python"]).needs(&["python3"]);
    renamed_utility: sample("habits.sh", &["T1036"]).with(&["renamed-utility"]);
    miner_by_name: sample("habits.sh", &["T1496"]).with(&["miner-by-name"]);
    own_root: sample("habits.sh", &["T1611"]).with(&["own-root"]).needs(&["unshare"]);
    enter_init: sample("habits.sh", &["T1611"]).with(&["enter-init"]).needs(&["nsenter"]);
    load_module: sample("habits.sh", &["T1547"]).with(&["load-module"]).needs(&["insmod"]);
    steal: sample("habits.sh", &["T1552", "T1048", "T1041", "T1567"])
        .with(&["steal"]).needs(&["curl", "python3"]);
    metadata: sample("habits.sh", &["T1552"]).with(&["metadata"]).needs(&["curl"]);
    keylogger: sample("habits.sh", &["T1056"]).with(&["keylogger"]);
    firewall: sample("habits.sh", &["T1686", "T1685"]).with(&["firewall"]).needs(&["iptables"]);
    no_history: sample("habits.sh", &["T1690", "T1070"]).with(&["no-history"]).needs(&["bash"]);
    search_secrets: sample("habits.sh", &["T1552"]).with(&["search-secrets"]);
    sniffer: sample("habits.sh", &["T1040"]).with(&["sniffer"]).needs(&["python3"]);
    world_writable: sample("habits.sh", &["T1222"]).with(&["world-writable"]);
    new_account: sample("habits.sh", &["T1136", "T1098"]).with(&["new-account"]);
    delete_backups: sample("habits.sh", &["T1490", "T1485"]).with(&["backups"]);
}
