//! From sources to compiled rules, with everything that was left out and why.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use yara_x::errors::{CompileError, VariableError};
use yara_x::{Compiler, IgnoredRuleReason, SourceCode};

use super::About;
use crate::folder::Source;
use crate::report::Skipped;

/// Rules, and what is known of them.
pub(crate) struct Compiled {
    pub(crate) rules: yara_x::Rules,
    pub(crate) about: Vec<About>,
    /// Index into `about` by namespace (the file) and name.
    pub(crate) order: BTreeMap<(String, String), usize>,
    pub(crate) left_out: Vec<LeftOut>,
}

/// A rule, or part of a file, that was not compiled.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LeftOut {
    file: String,
    reason: String,
    detail: String,
    broken: bool,
}

impl From<LeftOut> for Skipped {
    fn from(left: LeftOut) -> Self {
        let LeftOut { file, reason, detail, broken } = left;
        Skipped { file, reason, detail, broken }
    }
}

impl Compiled {
    pub(crate) fn new(rules: yara_x::Rules, left_out: Vec<LeftOut>) -> Self {
        let about: Vec<About> = rules.iter().map(|rule| super::about(&rule)).collect();
        let key = |about: &About| (about.file.clone(), about.name.clone());
        let order = about.iter().enumerate().map(|(index, about)| (key(about), index)).collect();
        Self { rules, about, order, left_out }
    }
}

/// Modules of YARA that are not built in: they read formats of other systems.
const ABSENT: &[&str] = &[
    "pe", "dotnet", "macho", "dex", "crx", "lnk", "msi", "olecf", "vba", "zip", "cuckoo", "magic",
    "vt",
];

/// Variables that other scanners give to rules; here they are empty.
const GIVEN_BY_OTHERS: &[&str] = &["filename", "filepath", "extension", "filetype", "owner"];

/// Longest pattern list of warnings the compiler keeps; they are not shown.
const WARNINGS_MAX: usize = 16;

/// Compiles every source in a namespace of its own, so that two files may use the same names.
pub(crate) fn compile(sources: &[Source]) -> Result<Compiled, String> {
    let mut compiler = Compiler::new();
    compiler.enable_includes(false).relaxed_re_syntax(true).max_warnings(WARNINGS_MAX);
    for module in ABSENT {
        compiler.ignore_module(*module);
    }
    let fault = |error: VariableError| error.to_string();
    compiler.define_global("place", "").map_err(fault)?;
    for name in GIVEN_BY_OTHERS {
        compiler.define_global(name, "").map_err(fault)?;
    }
    let mut left_out = Vec::new();
    for source in sources {
        compiler.new_namespace(&source.name);
        let (known, before) = (compiler.errors().len(), compiler.ignored_rules().len());
        let code = SourceCode::from(source.text.as_str()).with_origin(&source.name);
        // The first error comes back, all of them are kept, and the rules that are right are taken.
        let _ = compiler.add_source(code);
        let new = compiler.errors().get(known..).unwrap_or_default();
        left_out.extend(new.iter().map(|error| refused(&source.name, error)));
        let rules = compiler.ignored_rules().skip(before);
        left_out.extend(rules.filter_map(|(rule, why)| ignored(&source.name, rule, &why)));
    }
    Ok(Compiled::new(compiler.build(), left_out))
}

fn refused(file: &str, error: &CompileError) -> LeftOut {
    // The compiler draws the source with an arrow; its first two lines say what and where.
    let text = error.to_string();
    let lines: Vec<&str> = text.lines().take(2).map(str::trim).collect();
    let (file, reason) = (file.to_owned(), "not valid".to_owned());
    LeftOut { file, reason, detail: lines.join(" "), broken: true }
}

fn ignored(file: &str, rule: &str, reason: &IgnoredRuleReason<'_>) -> Option<LeftOut> {
    let reason = match reason {
        IgnoredRuleReason::IgnoredModule(module) => format!("module {module}"),
        IgnoredRuleReason::IgnoredRule(_) => "needs a rule that is left out".to_owned(),
        // Told with the errors.
        IgnoredRuleReason::CompileError(_) => return None,
    };
    Some(LeftOut { file: file.to_owned(), reason, detail: rule.to_owned(), broken: false })
}
