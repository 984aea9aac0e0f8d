//! Which line of its source a component's code comes from: a custom section `ward:lines` in its module, as CBOR.
//!
//! The debugging information of a compiler makes a component ten times as large. `ward build` keeps of it what the backtrace of
//! a trap needs, the file and the line, and that for the files of the component's own workspace alone. Code of others that the
//! compiler put into a function of the workspace counts as the line that called it. Paths begin at the workspace, so that the
//! same source gives the same bytes wherever it is built.
//!
//! The section lies in the artifact, so the digest covers it, but it may be anything: read without trust, it is worth a line in
//! a log and decides nothing.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;

use addr2line::gimli::{self, EndianSlice, LittleEndian};
use addr2line::{Context, Location};
use serde::{Deserialize, Serialize};
use wasm_encoder::{CustomSection, Module, RawSection};
use wasmparser::{Parser, Payload};

const SECTION: &str = "ward:lines";

/// Longer ones are not ours: a component of some hundred functions has 20 KiB.
const LIMIT: usize = 256 << 10;

/// The compiler's information is no such.
#[derive(Debug, thiserror::Error)]
pub enum LinesError {
    #[error("the module cannot be read: {0}")]
    Module(#[from] wasmparser::BinaryReaderError),
    #[error("its debugging information cannot be read: {0}")]
    Debugging(#[from] gimli::Error),
}

/// A place in the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub file: String,
    pub line: u32,
}

/// The lines of one component.
#[derive(Default)]
pub struct Lines {
    /// Where the module's code lies in the component.
    code: Range<u64>,
    files: Vec<String>,
    /// Where each row begins in the code, in this order; the file by its place in `files`; the line.
    rows: Vec<(u64, u32, u32)>,
}

/// What the section holds.
#[derive(Default, Serialize, Deserialize)]
struct Table {
    files: Vec<String>,
    /// In the order of the code, each good until the next: bytes since the one before, the file by its place in `files`, the
    /// line. Line 0 begins code that has no line here.
    rows: Vec<(u32, u32, u32)>,
    /// Where the last row begins.
    #[serde(skip)]
    begin: u64,
}

/// A row's file and line, where there is none.
const NO_LINE: (u32, u32) = (0, 0);

impl Lines {
    /// Of a component; none if it has no section, or nothing that can be read.
    pub fn of(component: &[u8]) -> Self {
        let mut code = 0..0;
        for payload in Parser::new(0).parse_all(component) {
            match payload {
                Ok(Payload::CodeSectionStart { range, .. }) => code = range,
                Ok(Payload::CustomSection(section)) if section.name() == SECTION && section.data().len() <= LIMIT => {
                    return Self::read(code, section.data());
                }
                Ok(_) => {}
                Err(_) => break,
            }
        }
        Self::default()
    }

    fn read(code: Range<u64>, section: &[u8]) -> Self {
        let Ok(Table { files, rows, .. }) = minicbor_serde::from_slice(section) else { return Self::default() };
        let mut begin = 0_u64;
        let absolute = |(skipped, file, line): (u32, u32, u32)| {
            begin = begin.saturating_add(u64::from(skipped));
            (begin, file, line)
        };
        Self { code, files, rows: rows.into_iter().map(absolute).collect() }
    }

    /// Of the instruction at `offset` bytes from the component's beginning.
    pub fn at(&self, offset: u64) -> Option<Place> {
        let within = offset.checked_sub(self.code.start).filter(|_| offset < self.code.end)?;
        let after = self.rows.partition_point(|(begin, ..)| *begin <= within);
        let (_, file, line) = *self.rows.get(after.checked_sub(1)?)?;
        let file = self.files.get(file as usize).filter(|_| line > 0)?;
        Some(Place { file: file.clone(), line })
    }
}

/// The module with its lines in place of the debugging information that it came with. `workspace` is where the compiler ran.
pub fn condense(module: &[u8], workspace: &Path) -> Result<Vec<u8>, LinesError> {
    let (mut condensed, mut debugging, mut code) = (Module::new(), Vec::new(), 0);
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload?;
        if let Payload::CodeSectionStart { range, .. } = &payload {
            code = range.end - range.start;
        }
        match &payload {
            Payload::CustomSection(section) if section.name().starts_with(".debug_") => {
                debugging.push((section.name(), section.data()));
            }
            payload => {
                if let Some((id, range)) = payload.as_section() {
                    let range = range.start as usize..range.end as usize;
                    condensed.section(&RawSection { id, data: module.get(range).unwrap_or_default() });
                }
            }
        }
    }
    let table = table(&debugging, code, workspace)?;
    if !table.rows.is_empty() {
        let data = minicbor_serde::to_vec(&table).unwrap_or_default();
        condensed.section(&CustomSection { name: SECTION.into(), data: Cow::Owned(data) });
    }
    Ok(condensed.finish())
}

