//! Python, Node or shell: by the ending of the name, else by what the first lines look like.
//!
//! A wrong guess costs a run that ends in a syntax error, not safety; so a guess is made only when
//! one language is clearly ahead.

use super::{Interpreter, Refused};

/// Points that a language needs, and needs more than the next one.
const SCORE_MIN: u32 = 2;
/// Lines that are looked at.
const LINES_MAX: usize = 400;

/// The language of plausible text.
pub(super) fn language(head: &[u8], name: &str) -> Result<Interpreter, Refused> {
    if let Some(interpreter) = by_name(name) {
        return Ok(interpreter);
    }
    let text = String::from_utf8_lossy(head);
    let text = text.trim_start_matches('\u{feff}');
    if let Some(what) = document(text) {
        return Err(Refused::PlainText { what });
    }
    let mut points = [0_u32; 3];
    for line in text.lines().take(LINES_MAX) {
        let line = line.trim();
        points[0] += python(line);
        points[1] += node(line);
        points[2] += shell(line);
    }
    let languages = [Interpreter::Python3, Interpreter::Node, Interpreter::Sh];
    let mut ranked: Vec<_> = points.into_iter().zip(languages).collect();
    ranked.sort_by_key(|(points, _)| std::cmp::Reverse(*points));
    match ranked.as_slice() {
        [(first, language), (second, _), ..] if *first >= SCORE_MIN && first > second => {
            Ok(*language)
        }
        _ => Err(Refused::PlainText { what: "text" }),
    }
}

fn by_name(name: &str) -> Option<Interpreter> {
    let (_, ending) = name.rsplit_once('.')?;
    match ending.to_ascii_lowercase().as_str() {
        "py" | "pyw" => Some(Interpreter::Python3),
        "js" | "mjs" | "cjs" => Some(Interpreter::Node),
        "sh" => Some(Interpreter::Sh),
        "bash" => Some(Interpreter::Bash),
        _ => None,
    }
}

/// Text that is a document rather than a program.
fn document(text: &str) -> Option<&'static str> {
    let start = text.trim_start();
    if start.starts_with("<?php") {
        return Some("PHP");
    }
    if start.starts_with('<') {
        return Some("an HTML or XML document");
    }
    // A shell block `{ …; }` is no JSON; JSON's first key or value stands right after the bracket.
    let json = |after: &str| {
        let first = after.trim_start();
        first.starts_with(['"', '{', '[', '}', ']'])
    };
    let json = start.strip_prefix('{').is_some_and(json)
        || start.strip_prefix('[').is_some_and(|after| json(after) && !after.starts_with('['));
    json.then_some("a JSON document")
}

fn python(line: &str) -> u32 {
    let word = |prefix: &str| line.strip_prefix(prefix);
    let block = line.ends_with(':');
    let import = word("import ").is_some_and(|rest| !rest.contains(['\'', '"', '{']))
        || (line.starts_with("from ") && line.contains(" import "));
    let definition = block && (line.starts_with("def ") || line.starts_with("async def "));
    let class = block && line.starts_with("class ");
    let flow = block
        && ["if ", "elif ", "else:", "for ", "while ", "try:", "except", "with "]
            .iter()
            .any(|start| line.starts_with(start));
    let print = line.starts_with("print(") || line.contains("coding: ") && line.starts_with('#');
    let own = line.contains("self.") || line.contains("__name__");
    u32::from(import) * 2
        + u32::from(definition) * 2
        + u32::from(print) * 2
        + u32::from(class)
        + u32::from(flow)
        + u32::from(own)
}

fn node(line: &str) -> u32 {
    let require = line.contains("require(") || line.contains("module.exports");
    let import = line.starts_with("import ") && line.contains(['\'', '"'])
        || line.starts_with("export default");
    let console = line.contains("console.log(") || line.contains("console.error(");
    let declaration = ["const ", "let ", "var "].iter().any(|start| line.starts_with(start))
        && line.contains('=');
    let function = line.contains("=>") || (line.contains("function") && line.contains('{'));
    let end = line.ends_with("});") || line.ends_with("};");
    let process = line.contains("process.argv") || line.contains("process.env");
    u32::from(require) * 2
        + u32::from(import) * 2
        + u32::from(console) * 2
        + u32::from(declaration)
        + u32::from(function)
        + u32::from(end)
        + u32::from(process)
}

fn shell(line: &str) -> u32 {
    const COMMANDS: [&str; 28] = [
        "echo ", "cd ", "curl ", "wget ", "chmod ", "chown ", "mkdir ", "rm ", "cp ", "mv ",
        "cat ", "grep ", "sed ", "awk ", "tar ", "sudo ", "apt-get ", "exec ", "source ", "touch ",
        "sleep ", "kill ", "nohup ", "printf ", "ln ", "find ", "trap ", "read ",
    ];
    let option = line.starts_with("set -") || line.starts_with("shopt ");
    let command = COMMANDS.iter().any(|command| line.starts_with(command));
    let test = line.starts_with("if [") || line.starts_with("while [") || line.contains("; then");
    let keyword = matches!(line, "then" | "fi" | "done" | "esac" | "do" | ";;");
    let expansion = line.contains("$(") || line.contains("${") && !line.contains('`');
    let export = line.strip_prefix("export ").is_some_and(|rest| !rest.contains(' '));
    let joined = line.contains(" | ") || line.contains(" && ") && !line.contains('(');
    u32::from(option) * 2
        + u32::from(command)
        + u32::from(test) * 2
        + u32::from(keyword) * 2
        + u32::from(expansion)
        + u32::from(export)
        + u32::from(joined)
}
