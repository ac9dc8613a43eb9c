//! What was gathered from devices and screens, and what was sent out.

mod packing;

use std::collections::BTreeMap;

use types::{Endpoint, Kind, StdioKind};

use super::requests::{Said, question, said};
use crate::attack::{
    ARCHIVE_LIBRARY, ARCHIVE_UTILITY, AUDIO_CAPTURE, CLIPBOARD, DATA_ENCRYPTED,
    EXFILTRATION_ALTERNATIVE, EXFILTRATION_C2, KEYLOGGING, SCREEN_CAPTURE, VIDEO_CAPTURE,
    WEB_EXFILTRATION,
};
use crate::detector::{Detector, Finding, Hits, Info, TierC, show};
use crate::paths;
use crate::timeline::{Image, Timeline};

const fn info(
    id: &'static str,
    title: &'static str,
    attack: crate::attack::Attack,
    looks_for: &'static str,
    needs: &'static [&'static str],
) -> Info {
    Info { id, title, attack, looks_for, needs, tier_c: TierC::Sees }
}

pub(crate) const ALL: &[Detector] = &[
    Detector {
        info: info(
            "key-logging",
            "Keyboard read",
            KEYLOGGING,
            "input devices opened, a key logger started, or a shell, its history or the audit system \
             made to write down every command",
            &["open", "exec"],
        ),
        find: keyboard,
    },
    Detector {
        info: info(
            "screen-capture",
            "Screen captured",
            SCREEN_CAPTURE,
            "the frame buffer read, or a screenshot tool started",
            &["open", "exec"],
        ),
        find: screen,
    },
    Detector {
        info: info(
            "audio-capture",
            "Microphone read",
            AUDIO_CAPTURE,
            "a capture device opened, or a recorder started",
            &["open", "exec"],
        ),
        find: audio,
    },
    Detector {
        info: info(
            "video-capture",
            "Camera read",
            VIDEO_CAPTURE,
            "a video device opened",
            &["open", "exec"],
        ),
        find: video,
    },
    Detector {
        info: info(
            "clipboard-read",
            "Clipboard read",
            CLIPBOARD,
            "a clipboard tool asked for its content",
            &["exec"],
        ),
        find: clipboard,
    },
    Detector {
        info: info(
            "sensitive-upload",
            "Sensitive data given to a network program",
            EXFILTRATION_ALTERNATIVE,
            "sensitive files, or an archive of them, in the arguments or the input of a program that \
             sends",
            &["exec", "connect"],
        ),
        find: upload,
    },
    Detector {
        info: info(
            "read-and-send",
            "Secrets read by a process that then used the network",
            EXFILTRATION_C2,
            "one process that read a sensitive file and afterwards connected to the network, or sent \
             data there by itself or by a program that it started",
            &["open", "connect", "request"],
        ),
        find: read_and_send,
    },
    Detector {
        info: info(
            "drop-site",
            "Drop site or chat service contacted",
            WEB_EXFILTRATION,
            "names of paste, upload, webhook and callback services in questions or arguments",
            &["dns", "exec", "request"],
        ),
        find: drop_site,
    },
    Detector {
        info: info(
            "locked-archive",
            "Archive under a password in a scratch folder",
            ARCHIVE_UTILITY,
            "packers and ciphers given a password on the command line and a file in a folder that \
             anybody may write to, or login records and account files packed",
            &["exec"],
        ),
        find: packing::locked,
    },
    Detector {
        info: info(
            "archive-by-library",
            "Secrets packed by a one-liner",
            ARCHIVE_LIBRARY,
            "an interpreter's argument text that packs a sensitive file with the language's library",
            &["exec"],
        ),
        find: packing::by_library,
    },
    Detector {
        info: info(
            "system-file-encrypted",
            "System file or secret encrypted",
            DATA_ENCRYPTED,
            "files of the system, secrets or copies of them given to a program that encrypts",
            &["exec"],
        ),
        find: packing::system_file,
    },
];

/// Opens, for reading or writing, of devices that `device` names, except by their servers.
fn devices(
    timeline: &Timeline<'_>,
    weight: u32,
    device: impl Fn(&str) -> bool,
    servers: &[&str],
) -> Hits {
    let mut hits = Hits::default();
    let reads = timeline.reads.iter().map(|read| (read.event, read.path.as_ref()));
    let writes = timeline.touches.iter().map(|touch| (touch.event, touch.path.as_ref()));
    for (event, path) in reads.chain(writes) {
        if device(path) && !timeline.image(event).is_trusted(servers) {
            hits.add(event, weight, path);
        }
    }
    hits
}

