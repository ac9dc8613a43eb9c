//! What a function is made of: its instructions by class, and what makes it dear to compile.
//!
//! Classes go by the opcode byte (WebAssembly 2.0, 5.4); the order of the ranges is that of the
//! specification.

use std::collections::BTreeMap;

use wasmparser::{FunctionBody, Operator};

use super::cost::{BRANCH_TARGETS_MAX, NESTING_MAX, within};
use super::{AnalysisError, malformed};

/// What one function costs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    /// Parameters and locals.
    pub locals: u64,
    /// Blocks, loops and ifs, and one for the body.
    pub blocks: u64,
    /// The loops of them.
    pub loops: u64,
    /// The deepest they are inside each other.
    pub nesting: u64,
    /// Targets of its `br_table`.
    pub branch_targets: u64,
}

/// Counts one function; stops where it passes a bound.
pub(super) fn count(
    body: &FunctionBody<'_>,
    file: &[u8],
    parameters: u64,
    classes: &mut BTreeMap<&'static str, u64>,
) -> Result<Counted, AnalysisError> {
    let mut counted = Counted { locals: parameters, blocks: 1, ..Counted::default() };
    let locals = body.get_locals_reader().map_err(|error| malformed(&error))?;
    for local in locals {
        let (count, _) = local.map_err(|error| malformed(&error))?;
        counted.locals = counted.locals.saturating_add(u64::from(count));
    }
    let mut depth = 0_u64;
    let operators = body.get_operators_reader().map_err(|error| malformed(&error))?;
    for operator in operators.into_iter_with_offsets() {
        let (operator, offset) = operator.map_err(|error| malformed(&error))?;
        match operator {
            Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => {
                depth += 1;
                counted.blocks += 1;
                counted.loops += u64::from(matches!(operator, Operator::Loop { .. }));
                counted.nesting = counted.nesting.max(depth);
                within("blocks inside each other", depth, NESTING_MAX, offset as u64)?;
            }
            Operator::End => depth = depth.saturating_sub(1),
            Operator::BrTable { targets } => {
                counted.branch_targets += u64::from(targets.len());
                within(
                    "branch targets",
                    counted.branch_targets,
                    BRANCH_TARGETS_MAX,
                    offset as u64,
                )?;
            }
            _ => {}
        }
        let opcode = file.get(offset).copied().unwrap_or(0);
        let prefixed = file.get(offset + 1).copied().unwrap_or(0);
        *classes.entry(class(opcode, prefixed)).or_default() += 1;
    }
    Ok(counted)
}

fn class(opcode: u8, prefixed: u8) -> &'static str {
    match opcode {
        0x10 | 0x12 => "call",
        0x11 | 0x13 => "call_indirect",
        0x00..=0x0f => "control",
        0x20..=0x24 => "variable",
        0x28..=0x35 => "load",
        0x36..=0x3e => "store",
        0x40 => "memory_grow",
        0x41..=0x44 => "constant",
        0x71..=0x78 | 0x83..=0x8a => "bitwise",
        0x45..=0x5a | 0x67..=0x70 | 0x79..=0x82 | 0xa7 | 0xac | 0xad | 0xc0..=0xc4 => "arithmetic",
        0x5b..=0x66 | 0x8b..=0xa6 | 0xa8..=0xab | 0xae..=0xbf => "float",
        0xfc if prefixed <= 7 => "float",
        0xfc => "bulk",
        0xfd => "simd",
        _ => "other",
    }
}
