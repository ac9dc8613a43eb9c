//! How the sample's programs came to run: fetched, decoded, dropped, hidden, or under a false name.

mod altered;
mod delivered;
mod disguise;
mod text;

use types::{Endpoint, Kind, StdioKind};

use crate::attack::{
    BINARY_PADDING, COMMAND_OBFUSCATION, COMPILE_AFTER_DELIVERY, DEOBFUSCATE, EMBEDDED_PAYLOADS,
    HIDDEN_FILES, MASQUERADE_FILE_TYPE, MASQUERADE_SPACE, MASQUERADE_TASK, MATCH_LEGITIMATE_NAME,
    RENAME_UTILITIES, TOOL_TRANSFER,
};
use crate::detector::{Detector, Finding, Hits, Info, TierC, show};
use crate::paths;
use crate::timeline::{How, Image, Timeline};

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
            "download-execute",
            "Downloaded and executed",
            TOOL_TRANSFER,
            "a file that a process with a network connection wrote, then executed or given to an \
             interpreter; also when the download failed",
            &["connect", "open", "write", "chmod", "exec"],
        ),
        find: download,
    },
    Detector {
        info: info(
            "download-to-shell",
            "Download piped into a shell",
            TOOL_TRANSFER,
            "a shell or interpreter that reads its program from a pipe next to a downloader",
            &["exec", "connect"],
        ),
        find: download_pipe,
    },
    Detector {
        info: info(
            "decode-to-shell",
            "Decoded and executed",
            DEOBFUSCATE,
            "a shell or interpreter that reads its program from a pipe next to a decoder",
            &["exec"],
        ),
        find: decode_pipe,
    },
    Detector {
        info: info(
            "decoded-program",
            "Decoded to a file and executed",
            DEOBFUSCATE,
            "a file that a decoder wrote, then executed or given to an interpreter",
            &["open", "exec"],
        ),
        find: delivered::decoded,
    },
    Detector {
        info: info(
            "compiled-after-delivery",
            "Fetched as source and compiled",
            COMPILE_AFTER_DELIVERY,
            "source that a downloader wrote, given to a compiler outside of a build tool",
            &["open", "exec"],
        ),
        find: delivered::compiled,
    },
    Detector {
        info: info(
            "obfuscated-command",
            "Program text hidden in an encoding",
            COMMAND_OBFUSCATION,
            "text in arguments that decodes and then runs itself",
            &["exec"],
        ),
        find: text::obfuscated,
    },
    Detector {
        info: Info {
            id: "dropped-program",
            title: "Program dropped and executed",
            attack: EMBEDDED_PAYLOADS,
            looks_for: "a native program written by a script or decoder, then executed",
            needs: &["write", "exec"],
            tier_c: TierC::Blind("what is written is unknown"),
        },
        find: dropped,
    },
    Detector {
        info: info(
            "hidden-program",
            "Hidden program executed",
            HIDDEN_FILES,
            "a program whose name starts with a dot, or that lies in shared memory or a hidden \
             scratch folder",
            &["exec"],
        ),
        find: disguise::hidden,
    },
    Detector {
        info: info(
            "misleading-name",
            "Program with a misleading name",
            MASQUERADE_SPACE,
            "a program or script below a name that ends in a space or a folder named with dots only",
            &["exec"],
        ),
        find: disguise::misleading,
    },
    Detector {
        info: info(
            "false-file-type",
            "Program disguised as a document",
            MASQUERADE_FILE_TYPE,
            "execution of a file that is named like a picture or document, or an interpreter given one",
            &["exec"],
        ),
        find: disguise::false_type,
    },
    Detector {
        info: info(
            "false-task-name",
            "Process named like a kernel thread or service",
            MASQUERADE_TASK,
            "a process that calls itself like a kernel thread or a system service",
            &["exec", "set_name"],
        ),
        find: disguise::task_name,
    },
    Detector {
        info: info(
            "false-program-name",
            "Program named like a system service",
            MATCH_LEGITIMATE_NAME,
            "a program outside the system's folders that is named like a service of the system",
            &["exec"],
        ),
        find: disguise::program_name,
    },
    Detector {
        info: info(
            "renamed-utility",
            "System program copied under another name",
            RENAME_UTILITIES,
            "a copy of a system program executed under another name",
            &["exec", "link"],
        ),
        find: disguise::renamed,
    },
    Detector {
        info: info(
            "padded-program",
            "Program made longer by filler",
            BINARY_PADDING,
            "zeros or noise appended to a file outside of the working folder, or anything to a copy of \
             a system program",
            &["open", "truncate", "exec"],
        ),
        find: altered::padded,
    },
];