/// Programs of these names that were asked to work, not for their version.
fn started<'t, 'r>(
    timeline: &'t Timeline<'r>,
    names: &'static [&'static str],
) -> impl Iterator<Item = &'t Image<'r>> + 't {
    timeline.attempted().filter(move |image| image.is(names) && !image.only_asks())
}

fn keyboard(timeline: &Timeline<'_>) -> Option<Finding> {
    let device = |path: &str| {
        (paths::under(path, "/dev/input") && path != "/dev/input" && !path.ends_with("mice"))
            || path == "/dev/uinput"
            || path.starts_with("/dev/hidraw")
    };
    let mut hits =
        devices(timeline, 18, device, &["Xorg", "systemd-logind", "acpid", "libinput", "upowerd"]);
    for image in started(timeline, &["logkeys", "showkey", "evtest", "xspy", "keysniffer", "lkl"]) {
        hits.add(image.event, 16, image.exact_name());
    }
    for image in started(timeline, &["xinput"]).filter(|image| image.has_arg(&["test", "test-xi2"]))
    {
        hits.add(image.event, 16, "xinput");
    }
    commands_kept(timeline, &mut hits);
    hits.finding("opened or started: ")
}

/// Shells, histories and the audit system made to hand on everything that is typed.
fn commands_kept(timeline: &Timeline<'_>, hits: &mut Hits) {
    for (event, handler, signals) in super::shells::escapes::traps(timeline) {
        if signals.contains("DEBUG") && handler.contains("BASH_COMMAND") && handler.contains('>') {
            hits.add(event, 13, "a trap before every command");
        }
    }
    const OUTLETS: &[&str] = &["logger", "tee ", "/dev/tcp/", "curl ", "nc ", "ncat "];
    for image in timeline.attempted() {
        let prompt = image.is_shell()
            && image.told().and_then(|text| text.split_once("PROMPT_COMMAND=")).is_some_and(
                |(_, rest)| {
                    let line = rest.split('\n').next().unwrap_or("");
                    line.contains("history") && OUTLETS.iter().any(|outlet| line.contains(outlet))
                },
            );
        let history = image.is(&["logger"]) && image.args().any(|arg| arg.contains("_history"));
        let audit = image.is(&["auditctl"])
            && image.has_arg(&["-a", "-A"])
            && image.args().any(|arg| arg.contains("execve") || arg == "read");
        let login = image.is_shell()
            && image.told().is_some_and(|t| t.contains("pam_tty_audit") && t.contains("enable"));
        let sign = match (prompt, history, audit, login) {
            (true, ..) => "a prompt that hands on the history",
            (_, true, ..) => "the history sent to the log",
            (_, _, true, _) => "audit rules for every command",
            (.., true) => "terminals recorded at login",
            _ => continue,
        };
        hits.add(image.event, 13, sign);
    }
}

fn screen(timeline: &Timeline<'_>) -> Option<Finding> {
    let device = |path: &str| {
        path.strip_prefix("/dev/fb").is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()))
            || path.starts_with("/dev/vcs")
    };
    let mut hits = devices(timeline, 14, device, &["Xorg", "plymouthd", "setfont", "setterm"]);
    const TOOLS: &[&str] = &[
        "scrot",
        "xwd",
        "maim",
        "grim",
        "gnome-screenshot",
        "spectacle",
        "flameshot",
        "xfce4-screenshooter",
        "fbgrab",
        "fbcat",
    ];
    for image in started(timeline, TOOLS) {
        hits.add(image.event, 14, image.exact_name());
    }
    for image in started(timeline, &["import", "ffmpeg"]) {
        if image.is(&["import"]) && image.has_arg(&["-window"])
            || image.has_arg(&["x11grab", "kmsgrab"])
        {
            hits.add(image.event, 14, image.exact_name());
        }
    }
    hits.finding("opened or started: ")
}

fn audio(timeline: &Timeline<'_>) -> Option<Finding> {
    let device =
        |path: &str| path.starts_with("/dev/snd/pcm") && path.ends_with('c') || path == "/dev/dsp";
    let servers = &["pulseaudio", "pipewire", "wireplumber", "jackd", "speech-dispatcher"];
    let mut hits = devices(timeline, 14, device, servers);
    for image in started(timeline, &["arecord", "parecord", "parec", "pw-record", "rec"]) {
        if !image.has_arg(&["-l", "-L"]) {
            hits.add(image.event, 14, image.exact_name());
        }
    }
    hits.finding("opened or started: ")
}

