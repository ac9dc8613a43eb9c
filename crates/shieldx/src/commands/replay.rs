//! `shieldx replay`: compute the verdict of a recording again and compare it with the recorded one.

use std::fs::File;
use std::io::{self, Read};

use serde_json::Value;

use crate::engine;
use crate::environment::Environment;
use crate::exit::Exit;
use crate::failure::{self, Failure};
use crate::output;
use crate::report::document;
use crate::report::reading::{self, FILE_MAX_BYTES, Recorded, Unreadable};
use crate::report::terminal::{self, Style};
use crate::report::{Judged, html, navigator, sarif, stix};
use crate::request::{ReplayRequest, Source, show};

/// Replays a recording.
///
/// # Errors
/// When the recording cannot be used or an output not written.
pub fn replay(request: &ReplayRequest, environment: &Environment) -> Result<Exit, Failure> {
    let recorded = load(&request.source)?;
    let assessment = engine::assess(&recorded.recording, recorded.options);
    let judged = Judged {
        recording: &recorded.recording,
        assessment: &assessment,
        options: recorded.options,
    };
    let failed = |error| Failure::of(Exit::Failed, &error);
    if let Some(destination) = &request.html {
        destination.write(|out| out.write_all(html::render(&judged).as_bytes())).map_err(failed)?;
    }
    let formats = [
        (&request.formats.navigator, navigator::layer as fn(&Judged<'_>) -> Value),
        (&request.formats.sarif, sarif::log),
        (&request.formats.stix, stix::bundle),
    ];
    for (destination, format) in formats {
        if let Some(destination) = destination {
            destination
                .write(|out| document::write_value(&format(&judged), out))
                .map_err(failed)?;
        }
    }
    // The same bytes as `run --verdict` wrote: compared as bytes, so that nothing hides behind a
    // lenient comparison.
    let serialise =
        |value| document::verdict_line(value).map_err(|error| Failure::of(Exit::Failed, &error));
    let (now, then) = (serialise(&assessment)?, serialise(&recorded.verdict)?);
    let same = now == then;
    if request.json {
        output::to_stdout(|out| {
            out.write_all(&now)?;
            out.write_all(b"\n")
        })
        .map_err(failed)?;
    } else {
        let style = Style {
            color: environment.color(request.color, environment.stdout_terminal),
            width: environment.width(),
            hint: None,
        };
        let mut text = terminal::render(&judged, style);
        text.push_str(if same { "\nreplay: the recorded verdict, bit for bit\n" } else { "" });
        output::to_stdout(|out| out.write_all(text.as_bytes())).map_err(failed)?;
    }
    if !same {
        failure::note(&difference(&recorded, &assessment));
        return Ok(Exit::Differs);
    }
    let by_verdict = request.fail_on.and_then(|threshold| Exit::of_verdict(&assessment, threshold));
    Ok(by_verdict.unwrap_or(Exit::Success))
}

pub(super) fn load(source: &Source) -> Result<Recorded, Failure> {
    let (name, result) = match source {
        Source::Stdin => ("standard input".into(), reading::read(io::stdin().lock())),
        Source::File(path) => (show(path).to_string(), open(path).and_then(reading::read)),
    };
    result.map_err(|error| {
        let failure = Failure::of(Exit::BadData, &error);
        let message = format!("cannot replay {name}: {}", failure.message);
        Failure { message, hint: error.hint().map(str::to_owned), exit: failure.exit }
    })
}

fn open(path: &std::path::Path) -> Result<impl Read, Unreadable> {
    let file = File::open(path).map_err(Unreadable::Io)?;
    let meta = file.metadata().map_err(Unreadable::Io)?;
    if meta.is_file() && meta.len() > FILE_MAX_BYTES {
        return Err(Unreadable::TooLarge { max_bytes: FILE_MAX_BYTES });
    }
    Ok(file)
}

fn difference(recorded: &Recorded, now: &types::Assessment) -> String {
    let then = &recorded.verdict;
    let why = if then.detectors_version == now.detectors_version {
        "the same detectors give another result, so the recording was changed after the run".into()
    } else {
        format!(
            "it was recorded with detectors {} (shieldx {}), these are {}",
            crate::report::words::safe(&then.detectors_version),
            crate::report::words::safe(&recorded.version),
            now.detectors_version
        )
    };
    format!(
        "the recorded verdict differs: {} with score {} then, {} with score {} now; {why}",
        then.verdict, then.score, now.verdict, now.score
    )
}