/// Programs that fetch.
const FETCHERS: &[&str] = &[
    "curl",
    "wget",
    "fetch",
    "aria2c",
    "axel",
    "lynx",
    "links",
    "w3m",
    "ftp",
    "tftp",
    "sftp",
    "scp",
    "nc",
    "ncat",
    "netcat",
    "socat",
    "http",
    "https",
    "xh",
    "GET",
    "lwp-download",
    "lftp",
];

/// Whether the process reached for the network before the event.
fn online(timeline: &Timeline<'_>, process: usize, until: usize) -> Option<usize> {
    timeline.connections.iter().copied().take_while(|&index| index < until).find(|&index| {
        timeline.process(index) == Some(process)
            && matches!(
                timeline.events[index].kind,
                Kind::Connect { peer: Endpoint::Inet { .. } } | Kind::Accept { .. }
            )
    })
}

fn download(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut best: Option<Finding> = None;
    for image in timeline.attempted() {
        let Some((fetch, mut events)) = fetched(timeline, image) else { continue };
        if timeline.image(fetch).is_package_tool() {
            continue;
        }
        events.push(image.event);
        let weight = if image.happened { 26 } else { 15 };
        let summary = format!(
            "{} was fetched by {} and executed",
            show(&image.script_path().unwrap_or_else(|| image.path.clone().into_owned())),
            show(timeline.image(fetch).exact_name())
        );
        if best.as_ref().is_none_or(|known| known.weight < weight) {
            best = Some(Finding::new(weight, summary, events));
        }
    }
    best.or_else(|| download_failed(timeline))
}

/// The write by which the program (or the script it was given) came over the network.
fn fetched(timeline: &Timeline<'_>, image: &Image<'_>) -> Option<(usize, Vec<usize>)> {
    let script = if image.is_interpreter() { image.script_path() } else { None };
    let touches = timeline
        .touches_of(&image.path)
        .chain(timeline.touches_of(script.as_deref().unwrap_or("")));
    touches.filter(|touch| touch.event < image.event).find_map(|touch| {
        let process = timeline.process(touch.event)?;
        if !timeline.events[touch.event].happened() || timeline.image(touch.event).is_shell() {
            return None;
        }
        let connection = online(timeline, process, touch.event)
            .or_else(|| timeline.image(touch.event).is(FETCHERS).then_some(touch.event))?;
        (touch.how != How::Changed).then(|| (touch.event, vec![connection, touch.event]))
    })
}

/// A downloader was told a file name, and somebody tried to make that file run.
fn download_failed(timeline: &Timeline<'_>) -> Option<Finding> {
    let target = |image: &Image<'_>| -> Option<String> {
        let words: Vec<&str> = image.args().collect();
        let after = |flags: &[&str]| {
            words.windows(2).find(|pair| flags.contains(&pair[0])).map(|pair| pair[1].to_owned())
        };
        let from_address = || {
            let address = words.iter().rev().find(|word| word.contains("://"))?;
            let name = paths::name(address.split(['?', '#']).next()?);
            (!name.is_empty() && !name.contains(':')).then(|| name.to_owned())
        };
        if image.is(&["curl"]) {
            let remote =
                image.has_arg(&["-O", "--remote-name", "-sO", "-LO", "-sLO", "-OL", "-fsSLO"]);
            after(&["-o", "--output", "-so", "-sLo", "-Lo", "-sSLo", "-fsSLo"])
                .or_else(|| remote.then(from_address).flatten())
        } else if image.is(&["wget"]) {
            after(&["-O", "--output-document", "-qO"]).or_else(from_address)
        } else {
            None
        }
    };
    for fetcher in timeline.attempted().filter(|image| image.is(&["curl", "wget"])) {
        let Some(target) = target(fetcher).filter(|target| target != "-") else { continue };
        let name = paths::name(&target).to_owned();
        let run = timeline.attempted().find(|image| {
            // What was only stated has no time of its own.
            (image.event > fetcher.event || !image.happened)
                && (paths::name(&image.path) == name
                    || image.is(&["chmod"]) && image.operands().any(|arg| paths::name(arg) == name)
                    || image.is_shell() && image.script().is_some_and(|s| paths::name(s) == name))
        });
        if let Some(run) = run {
            let summary = format!("{} was to be fetched and made to run", show(&name));
            return Some(Finding::new(15, summary, vec![fetcher.event, run.event]));
        }
    }
    None
}