fn video(timeline: &Timeline<'_>) -> Option<Finding> {
    let device = |path: &str| path.starts_with("/dev/video");
    let mut hits = devices(timeline, 14, device, &["pipewire", "wireplumber", "v4l2-ctl", "udevd"]);
    for image in started(timeline, &["fswebcam", "streamer", "mjpg_streamer", "motion"]) {
        hits.add(image.event, 14, image.exact_name());
    }
    hits.finding("opened or started: ")
}

fn clipboard(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for image in started(timeline, &["xclip", "xsel", "wl-paste"]) {
        if image.is(&["wl-paste"]) || image.has_arg(&["-o", "-out", "--output", "-ob", "-bo"]) {
            hits.add(image.event, 13, image.exact_name());
        }
    }
    hits.finding("asked: ")
}

/// Whether a piece of a command line names something worth stealing.
fn is_sensitive(word: &str) -> bool {
    const PARTS: &[&str] = &[
        "/etc/passwd",
        "/etc/shadow",
        "/etc/gshadow",
        ".ssh",
        ".aws",
        ".gnupg",
        ".kube",
        ".docker/config",
        ".netrc",
        ".git-credentials",
        ".bash_history",
        ".pgpass",
        ".config/gcloud",
        ".azure",
        ".mozilla",
        ".config/google-chrome",
        ".password-store",
        "wallet.dat",
        "id_rsa",
        "id_ed25519",
        ".kdbx",
        "/etc/sudoers",
        "/etc/ssl/private",
        "/proc/self/environ",
        "keyrings",
    ];
    PARTS.iter().any(|part| word.contains(part)) || word.contains("root:x:0:0:")
}

/// Programs that send what they are given.
const SENDERS: &[&str] = &[
    "curl",
    "wget",
    "nc",
    "ncat",
    "netcat",
    "socat",
    "scp",
    "sftp",
    "rsync",
    "ftp",
    "tftp",
    "lftp",
    "http",
    "https",
    "xh",
    "aws",
    "gsutil",
    "rclone",
    "telnet",
    "mail",
    "mailx",
    "sendmail",
    "mutt",
    "ssh",
    "croc",
    "busybox",
    "openssl",
    "magic-wormhole",
    "wormhole",
];

/// Whether the program was told to send (and not only to fetch).
fn sends(image: &Image<'_>) -> bool {
    if image.is(&["curl"]) {
        const FLAGS: &[&str] = &[
            "-F",
            "--form",
            "-T",
            "--upload-file",
            "-d",
            "--data",
            "--data-binary",
            "--data-raw",
            "--data-urlencode",
            "--post301",
            "--json",
        ];
        return image.args().any(|arg| {
            FLAGS.contains(&arg)
                || FLAGS.iter().any(|flag| arg.starts_with(&format!("{flag}=")))
                || ((arg.starts_with("-F") || arg.starts_with("-T") || arg.starts_with("-d"))
                    && arg.len() > 2)
        });
    }
    if image.is(&["wget"]) {
        return image.args().any(|arg| arg.starts_with("--post") || arg.starts_with("--body"));
    }
    if image.is(&["scp", "rsync"]) {
        return image.operands().last().is_some_and(|to| to.contains(':'));
    }
    if image.is(&["busybox"]) {
        return image.has_arg(&["nc", "wget", "ftpput", "telnet"]);
    }
    if image.is(&["openssl"]) {
        return image.has_arg(&["s_client"]);
    }
    true
}

fn upload(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    let archives = archives(timeline);
    for image in timeline.attempted().filter(|image| image.is(SENDERS) && sends(image)) {
        let own = image.is(&["ssh", "scp", "sftp", "rsync"]);
        let names = image.args().any(|word| {
            let identity = own && (word.contains("id_") || word.contains(".pem"));
            is_sensitive(word) && !identity
                || archives.iter().any(|archive| word.contains(archive.as_str()))
        });
        let cwd = &timeline.recording.run.cwd;
        let packed = image.is(&["curl", "wget", "nc", "ncat", "ftp", "tftp"])
            && image.args().any(is_bare_address)
            && image.args().any(|word| is_packed_away(word, cwd));
        if !names && packed {
            hits.add(image.event, 13, image.exact_name());
        } else if names {
            hits.add(image.event, 20, image.exact_name());
        } else if image.is(&["ssh"]) && image.args().any(packs_far_secrets) {
            hits.add(image.event, 14, image.exact_name());
        } else if image.is(&["wget"]) && posts_from_elsewhere(image, cwd) {
            hits.add(image.event, 13, image.exact_name());
        } else if let Some(reader) = fed_by(timeline, image) {
            hits.add(image.event, 20, image.exact_name());
            hits.context.push(reader);
        }
    }
    for image in timeline.attempted() {
        if image.text().is_some_and(|text| image.is_shell() && text_uploads(text)) {
            hits.add(image.event, 18, image.exact_name());
        }
    }
    hits.finding("sent by ")
}

