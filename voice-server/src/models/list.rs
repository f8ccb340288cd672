//! The table of `voice models list`: which files, for which engine, here or not, under which licence.

use std::fmt;

use serde::Serialize;
use voice_core::local::weights::{Cache, CommercialUse, FileState, MANIFEST, ModelFile};

use super::progress::megabytes;

/// The manifest beside what is in the cache. Displays as a table; serialises for `--json`.
#[derive(Clone, Debug, Serialize)]
pub struct Listing {
    /// The cache folder.
    pub folder: String,
    /// One row a file.
    pub files: Vec<Row>,
}

/// One file of the manifest and how it stands.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The manifest's entry.
    #[serde(flatten)]
    pub file: ModelFile,
    /// How it stands in the cache.
    pub state: FileState,
}

/// Compares the manifest with the cache. Looks at sizes and stamps, not at contents.
pub fn list(cache: &Cache) -> Listing {
    list_of(MANIFEST, cache)
}

pub(super) fn list_of(files: &[ModelFile], cache: &Cache) -> Listing {
    Listing {
        folder: cache.folder().display().to_string(),
        files: files.iter().map(|file| Row { file: *file, state: cache.state(file) }).collect(),
    }
}

impl Listing {
    /// True if every file that runs on this machine is ready.
    pub fn is_complete(&self) -> bool {
        self.files.iter().all(|row| matches!(row.state, FileState::Ready | FileState::OtherMachine))
    }

    /// One JSON document.
    ///
    /// # Errors
    /// None is known: every field can be written as JSON.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heads = ["file", "engine", "size", "here", "licence", "commercial use"];
        let mut rows: Vec<[String; 6]> = vec![heads.map(str::to_owned)];
        let mut notes: Vec<&str> = Vec::new();
        for Row { file, state } in &self.files {
            let mark = if file.note.is_empty() {
                String::new()
            } else {
                let known = notes.iter().position(|note| *note == file.note);
                let at = known.unwrap_or_else(|| {
                    notes.push(file.note);
                    notes.len() - 1
                });
                format!(" [{}]", at + 1)
            };
            let allowed = match file.commercial_use {
                CommercialUse::Allowed => "yes",
                CommercialUse::Unclear => "unclear",
            };
            rows.push([
                file.name.to_owned(),
                file.engine.to_string(),
                megabytes(file.size),
                state_word(*state).to_owned(),
                file.licence.to_owned(),
                format!("{allowed}{mark}"),
            ]);
        }
        let mut widths = [0; 6];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for row in &rows {
            let mut line = String::new();
            for (i, (cell, width)) in row.iter().zip(widths).enumerate() {
                // Sizes read better when their last digits are below each other.
                line += &if i == 2 { format!("{cell:>width$}  ") } else { format!("{cell:<width$}  ") };
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        for (i, note) in notes.iter().enumerate() {
            writeln!(f, "[{}] {note}", i + 1)?;
        }
        write!(f, "folder: {}", self.folder)?;
        if !self.is_complete() {
            write!(f, "\n`voice models pull` brings what is missing")?;
        }
        Ok(())
    }
}

fn state_word(state: FileState) -> &'static str {
    match state {
        FileState::Ready => "yes",
        FileState::Unchecked => "unchecked",
        FileState::Missing => "no",
        FileState::OtherMachine => "not for this machine",
    }
}
