//! What can go wrong in this room, told so that a caller can act on it. Only
//! [`crate::api`] turns it into HTTP.

use store::StoreError;

use crate::codec::CodecError;
use crate::pipeline::validate::RowFault;
use crate::value::Kind;

/// Why a batch was not kept or a question not answered. What failed kept nothing.
#[derive(Debug, thiserror::Error)]
pub enum MlError {
    #[error("rows is empty; send at least one row")]
    NoRows,
    #[error("{rows} rows are more than one batch may have; send at most {max} at a time")]
    TooManyRows { rows: usize, max: u32 },
    #[error("row {row}: {fault}")]
    Row { row: usize, fault: RowFault },
    /// Types are fixed by first use.
    #[error(
        "row {row}: column {column} of view {view} had {had} and got {got}; send {had}, or choose another column name",
        had = had.as_str(),
        got = got.as_str()
    )]
    TypeConflict { view: String, column: String, row: usize, had: Kind, got: Kind },
    #[error("view {view} would have {columns} columns; at most {max} fit")]
    TooManyColumns { view: String, columns: usize, max: usize },
    #[error("the tenant has {max} views already; use one of them")]
    TooManyViews { max: usize },
    #[error("{added} new entities would be too many: at most {max} can be known ({limit})")]
    TooManyEntities { added: u64, max: u64, limit: &'static str },
    #[error("the latest values would take too much memory ({limit})")]
    TooManyValues { limit: &'static str },
    #[error("the view {view} is written by ShieldX itself; choose another name")]
    Reserved { view: String },
    #[error("there is no view {view}")]
    NoView { view: String },
    #[error("too much is being {doing} at the moment; try again")]
    Busy { doing: &'static str },
    #[error("the range holds more than {max} batches; ask for a narrower one with from and to")]
    RangeTooWide { max: usize },
    #[error("the segment at position {position} does not read back")]
    Damaged {
        position: u64,
        #[source]
        source: CodecError,
    },
    #[error("the feature history cannot be used")]
    Store {
        #[source]
        source: StoreError,
    },
    /// The process is ending.
    #[error("the write was abandoned because the service stops")]
    Stopped,
    #[error("{name} is {value}; it can be {min} to {max}")]
    Setting { name: &'static str, value: u64, min: u64, max: u64 },
    #[error("the run's {what} is no {what}: {reason}")]
    Run { what: &'static str, reason: String },
}

impl MlError {
    pub(crate) fn store(source: StoreError) -> Self {
        Self::Store { source }
    }
}