/// A machine that no name leads to.
fn is_bare_address(word: &str) -> bool {
    let host = word.split_once("://").map_or(word, |(_, rest)| rest);
    let host = host.split(['/', ':']).next().unwrap_or(host);
    host.parse::<std::net::IpAddr>().is_ok_and(|ip| !ip.is_loopback())
}

/// wget sends a file that does not belong to the work: nobody downloads with a file in hand.
fn posts_from_elsewhere(image: &Image<'_>, cwd: &types::Text) -> bool {
    let file = image.args().find_map(|arg| arg.strip_prefix("--post-file="));
    file.is_some_and(|file| file.starts_with('/') && !paths::under(file, &paths::clean(cwd)))
}

/// An archive in a folder that anybody may write to, away from the work.
fn is_packed_away(word: &str, cwd: &types::Text) -> bool {
    const ENDINGS: &[&str] =
        &[".tar", ".tgz", ".tar.gz", ".tar.xz", ".tar.bz2", ".zip", ".7z", ".rar", ".gpg", ".enc"];
    let path = word.find('/').map_or("", |at| &word[at..]);
    let path = path.split(';').next().unwrap_or(path);
    paths::is_scratch(path)
        && !paths::under(path, &paths::clean(cwd))
        && ENDINGS.iter().any(|ending| path.ends_with(ending))
}

/// A command for the other end that packs its system's or everybody's files.
fn packs_far_secrets(command: &str) -> bool {
    let packs = command.split(['(', ';', '&', '|']).any(|part| part.trim().starts_with("tar "));
    packs && ["/etc", "/home", "/root", "/var/lib"].iter().any(|folder| command.contains(folder))
}

/// Archives that the run made of sensitive files, by name.
fn archives(timeline: &Timeline<'_>) -> Vec<String> {
    const PACKERS: &[&str] = &["tar", "zip", "7z", "7za", "rar", "gpg", "openssl", "gzip", "cp"];
    timeline
        .attempted()
        .filter(|image| image.is(PACKERS) && image.args().any(is_sensitive))
        .flat_map(|image| image.operands().filter(|word| !is_sensitive(word)))
        .map(|word| paths::name(word).to_owned())
        .filter(|name| name.contains('.') && name.len() > 4)
        .collect()
}

/// The neighbour in the pipeline that reads something sensitive into the program's input.
fn fed_by(timeline: &Timeline<'_>, image: &Image<'_>) -> Option<usize> {
    let input = image.stdio.first().is_none_or(|stream| *stream == StdioKind::Pipe);
    let process = timeline.runner(image).filter(|_| input)?;
    timeline
        .siblings(process)
        .flat_map(|p| timeline.images_of(p))
        .find(|other| {
            other.is(&["cat", "tar", "base64", "gzip", "xxd", "zip", "head", "grep"])
                && other.args().any(is_sensitive)
        })
        .map(|other| other.event)
}

/// Redirections and bash's network devices do the sending without a program.
fn text_uploads(text: &str) -> bool {
    let out =
        text.contains("> /dev/tcp/") || text.contains(">/dev/tcp/") || text.contains(">/dev/udp/");
    let netcat = (text.contains("nc ") || text.contains("ncat ")) && text.contains("< ");
    let piped = text.split([';', '\n']).any(|statement| {
        let mut parts = statement.split('|');
        let first = parts.next().unwrap_or("");
        let sender = |part: &str| {
            let program = part.split_whitespace().next().unwrap_or("");
            matches!(program, "nc" | "ncat" | "netcat" | "curl" | "telnet" | "socat" | "openssl")
        };
        is_sensitive(first) && parts.any(sender)
    });
    let locked = text.split([';', '\n']).any(|statement| {
        let programs: Vec<&str> = statement
            .split('|')
            .filter_map(|part| part.split_whitespace().find(|word| *word != "sudo"))
            .map(paths::name)
            .collect();
        let at = |names: &[&str]| programs.iter().position(|program| names.contains(program));
        let packed = at(&["tar", "zip", "cpio", "gzip"]);
        let ciphered = at(&["openssl", "gpg", "ccrypt"]);
        let sent = at(&["ssh", "nc", "ncat", "netcat", "curl", "socat", "telnet"]);
        packed < ciphered && ciphered < sent && packed.is_some()
    });
    ((out || netcat) && is_sensitive(text)) || piped || locked
}

