//! Reads a module or component without running or compiling any of it.
//!
//! One pass over the bytes validates, counts, and stops at the first bound that is passed: what
//! comes out is safe to hand to a compiler whose time grows faster than its input. Nothing here
//! knows what a capability is.

mod component;
mod cost;
mod instructions;
mod reader;

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use types::Text;
use types::text::hex;
use wasmparser::WasmFeatures;

pub use self::cost::{
    BRANCH_TARGETS_MAX, COMPONENT_ITEMS_MAX, FUNCTION_BYTES_MAX, FUNCTIONS_MAX, ITEMS_MAX,
    LOCAL_BLOCKS_MAX, LOCAL_LOOPS_MAX, MODULE_BYTES_MAX, NESTED_MODULES_MAX, NESTING_MAX,
};
use self::reader::Reader;

/// What a module is and holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Analysis {
    pub form: Form,
    /// Of the whole file, lowercase hexadecimal.
    pub sha256: String,
    pub size_bytes: u64,
    /// In the order of the file.
    pub imports: Vec<Import>,
    pub exports: Vec<Export>,
    pub memories: Vec<Memory>,
    pub tables: Vec<Table>,
    /// A start function runs as soon as the module is instantiated.
    pub start: bool,
    pub custom_sections: Vec<Custom>,
    pub data_segments: u64,
    pub data_bytes: u64,
    pub element_segments: u64,
    pub globals: u64,
    /// Defined functions, of all core modules inside.
    pub functions: u64,
    pub code_bytes: u64,
    pub largest_function_bytes: u64,
    /// Core modules inside; 1 for a module.
    pub modules: u64,
    /// Instructions by class: `control`, `call`, `call_indirect`, `load`, `store`, `memory_grow`,
    /// `bulk`, `constant`, `variable`, `arithmetic`, `bitwise`, `float`, `simd`, `other`.
    pub instructions: BTreeMap<&'static str, u64>,
    /// What a reader should know at once, one sentence each.
    pub remarks: Vec<String>,
}

/// The two binary formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    Module,
    Component,
}

impl Form {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Form::Module => "module",
            Form::Component => "component",
        }
    }
}

/// Something the module needs from its host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Import {
    /// `wasi_snapshot_preview1`, `env`, `wasi:sockets/tcp@0.2.0`.
    pub interface: String,
    /// The item in it; absent for a component's import of something that is no interface.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// `function`, `memory`, `table`, `global`, `tag`, `type`, `instance`, `component`, `module`.
    pub kind: &'static str,
}