/// Shells and interpreters that read their program from standard input, and their neighbours.
fn piped<'t, 'r>(
    timeline: &'t Timeline<'r>,
) -> impl Iterator<Item = (&'t Image<'r>, Vec<&'t Image<'r>>)> + 't {
    timeline.executed().filter_map(|image| {
        let from_input = image.is_interpreter()
            && !image.is(&["awk", "java", "busybox"])
            && image.text().is_none()
            && image.args().all(|arg| {
                matches!(arg, "-" | "-s" | "--" | "-x" | "-e" | "-i" | "-l")
                    || arg.starts_with("-s")
            })
            && image.stdio.first().is_none_or(|stream| *stream == StdioKind::Pipe);
        let process = timeline.runner(image)?;
        from_input.then(|| {
            let beside =
                timeline.siblings(process).flat_map(|p| timeline.images_of(p)).filter(|other| {
                    let output = other.stdio.get(1).is_none_or(|stream| *stream == StdioKind::Pipe);
                    let gap = timeline.events[image.event]
                        .time_ns
                        .abs_diff(timeline.events[other.event].time_ns);
                    other.happened
                        && output
                        && gap < PIPELINE_START_NS
                        && !std::ptr::eq(*other, image)
                });
            (image, beside.collect())
        })
    })
}

/// The parts of one pipeline start within this of each other.
const PIPELINE_START_NS: u64 = 1_000_000_000;

fn download_pipe(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for (image, beside) in piped(timeline) {
        if let Some(fetcher) = beside.iter().find(|other| other.is(FETCHERS)) {
            let got = timeline.runner(fetcher).and_then(|process| {
                online(timeline, process, timeline.events.len())
                    .filter(|&index| timeline.events[index].happened())
            });
            hits.add(image.event, if got.is_some() { 20 } else { 15 }, image.exact_name());
            hits.events.push(fetcher.event);
        }
    }
    for image in timeline.attempted() {
        if image.text().is_some_and(text::runs_download) {
            hits.add(image.event, 15, image.exact_name());
        }
    }
    hits.finding("the download goes to ")
}

fn decode_pipe(timeline: &Timeline<'_>) -> Option<Finding> {
    let decodes = |image: &Image<'_>| {
        (image.is(&["base64", "base32", "basenc"])
            && image.has_arg(&["-d", "-D", "--decode", "-di", "-id"]))
            || (image.is(&["xxd"]) && image.has_arg(&["-r", "-rp", "-pr"]))
            || (image.is(&["openssl"]) && image.has_arg(&["-d", "-D"]))
            || image.is(&["uudecode", "rev", "gpg"]) && !image.has_arg(&["--import"])
            || (image.is(&["tr"]) && image.args().any(|arg| arg.len() > 8 && arg.contains("-z")))
            || (image.is(&["python", "perl"])
                && image
                    .text()
                    .is_some_and(|t| t.contains("b64decode") || t.contains("decode_base64")))
    };
    let mut hits = Hits::default();
    for (image, beside) in piped(timeline) {
        if let Some(decoder) = beside.iter().find(|other| decodes(other)) {
            hits.add(image.event, 20, image.exact_name());
            hits.events.push(decoder.event);
        }
    }
    hits.finding("the decoded text goes to ")
}

fn dropped(timeline: &Timeline<'_>) -> Option<Finding> {
    const DECODERS: &[&str] = &[
        "base64", "base32", "xxd", "openssl", "gpg", "gunzip", "uudecode", "printf", "echo", "dd",
    ];
    const ELF: &str = "7f454c46";
    let mut hits = Hits::default();
    for (index, event) in timeline.events.iter().enumerate() {
        let Kind::Write { path, head, .. } = &event.kind else { continue };
        if !head.starts_with(ELF) {
            continue;
        }
        let (path, writer) = (paths::clean(path), timeline.image(index));
        let by_script = writer.is(&["python", "perl", "ruby", "php", "node", "lua", "awk"])
            || writer.is_shell();
        let carried = writer.is_trusted(DECODERS) || (by_script && !writer.is_package_tool());
        let installing = timeline
            .process(index)
            .is_some_and(|p| timeline.ancestry(p).any(Image::is_package_tool));
        if !carried || installing {
            continue;
        }
        if let Some(run) = timeline.executed().find(|i| i.path == path && i.event > index) {
            hits.add(run.event, 20, &path);
            hits.context.push(index);
        }
    }
    hits.finding("written by a script or decoder, then run: ")
}
