//! What a component imports and exports: interfaces, and the functions of each that it uses.

use wasmparser::Payload;
use wasmparser::component_types::ComponentEntityType;
use wasmparser::types::Types;

use super::{Analysis, AnalysisError, Export, Import, malformed};

/// How many entries a section of the component format has; 0 for anything else.
pub(super) fn items(payload: &Payload<'_>) -> u64 {
    let count = match payload {
        Payload::InstanceSection(reader) => reader.count(),
        Payload::CoreTypeSection(reader) => reader.count(),
        Payload::ComponentInstanceSection(reader) => reader.count(),
        Payload::ComponentAliasSection(reader) => reader.count(),
        Payload::ComponentTypeSection(reader) => reader.count(),
        Payload::ComponentCanonicalSection(reader) => reader.count(),
        Payload::ComponentImportSection(reader) => reader.count(),
        Payload::ComponentExportSection(reader) => reader.count(),
        Payload::ComponentSection { .. } => 1,
        _ => 0,
    };
    u64::from(count)
}

/// What the outermost component calls its imports and exports, in the order of the file.
#[derive(Debug, Default)]
pub(super) struct Names {
    imports: Vec<String>,
    exports: Vec<String>,
}

impl Names {
    pub(super) fn collect(&mut self, payload: &Payload<'_>) -> Result<(), AnalysisError> {
        match payload {
            Payload::ComponentImportSection(reader) => {
                for import in reader.clone() {
                    let import = import.map_err(|error| malformed(&error))?;
                    self.imports.push(import.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(reader) => {
                for export in reader.clone() {
                    let export = export.map_err(|error| malformed(&error))?;
                    self.exports.push(export.name.name.to_owned());
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Fills in the imports and exports of the outermost component.
pub(super) fn describe(names: &Names, types: &Types, analysis: &mut Analysis) {
    let types = types.as_ref();
    for name in &names.imports {
        let Some(item) = types.component_item_for_import(name).map(|item| item.ty) else {
            continue;
        };
        if let ComponentEntityType::Instance(id) = item {
            let instance = &types[id];
            let before = analysis.imports.len();
            for (inner, item) in &instance.exports {
                analysis.imports.push(Import {
                    interface: name.to_owned(),
                    item: Some(inner.clone()),
                    kind: kind(item.ty),
                });
            }
            if analysis.imports.len() > before {
                continue;
            }
        }
        analysis.imports.push(Import { interface: name.to_owned(), item: None, kind: kind(item) });
    }
    for name in &names.exports {
        let Some(item) = types.component_item_for_export(name).map(|item| item.ty) else {
            continue;
        };
        analysis.exports.push(Export { name: name.to_owned(), kind: kind(item) });
    }
}

fn kind(item: ComponentEntityType) -> &'static str {
    match item {
        ComponentEntityType::Module(_) => "module",
        ComponentEntityType::Func(_) => "function",
        ComponentEntityType::Value(_) => "value",
        ComponentEntityType::Type { .. } => "type",
        ComponentEntityType::Instance(_) => "instance",
        ComponentEntityType::Component(_) => "component",
    }
}
