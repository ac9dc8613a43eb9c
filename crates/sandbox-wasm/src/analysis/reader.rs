//! The walk through a file: each part is counted and held to the bounds, and then validated.

use std::collections::BTreeMap;

use types::Text;
use wasmparser::{
    CompositeInnerType, Encoding, FuncValidatorAllocations, Imports, Parser, Payload, TypeRef,
    ValidPayload, Validator,
};

use super::cost::{self, Cost, FUNCTION_BYTES_MAX, NESTED_MODULES_MAX};
use super::{Analysis, AnalysisError, Custom, Export, Form, Import, Memory, Table};
use super::{component, features, instructions, malformed};

/// The walk through the file.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    validator: Validator,
    /// Kept from function to function, so that validating does not allocate anew.
    allocations: FuncValidatorAllocations,
    pub(super) analysis: Analysis,
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
    pub(super) fn new(bytes: &'a [u8]) -> Self {
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

    pub(super) fn read(&mut self) -> Result<(), AnalysisError> {
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
    let bytes = |pages: u64| pages.saturating_mul(page_bytes(ty.page_size_log2));
    Memory { minimum_bytes: bytes(ty.initial), maximum_bytes: ty.maximum.map(bytes), imported }
}

fn page_bytes(log2: Option<u32>) -> u64 {
    1_u64.checked_shl(log2.unwrap_or(16)).unwrap_or(u64::MAX)
}

fn table_of(ty: wasmparser::TableType, imported: bool) -> Table {
    Table { minimum: ty.initial, maximum: ty.maximum, imported }
}