/// The last upload of each process, and the last below it.
#[derive(Default)]
struct Uploads {
    own: BTreeMap<usize, usize>,
    below: BTreeMap<usize, usize>,
}

impl Uploads {
    fn new(timeline: &Timeline<'_>) -> Self {
        let mut uploads = Self::default();
        for (index, _) in said(timeline).filter(|(_, said)| said.uploads()) {
            let Some(process) = timeline.process(index) else { continue };
            uploads.own.insert(process, index);
            for ancestor in timeline.lineage(process) {
                uploads.below.insert(ancestor, index);
            }
        }
        uploads
    }

    /// The last upload by this process, one it descends from or one below it.
    fn of(&self, timeline: &Timeline<'_>, process: usize) -> Option<usize> {
        let above = timeline.lineage(process).filter_map(|ancestor| self.own.get(&ancestor));
        above.chain(self.below.get(&process)).copied().max()
    }
}

fn read_and_send(timeline: &Timeline<'_>) -> Option<Finding> {
    let uploads = Uploads::new(timeline);
    for read in timeline.reads.iter().filter(|read| is_sensitive(&read.path)) {
        let (image, event) = (timeline.image(read.event), &timeline.events[read.event]);
        let public = read.path == "/etc/passwd"
            || read.path.ends_with("known_hosts")
            || read.path.ends_with(".pub")
            || read.path.ends_with("/config")
            || read.path.ends_with(".netrc")
            || read.path.ends_with(".docker/config.json");
        let made_here = timeline.written_before(&read.path, read.event).is_some();
        if public || made_here || !image.is_own_will() || image.is_package_tool() || event.blocked {
            continue;
        }
        let process = timeline.process(read.event);
        let uploaded = process.and_then(|process| uploads.of(timeline, process));
        if let Some(sent) = uploaded.filter(|&sent| sent > read.event) {
            let to = Said::of(&timeline.events[sent]).map(|said| said.to()).unwrap_or_default();
            let summary = format!(
                "{} read {} and data was sent to {}",
                show(image.exact_name()),
                show(&read.path),
                show(&to)
            );
            return Some(Finding::new(24, summary, vec![read.event, sent]));
        }
        let sent = timeline.connections.iter().copied().find(|&index| {
            index > read.event
                && timeline.process(index) == process
                && matches!(timeline.events[index].kind, Kind::Connect { peer: Endpoint::Inet { port, .. } } if port != 53)
        });
        if let Some(sent) = sent {
            let summary = format!(
                "{} read {} and then connected",
                show(image.exact_name()),
                show(&read.path)
            );
            return Some(Finding::new(18, summary, vec![read.event, sent]));
        }
    }
    None
}

fn drop_site(timeline: &Timeline<'_>) -> Option<Finding> {
    const SITES: &[&str] = &[
        "pastebin.com",
        "paste.ee",
        "hastebin.com",
        "dpaste.com",
        "termbin.com",
        "ix.io",
        "transfer.sh",
        "file.io",
        "0x0.st",
        "anonfiles.com",
        "gofile.io",
        "catbox.moe",
        "bashupload.com",
        "webhook.site",
        "requestbin.com",
        "pipedream.net",
        "beeceptor.com",
        "oast.fun",
        "oast.pro",
        "oast.live",
        "oast.site",
        "oast.online",
        "oast.me",
        "oastify.com",
        "interact.sh",
        "burpcollaborator.net",
        "dnslog.cn",
        "ceye.io",
        "api.telegram.org",
        "discord.com/api/webhooks",
        "discordapp.com/api/webhooks",
        "hooks.slack.com",
        "temp.sh",
        "send.exploit.in",
        "canarytokens.com",
        "requestrepo.com",
        "pastes.io",
        "paste.rs",
        "paste.c-net.org",
        "sprunge.us",
        "clbin.com",
        "ghostbin.com",
        "dpaste.org",
        "tmpfiles.org",
        "filebin.net",
        "content.dropboxapi.com",
        "rentry.co",
    ];
    let mut hits = Hits::default();
    for image in timeline.attempted().filter(|image| image.is(SENDERS) || image.text().is_some()) {
        if let Some(site) = SITES.iter().find(|site| image.mentions(site)) {
            hits.add(image.event, 13, site);
        }
    }
    for (index, event) in timeline.events.iter().enumerate() {
        if let Some(name) = question(event) {
            let site =
                SITES.iter().find(|site| name == **site || name.ends_with(&format!(".{site}")));
            if let Some(site) = site {
                hits.add(index, 13, site);
            }
        }
    }
    hits.finding("contacted or tried: ")
}
