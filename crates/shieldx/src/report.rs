//! Shows a judged recording: JSON for programs, a terminal report and a page for people.
//!
//! Nothing here computes a verdict or changes one. Everything a sample controls is shown through
//! `Text`'s escape and, in the page, through the template's.

pub mod anomaly;
pub mod behaviour;
pub mod digest;
pub mod document;
#[cfg(test)]
pub(crate) mod fixtures;
pub mod folders;
pub mod html;
pub mod navigator;
pub mod package;
pub mod reading;
pub mod sarif;
pub mod stix;
pub mod terminal;
pub mod tree;
pub mod words;

use types::{Assessment, Recording};

/// One run with its verdict.
#[derive(Debug, Clone, Copy)]
pub struct Judged<'a> {
    pub recording: &'a Recording,
    pub assessment: &'a Assessment,
    /// What the assessment was asked for, so that it can be asked again.
    pub options: document::AssessOptions,
}