impl Import {
    /// `env.foo`, `wasi:random/random@0.2.0.get-random-u64`.
    #[must_use]
    pub fn full_name(&self) -> String {
        match &self.item {
            Some(item) => format!("{}.{item}", self.interface),
            None => self.interface.clone(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Export {
    pub name: String,
    /// As [`Import::kind`].
    pub kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Memory {
    pub minimum_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum_bytes: Option<u64>,
    pub imported: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Table {
    pub minimum: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum: Option<u64>,
    pub imported: bool,
}

/// A section that the machine ignores: names, producers, debug information, or a payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Custom {
    pub name: Text,
    pub size_bytes: u64,
}

/// Why a module is not run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnalysisError {
    #[error("this is no WebAssembly: it does not begin with \\0asm")]
    NotWasm,
    #[error("malformed WebAssembly at offset {offset:#x}: {message}")]
    Malformed { offset: u64, message: String },
    #[error("{what}: {found} at offset {offset:#x}, and {max} is the most that is compiled")]
    TooLarge { what: &'static str, found: u64, max: u64, offset: u64 },
}

/// What of the language is accepted: version 2 with SIMD, tail calls and components. No threads, no
/// 64-bit or several memories, no exceptions, no garbage collection: less to compile, less to get
/// wrong.
#[must_use]
pub fn features() -> WasmFeatures {
    WasmFeatures::MUTABLE_GLOBAL
        | WasmFeatures::SATURATING_FLOAT_TO_INT
        | WasmFeatures::SIGN_EXTENSION
        | WasmFeatures::REFERENCE_TYPES
        | WasmFeatures::MULTI_VALUE
        | WasmFeatures::BULK_MEMORY
        | WasmFeatures::SIMD
        | WasmFeatures::RELAXED_SIMD
        | WasmFeatures::TAIL_CALL
        | WasmFeatures::EXTENDED_CONST
        | WasmFeatures::FLOATS
        | WasmFeatures::COMPONENT_MODEL
}

/// Reads a module or component.
///
/// # Errors
/// When it is not WebAssembly, not valid, or beyond what is handed to the compiler.
pub fn analyse(bytes: &[u8]) -> Result<Analysis, AnalysisError> {
    if !bytes.starts_with(b"\0asm") {
        return Err(AnalysisError::NotWasm);
    }
    let size_bytes = bytes.len() as u64;
    cost::within("the file's bytes", size_bytes, MODULE_BYTES_MAX, 0)?;
    let mut reader = Reader::new(bytes);
    reader.read()?;
    let Reader { mut analysis, .. } = reader;
    analysis.sha256 = hex(&Sha256::digest(bytes));
    analysis.size_bytes = size_bytes;
    analysis.remarks = remarks(&analysis);
    Ok(analysis)
}

pub(crate) fn malformed(error: &wasmparser::Error) -> AnalysisError {
    AnalysisError::Malformed { offset: error.offset() as u64, message: error.message().to_owned() }
}

/// A custom section this large is a payload, not a name.
const CUSTOM_REMARKABLE_BYTES: u64 = 1 << 20;
/// More than this share of bit operations (in percent) is the look of ciphers, hashes and miners.
const BITWISE_REMARKABLE_PERCENT: u64 = 25;
/// Below this many instructions a share says nothing.
const INSTRUCTIONS_FOR_SHARES: u64 = 1_000;

fn remarks(analysis: &Analysis) -> Vec<String> {
    let mut remarks = Vec::new();
    if analysis.start {
        remarks.push("a start function runs before any export is called".to_owned());
    }
    for custom in &analysis.custom_sections {
        if custom.size_bytes >= CUSTOM_REMARKABLE_BYTES && !custom.name.starts_with(".debug") {
            let name = custom.name.encode();
            remarks.push(format!("custom section {name:?} holds {} bytes", custom.size_bytes));
        }
    }
    let total: u64 = analysis.instructions.values().sum();
    let bitwise = analysis.instructions.get("bitwise").copied().unwrap_or(0);
    if total >= INSTRUCTIONS_FOR_SHARES && bitwise * 100 / total >= BITWISE_REMARKABLE_PERCENT {
        let share = bitwise * 100 / total;
        remarks.push(format!("{share} % of {total} instructions are bit operations"));
    }
    if analysis.memories.iter().any(|memory| memory.maximum_bytes.is_none() && !memory.imported) {
        remarks.push("its memory has no maximum of its own".to_owned());
    }
    remarks
}

impl Analysis {
    /// The analysis for people, one fact a line.
    #[must_use]
    pub fn text(&self) -> String {
        let names = |names: Vec<String>| {
            if names.is_empty() { "none".to_owned() } else { names.join(", ") }
        };
        let form = self.form.name();
        let mut lines = vec![
            format!("{form}, {} bytes, SHA-256 {}", self.size_bytes, self.sha256),
            format!("imports: {}", names(self.imports.iter().map(Import::full_name).collect())),
            format!(
                "exports: {}",
                names(self.exports.iter().map(|export| export.name.clone()).collect())
            ),
            format!(
                "code: {} functions in {} core modules, {} bytes, largest {}",
                self.functions, self.modules, self.code_bytes, self.largest_function_bytes
            ),
            format!("data: {} segments, {} bytes", self.data_segments, self.data_bytes),
        ];
        let memory = |memory: &Memory| match memory.maximum_bytes {
            Some(maximum) => format!("{} to {maximum} bytes", memory.minimum_bytes),
            None => format!("{} bytes or more", memory.minimum_bytes),
        };
        lines.push(format!("memories: {}", names(self.memories.iter().map(memory).collect())));
        let custom =
            |custom: &Custom| format!("{} ({} bytes)", custom.name.encode(), custom.size_bytes);
        lines.push(format!(
            "custom sections: {}",
            names(self.custom_sections.iter().map(custom).collect())
        ));
        lines.extend(self.remarks.iter().map(|remark| format!("note: {remark}")));
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests;
