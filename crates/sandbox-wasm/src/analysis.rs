//! Reads a module or component without running or compiling any of it.
//!
//! One pass over the bytes validates, counts, and stops at the first bound that is passed: what
//! comes out is safe to hand to a compiler whose time grows faster than its input. Nothing here
//! knows what a capability is.

mod component;
mod cost;
mod instructions;

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use types::Text;
use types::text::hex;
use wasmparser::{
    CompositeInnerType, Encoding, FuncValidatorAllocations, Imports, Parser, Payload, TypeRef,
    ValidPayload, Validator, WasmFeatures,
};

use self::cost::Cost;
pub use self::cost::{
    BRANCH_TARGETS_MAX, COMPONENT_ITEMS_MAX, FUNCTION_BYTES_MAX, FUNCTIONS_MAX, ITEMS_MAX,
    LOCAL_BLOCKS_MAX, MODULE_BYTES_MAX, NESTED_MODULES_MAX, NESTING_MAX,
};

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

/// The walk through the file.
struct Reader<'a> {
    bytes: &'a [u8],
    validator: Validator,
    /// Kept from function to function, so that validating does not allocate anew.
    allocations: FuncValidatorAllocations,
    analysis: Analysis,
    cost: Cost,
    /// Parameters of each function type of the module at hand, by its index; and each defined
    /// function's type, in the order of its bodies.
    parameters: Vec<u64>,
    declared: Vec<u32>,
    next_body: usize,
    names: component::Names,
    /// 0 in the outermost module or component.
    depth: usize,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            validator: Validator::new_with_features(features()),
            allocations: FuncValidatorAllocations::default(),
            analysis: Analysis {
                form: Form::Module,
                sha256: String::new(),
                size_bytes: 0,
                imports: Vec::new(),
                exports: Vec::new(),
                memories: Vec::new(),
                tables: Vec::new(),
                start: false,
                custom_sections: Vec::new(),
                data_segments: 0,
                data_bytes: 0,
                element_segments: 0,
                globals: 0,
                functions: 0,
                code_bytes: 0,
                largest_function_bytes: 0,
                modules: 0,
                instructions: BTreeMap::new(),
                remarks: Vec::new(),
            },
            cost: Cost::default(),
            parameters: Vec::new(),
            declared: Vec::new(),
            next_body: 0,
            names: component::Names::default(),
            depth: 0,
        }
    }

    fn read(&mut self) -> Result<(), AnalysisError> {
        let mut parser = Parser::new(0);
        parser.set_features(features());
        let mut open = Vec::new();
        let mut rest = self.bytes;
        loop {
            let (payload, consumed) = match parser.parse(rest, true) {
                Ok(wasmparser::Chunk::Parsed { payload, consumed }) => (payload, consumed),
                Ok(wasmparser::Chunk::NeedMoreData(_)) => {
                    let message = "the file ends too early".to_owned();
                    return Err(AnalysisError::Malformed { offset: self.offset(rest), message });
                }
                Err(error) => return Err(malformed(&error)),
            };
            rest = rest.get(consumed..).unwrap_or(&[]);
            let offset = self.offset(rest);
            self.count(&payload, offset)?;
            match self.validator.payload(&payload).map_err(|error| malformed(&error))? {
                ValidPayload::Ok => {}
                ValidPayload::Parser(inner) => {
                    open.push(std::mem::replace(&mut parser, inner));
                    self.depth = open.len();
                }
                ValidPayload::Func(function, body) => {
                    let allocations = std::mem::take(&mut self.allocations);
                    let mut validator = function.into_validator(allocations);
                    validator.validate(&body).map_err(|error| malformed(&error))?;
                    self.allocations = validator.into_allocations();
                }
                ValidPayload::End(types) => {
                    if self.depth == 0 && self.analysis.form == Form::Component {
                        component::describe(&self.names, &types, &mut self.analysis);
                    }
                    match open.pop() {
                        Some(outer) => parser = outer,
                        None => return self.nothing_follows(rest),
                    }
                    self.depth = open.len();
                }
            }
        }
    }

    fn offset(&self, rest: &[u8]) -> u64 {
        (self.bytes.len() - rest.len()) as u64
    }

    fn nothing_follows(&self, rest: &[u8]) -> Result<(), AnalysisError> {
        if rest.is_empty() {
            return Ok(());
        }
        let message = format!("{} bytes follow the end", rest.len());
        Err(AnalysisError::Malformed { offset: self.offset(rest), message })
    }

    /// Counts one part of the file and holds it to the bounds, before it is validated.
    fn count(&mut self, payload: &Payload<'a>, offset: u64) -> Result<(), AnalysisError> {
        let analysis = &mut self.analysis;
        match payload {
            Payload::Version { encoding, .. } => self.begin(*encoding, offset)?,
            Payload::TypeSection(reader) => {
                self.cost.items(u64::from(reader.count()), offset)?;
                self.types(reader.clone())?;
            }
            Payload::ImportSection(reader) => {
                self.cost.items(u64::from(reader.count()), offset)?;
                self.imports(reader.clone())?;
            }
            Payload::FunctionSection(reader) => {
                self.cost.functions(u64::from(reader.count()), offset)?;
                for index in reader.clone() {
                    self.declared.push(index.map_err(|error| malformed(&error))?);
                }
            }
            Payload::TableSection(reader) => {
                for table in reader.clone() {
                    let ty = table.map_err(|error| malformed(&error))?.ty;
                    analysis.tables.push(table_of(ty, false));
                }
            }
            Payload::MemorySection(reader) => {
                for memory in reader.clone() {
                    let ty = memory.map_err(|error| malformed(&error))?;
                    analysis.memories.push(memory_of(ty, false));
                }
            }
            Payload::GlobalSection(reader) => {
                self.cost.items(u64::from(reader.count()), offset)?;
                analysis.globals += u64::from(reader.count());
            }
            Payload::ExportSection(reader) => {
                self.cost.items(u64::from(reader.count()), offset)?;
                self.exports(reader.clone())?;
            }
            Payload::StartSection { .. } => analysis.start = true,
            Payload::ElementSection(reader) => {
                self.cost.items(u64::from(reader.count()), offset)?;
                analysis.element_segments += u64::from(reader.count());
            }
            Payload::DataSection(reader) => {
                self.cost.items(u64::from(reader.count()), offset)?;
                for segment in reader.clone() {
                    let segment = segment.map_err(|error| malformed(&error))?;
                    analysis.data_segments += 1;
                    analysis.data_bytes += segment.data.len() as u64;
                }
            }
            Payload::CodeSectionEntry(body) => self.function(body)?,
            Payload::CustomSection(section) => {
                self.cost.items(1, offset)?;
                analysis.custom_sections.push(Custom {
                    name: Text::from(section.name()),
                    size_bytes: section.data().len() as u64,
                });
            }
            other => {
                self.cost.component_items(component::items(other), offset)?;
                if self.depth == 0 {
                    self.names.collect(other)?;
                }
            }
        }
        Ok(())
    }

    fn begin(&mut self, encoding: Encoding, offset: u64) -> Result<(), AnalysisError> {
        if encoding == Encoding::Module {
            self.analysis.modules += 1;
            cost::within("core modules inside", self.analysis.modules, NESTED_MODULES_MAX, offset)?;
            (self.parameters, self.declared, self.next_body) = (Vec::new(), Vec::new(), 0);
        } else if self.depth == 0 {
            self.analysis.form = Form::Component;
        }
        Ok(())
    }

    fn types(&mut self, reader: wasmparser::TypeSectionReader<'a>) -> Result<(), AnalysisError> {
        for group in reader {
            for ty in group.map_err(|error| malformed(&error))?.into_types() {
                let parameters = match &ty.composite_type.inner {
                    CompositeInnerType::Func(function) => function.params().len() as u64,
                    _ => 0,
                };
                self.parameters.push(parameters);
            }
        }
        Ok(())
    }

    fn imports(
        &mut self,
        reader: wasmparser::ImportSectionReader<'a>,
    ) -> Result<(), AnalysisError> {
        // What modules inside a component import is wired by the component itself.
        let outermost = self.depth == 0;
        for group in reader {
            let group = group.map_err(|error| malformed(&error))?;
            let Imports::Single(offset, import) = group else {
                let message = "imports in the compact form".to_owned();
                return Err(AnalysisError::Malformed { offset: 0, message });
            };
            let kind = match import.ty {
                TypeRef::Func(_) | TypeRef::FuncExact(_) => "function",
                TypeRef::Table(ty) => {
                    self.analysis.tables.push(table_of(ty, true));
                    "table"
                }
                TypeRef::Memory(ty) => {
                    self.analysis.memories.push(memory_of(ty, true));
                    "memory"
                }
                TypeRef::Global(_) => "global",
                TypeRef::Tag(_) => "tag",
            };
            if outermost {
                self.cost.items(1, offset as u64)?;
                self.analysis.imports.push(Import {
                    interface: import.module.to_owned(),
                    item: Some(import.name.to_owned()),
                    kind,
                });
            }
        }
        Ok(())
    }

    fn exports(
        &mut self,
        reader: wasmparser::ExportSectionReader<'a>,
    ) -> Result<(), AnalysisError> {
        if self.depth > 0 {
            return Ok(());
        }
        for export in reader {
            let export = export.map_err(|error| malformed(&error))?;
            let kind = match export.kind {
                wasmparser::ExternalKind::Func | wasmparser::ExternalKind::FuncExact => "function",
                wasmparser::ExternalKind::Table => "table",
                wasmparser::ExternalKind::Memory => "memory",
                wasmparser::ExternalKind::Global => "global",
                wasmparser::ExternalKind::Tag => "tag",
            };
            self.analysis.exports.push(Export { name: export.name.to_owned(), kind });
        }
        Ok(())
    }

    fn function(&mut self, body: &wasmparser::FunctionBody<'a>) -> Result<(), AnalysisError> {
        let ty = self.declared.get(self.next_body).copied().unwrap_or(u32::MAX);
        let index = usize::try_from(ty).unwrap_or(usize::MAX);
        let parameters = self.parameters.get(index).copied().unwrap_or(0);
        self.next_body += 1;
        let range = body.range();
        let size = range.len() as u64;
        cost::within("bytes of one function", size, FUNCTION_BYTES_MAX, range.start as u64)?;
        self.analysis.functions += 1;
        self.analysis.code_bytes += size;
        self.analysis.largest_function_bytes = self.analysis.largest_function_bytes.max(size);
        let counted =
            instructions::count(body, self.bytes, parameters, &mut self.analysis.instructions)?;
        self.cost.function(&counted, range.start as u64)
    }
}

fn memory_of(ty: wasmparser::MemoryType, imported: bool) -> Memory {
    let bytes = |pages: u64| pages.saturating_mul(wasmparser_page(ty.page_size_log2));
    Memory { minimum_bytes: bytes(ty.initial), maximum_bytes: ty.maximum.map(bytes), imported }
}

fn wasmparser_page(log2: Option<u32>) -> u64 {
    1_u64.checked_shl(log2.unwrap_or(16)).unwrap_or(u64::MAX)
}

fn table_of(ty: wasmparser::TableType, imported: bool) -> Table {
    Table { minimum: ty.initial, maximum: ty.maximum, imported }
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
