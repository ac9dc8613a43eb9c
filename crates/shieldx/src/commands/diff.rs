//! `shieldx diff`: what one recorded run did that another did not.

use std::collections::BTreeMap;

use serde::Serialize;
use types::Verdict;

use super::replay::load;
use crate::engine;
use crate::environment::Environment;
use crate::exit::Exit;
use crate::failure::{self, Failure};
use crate::output;
use crate::report::behaviour::{self, Aspect, Behaviour};
use crate::report::reading::Recorded;
use crate::request::DiffRequest;

/// Facts of one aspect that the text shows; `--all` shows every one, `--json` always does.
const SHOWN_MAX: usize = 12;

/// The comparison as JSON.
#[derive(Debug, Serialize)]
struct Comparison<'a> {
    /// `shieldx.diff/1`.
    schema: &'static str,
    old: Side,
    new: Side,
    added: Vec<Change<'a>>,
    gone: Vec<Change<'a>>,
}

#[derive(Debug, Serialize)]
struct Side {
    run: String,
    command: Vec<types::Text>,
    verdict: Verdict,
    score: u32,
    evidence: types::Level,
}

#[derive(Debug, Serialize)]
struct Change<'a> {
    aspect: Aspect,
    fact: &'a str,
    /// The first events that show it, in the report that has it.
    events: &'a [u64],
}

/// One recording and its behaviour, judged by the detectors of this version.
struct Judged {
    recorded: Recorded,
    assessment: types::Assessment,
    behaviour: Behaviour,
}

impl Judged {
    fn side(&self) -> Side {
        Side {
            run: self.recorded.recording.run.id.clone(),
            command: self.recorded.recording.run.command.clone(),
            verdict: self.assessment.verdict,
            score: self.assessment.score,
            evidence: self.assessment.evidence.level,
        }
    }
}

/// Compares two recordings. Both are judged anew, so that an older program's verdict does not look
/// like a change of behaviour.
///
/// # Errors
/// When one cannot be read or the result not be written.
pub fn diff(request: &DiffRequest, environment: &Environment) -> Result<Exit, Failure> {
    let judged = |source| {
        let recorded = load(source)?;
        let assessment = engine::assess(&recorded.recording, recorded.options);
        let behaviour = behaviour::of(&recorded.recording, &assessment);
        Ok::<_, Failure>(Judged { recorded, assessment, behaviour })
    };
    let (old, new) = (judged(&request.old)?, judged(&request.new)?);
    for side in [&old, &new] {
        if side.assessment.evidence.level == types::Level::Incomplete {
            let run = &side.recorded.recording.run.id;
            failure::note(&format!(
                "the evidence of run {run} is incomplete: what is missing in it may have happened"
            ));
        }
    }
    let added = behaviour::added(&old.behaviour, &new.behaviour);
    let gone = behaviour::added(&new.behaviour, &old.behaviour);
    let same = added.is_empty() && gone.is_empty();
    let failed = |error| Failure::of(Exit::Failed, &error);
    if request.json {
        let comparison = Comparison {
            schema: "shieldx.diff/1",
            old: old.side(),
            new: new.side(),
            added: changes(&added),
            gone: changes(&gone),
        };
        output::to_stdout(|out| {
            serde_json::to_writer_pretty(&mut *out, &comparison)?;
            out.write_all(b"\n")
        })
        .map_err(failed)?;
    } else {
        let color = environment.color(request.color, environment.stdout_terminal);
        let text = text(&old, &new, &added, &gone, Show { color, all: request.all });
        output::to_stdout(|out| out.write_all(text.as_bytes())).map_err(failed)?;
    }
    Ok(if same { Exit::Success } else { Exit::Differs })
}

type Facts<'a> = BTreeMap<Aspect, Vec<(&'a str, &'a [u64])>>;

fn changes<'a>(facts: &Facts<'a>) -> Vec<Change<'a>> {
    let change = |aspect: Aspect| move |&(fact, events)| Change { aspect, fact, events };
    facts.iter().flat_map(|(aspect, list)| list.iter().map(change(*aspect))).collect()
}

#[derive(Clone, Copy)]
struct Show {
    color: bool,
    all: bool,
}

fn text(old: &Judged, new: &Judged, added: &Facts<'_>, gone: &Facts<'_>, show: Show) -> String {
    let side = |judged: &Judged| {
        let Side { run, command, verdict, score, .. } = judged.side();
        let command: Vec<String> = command.iter().map(ToString::to_string).collect();
        format!("{verdict}, score {score}  {}  (run {run})", command.join(" "))
    };
    let mut text = format!("old  {}\nnew  {}\n", side(old), side(new));
    if added.is_empty() && gone.is_empty() {
        text.push_str("\nnothing differs in what was seen\n");
    }
    let parts = [
        ("+", "only in the new run", added, "\x1b[32m"),
        ("-", "only in the old run", gone, "\x1b[31m"),
    ];
    for (mark, title, facts, color) in parts {
        if facts.is_empty() {
            continue;
        }
        text.push_str(&format!("\n{title}\n"));
        for (aspect, list) in facts {
            text.push_str(&format!("  {}\n", aspect.as_str()));
            let shown = if show.all { list.len() } else { SHOWN_MAX };
            for (fact, events) in list.iter().take(shown) {
                let ids: Vec<String> = events.iter().map(|id| format!("#{id}")).collect();
                let (on, off) = if show.color { (color, "\x1b[0m") } else { ("", "") };
                text.push_str(&format!("    {on}{mark} {fact}{off}  {}\n", ids.join(" ")));
            }
            if list.len() > shown {
                let more = list.len() - shown;
                text.push_str(&format!("      and {more} more (--all shows them)\n"));
            }
        }
    }
    text
}