fn table(debugging: &[(&str, &[u8])], code: u64, workspace: &Path) -> Result<Table, LinesError> {
    let section = |id: gimli::SectionId| {
        let found = debugging.iter().find(|(name, _)| *name == id.name());
        Ok::<_, gimli::Error>(EndianSlice::new(found.map_or(&[][..], |(_, data)| data), LittleEndian))
    };
    let context = Context::from_dwarf(gimli::Dwarf::load(section)?)?;
    let mut table = Table::default();
    let mut pieces = Vec::new();
    for (begin, length, _) in context.find_location_range(0, code)? {
        let row = own(&context, begin, workspace)?.map_or(NO_LINE, |place| (table.file(place.file), place.line));
        pieces.push((begin, begin + length, row));
    }
    pieces.sort_by_key(|(begin, ..)| *begin);
    let mut reached = 0;
    for (begin, end, row) in pieces {
        if begin > reached {
            table.add(reached, NO_LINE);
        }
        table.add(begin, row);
        reached = end.max(reached);
    }
    table.add(reached, NO_LINE);
    Ok(table)
}

impl Table {
    /// From `begin` on.
    fn add(&mut self, begin: u64, (file, line): (u32, u32)) {
        if self.rows.last().map_or(NO_LINE, |row| (row.1, row.2)) != (file, line) {
            self.rows.push((u32::try_from(begin - self.begin).unwrap_or(u32::MAX), file, line));
            self.begin = begin;
        }
    }

    fn file(&mut self, name: String) -> u32 {
        let place = self.files.iter().position(|file| *file == name).unwrap_or_else(|| {
            self.files.push(name);
            self.files.len() - 1
        });
        u32::try_from(place).unwrap_or(u32::MAX)
    }
}

/// The innermost place within the workspace.
fn own(
    context: &Context<EndianSlice<'_, LittleEndian>>,
    address: u64,
    workspace: &Path,
) -> Result<Option<Place>, gimli::Error> {
    let mut frames = context.find_frames(address).skip_all_loads()?;
    while let Some(frame) = frames.next()? {
        if let Some(place) = frame.location.and_then(|location| within(&location, workspace)) {
            return Ok(Some(place));
        }
    }
    Ok(None)
}

fn within(location: &Location<'_>, workspace: &Path) -> Option<Place> {
    let file = Path::new(location.file?).strip_prefix(workspace).ok()?.to_str()?;
    Some(Place { file: file.to_owned(), line: location.line? })
}

#[cfg(test)]
mod tests {
    use wasm_encoder::{CodeSection, Component, Function, FunctionSection, ModuleSection, TypeSection};

    use super::*;

    fn module() -> Module {
        let (mut types, mut functions, mut code) = (TypeSection::new(), FunctionSection::new(), CodeSection::new());
        types.ty().function([], []);
        functions.function(0);
        let mut function = Function::new([]);
        for _ in 0..20 {
            function.instructions().nop();
        }
        function.instructions().end();
        code.function(&function);
        let mut module = Module::new();
        module.section(&types).section(&functions).section(&code);
        module
    }

    /// With what shall be a table.
    fn component(data: &[u8]) -> Vec<u8> {
        let mut module = module();
        module.section(&CustomSection { name: SECTION.into(), data: data.into() });
        let mut component = Component::new();
        component.section(&ModuleSection(&module));
        component.finish()
    }

    #[test]
    fn an_instruction_has_the_line_of_the_row_before_it() {
        let mut table = Table { files: vec!["src/a.rs".into(), "src/b.rs".into()], ..Table::default() };
        for (begin, row) in [(3, (0, 7)), (5, (0, 7)), (10, (1, 9)), (12, NO_LINE)] {
            table.add(begin, row);
        }
        assert_eq!(table.rows.len(), 3, "what goes on is no new row");
        let lines = Lines::of(&component(&minicbor_serde::to_vec(&table).unwrap()));
        let at = |place: u64| lines.at(lines.code.start + place).map(|place| (place.file, place.line));
        assert_eq!([at(0), at(12), at(13), at(1000)], [None, None, None, None]);
        assert_eq!([at(3), at(9)], [Some(("src/a.rs".to_owned(), 7)), Some(("src/a.rs".to_owned(), 7))]);
        assert_eq!([at(10), at(11)], [Some(("src/b.rs".to_owned(), 9)), Some(("src/b.rs".to_owned(), 9))]);
    }

    #[test]
    fn what_is_no_table_and_what_is_no_component_have_no_lines() {
        let unknown_file = minicbor_serde::to_vec(&Table { rows: vec![(0, 5, 1)], ..Table::default() }).unwrap();
        for data in [&b""[..], b"garbage", &unknown_file] {
            let lines = Lines::of(&component(data));
            assert_eq!(lines.at(lines.code.start + 5), None);
        }
        assert_eq!(Lines::of(b"garbage").at(0), None);
    }

    #[test]
    fn a_module_without_debugging_information_stays_as_it_is() {
        let module = module().finish();
        assert_eq!(condense(&module, Path::new("/work")).unwrap(), module);
        assert!(condense(b"garbage", Path::new("/work")).is_err());
    }
}
