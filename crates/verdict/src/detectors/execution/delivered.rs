//! Programs that arrived in another form and were turned into one here: decoded, or compiled.

use crate::detector::{Finding, Hits};
use crate::paths;
use crate::timeline::{How, Image, Timeline};

/// Files that a decoder wrote and that were then executed or given to an interpreter.
pub(super) fn decoded(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for image in timeline.attempted() {
        let script = image.script_path().filter(|_| image.is_interpreter());
        let paths = std::iter::once(image.path.as_ref()).chain(script.as_deref());
        for path in paths.filter(|path| !path.is_empty()) {
            if let Some((write, decoder)) = decoder_of(timeline, path, image.event) {
                hits.add(image.event, 16, path);
                hits.context.extend([write, decoder]);
            }
        }
    }
    hits.finding("decoded and then executed: ")
}

/// The write of `path` by a decoder, or by the shell that became one, and the decoder's start.
fn decoder_of(timeline: &Timeline<'_>, path: &str, before: usize) -> Option<(usize, usize)> {
    timeline.touches_of(path).filter(|touch| touch.event < before).find_map(|touch| {
        let placed = matches!(touch.how, How::Open { fresh: true } | How::Write);
        let process = timeline.process(touch.event).filter(|_| placed)?;
        let decoder = timeline
            .images_of(process)
            .find(|image| decodes(image) && !image.is_package_tool() && image.event < before)?;
        Some((touch.event, decoder.event))
    })
}

/// A program that was asked to turn text into what it stands for.
pub(super) fn decodes(image: &Image<'_>) -> bool {
    let any = |parts: &[&str]| {
        image.text().is_some_and(|text| parts.iter().any(|part| text.contains(part)))
    };
    let short = |letter: char| {
        image.args().any(|arg| {
            arg.len() > 1 && !arg.starts_with("--") && arg.starts_with('-') && arg.contains(letter)
        })
    };
    (image.is(&["base64", "base32", "basenc"])
        && (short('d') || short('D') || image.has_arg(&["--decode"])))
        || (image.is(&["xxd"]) && short('r'))
        || (image.is(&["openssl"])
            && image.has_arg(&["-d", "-D"])
            && image.has_arg(&["enc", "base64", "-base64", "-a"]))
        || image.is(&["uudecode"])
        || (image.is(&["unzip"]) && image.has_arg(&["-P"]))
        || (image.is(&["7z", "7za", "7zz"])
            && image.has_arg(&["x", "e"])
            && image.args().any(|arg| arg.starts_with("-p") && arg.len() > 2))
        || (image.is(&["python", "perl", "ruby", "php", "node"])
            && any(&["b64decode", "decode_base64", "unhexlify", "base64_decode", "decode64"]))
}

/// Sources that a downloader was to fetch, given to a compiler.
pub(super) fn compiled(timeline: &Timeline<'_>) -> Option<Finding> {
    const COMPILERS: &[&str] =
        &["cc", "gcc", "g++", "c++", "clang", "clang++", "tcc", "rustc", "mcs", "gfortran"];
    const SOURCES: &[&str] = &[".c", ".cc", ".cpp", ".rs", ".cs", ".s", ".S", ".f90"];
    let mut hits = Hits::default();
    for image in timeline.attempted().filter(|image| image.is(COMPILERS)) {
        let builds = timeline
            .runner(image)
            .is_some_and(|process| timeline.ancestry(process).skip(1).any(Image::is_package_tool));
        let sources = image.operands().filter(|arg| SOURCES.iter().any(|end| arg.ends_with(end)));
        for source in sources.filter(|_| !builds) {
            let path = paths::normal(&format!("{}/{source}", image.cwd)).into_owned();
            let path = if source.starts_with('/') { source.to_owned() } else { path };
            let fetched = timeline.touches_of(&path).find(|touch| {
                touch.event < image.event
                    && timeline.image(touch.event).is(super::FETCHERS)
                    && timeline.events[touch.event].happened()
            });
            if let Some(touch) = fetched {
                hits.add(image.event, 14, &path);
                hits.context.push(touch.event);
            }
        }
    }
    hits.finding("fetched and compiled: ")
}
