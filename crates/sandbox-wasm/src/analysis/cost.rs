//! Bounds that protect the compiler. Its time and memory grow faster than its input where a function
//! has many branch targets, or many locals across many blocks; those products are bounded and not
//! only the sizes.

use super::AnalysisError;
use super::instructions::Counted;

/// Bytes of the file.
pub const MODULE_BYTES_MAX: u64 = 32 << 20;
/// Defined functions, of all core modules together.
pub const FUNCTIONS_MAX: u64 = 100_000;
/// Bytes of one function's body.
pub const FUNCTION_BYTES_MAX: u64 = 1 << 20;
/// Blocks inside each other.
pub const NESTING_MAX: u64 = 2_000;
/// Targets of all `br_table` together.
pub const BRANCH_TARGETS_MAX: u64 = 500_000;
/// Locals (with parameters) times blocks: of one function, and eight times that in sum.
pub const LOCAL_BLOCKS_MAX: u64 = 2_000_000;
/// Locals (with parameters) times loops: of one function, and ten times that in sum. A loop's head
/// takes every local that lives across it as a parameter, so this is what the compiler builds.
pub const LOCAL_LOOPS_MAX: u64 = 200_000;
/// Entries of the sections for types, imports, exports, globals, elements, data and custom sections.
pub const ITEMS_MAX: u64 = 200_000;
/// Entries of a component's own sections.
pub const COMPONENT_ITEMS_MAX: u64 = 50_000;
/// Core modules in a component.
pub const NESTED_MODULES_MAX: u64 = 64;

/// Refuses what is beyond a bound.
pub(super) fn within(
    what: &'static str,
    found: u64,
    max: u64,
    offset: u64,
) -> Result<(), AnalysisError> {
    if found > max { Err(AnalysisError::TooLarge { what, found, max, offset }) } else { Ok(()) }
}

/// What has been added up so far.
#[derive(Debug, Default)]
pub(super) struct Cost {
    functions: u64,
    items: u64,
    component_items: u64,
    branch_targets: u64,
    local_blocks: u64,
    local_loops: u64,
}

impl Cost {
    pub(super) fn functions(&mut self, count: u64, offset: u64) -> Result<(), AnalysisError> {
        self.functions += count;
        within("functions", self.functions, FUNCTIONS_MAX, offset)
    }

    pub(super) fn items(&mut self, count: u64, offset: u64) -> Result<(), AnalysisError> {
        self.items += count;
        within("entries of sections", self.items, ITEMS_MAX, offset)
    }

    pub(super) fn component_items(&mut self, count: u64, offset: u64) -> Result<(), AnalysisError> {
        self.component_items += count;
        within("entries of a component", self.component_items, COMPONENT_ITEMS_MAX, offset)
    }

    pub(super) fn function(&mut self, counted: &Counted, offset: u64) -> Result<(), AnalysisError> {
        within("blocks inside each other", counted.nesting, NESTING_MAX, offset)?;
        self.branch_targets += counted.branch_targets;
        within("branch targets", self.branch_targets, BRANCH_TARGETS_MAX, offset)?;
        let product = counted.locals.saturating_mul(counted.blocks);
        within("locals times blocks of one function", product, LOCAL_BLOCKS_MAX, offset)?;
        self.local_blocks += product;
        let all = "locals times blocks of all functions";
        within(all, self.local_blocks, 8 * LOCAL_BLOCKS_MAX, offset)?;
        let product = counted.locals.saturating_mul(counted.loops);
        within("locals times loops of one function", product, LOCAL_LOOPS_MAX, offset)?;
        self.local_loops += product;
        let all = "locals times loops of all functions";
        within(all, self.local_loops, 10 * LOCAL_LOOPS_MAX, offset)
    }
}
