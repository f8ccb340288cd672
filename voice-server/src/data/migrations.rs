//! The versions of the tables, a file each: applied in order, and never changed once they are out, which their checksums see to.
//!
//! The files are listed here, since the macro of sqlx that reads their folder builds both drivers a second time for itself.

use std::sync::LazyLock;

use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};

macro_rules! versions {
    ($folder:literal: $($name:literal)*) => {
        LazyLock::new(|| {
            Migrator::with_migrations(vec![
                $(version($name, include_str!(concat!("../../migrations/", $folder, "/", $name, ".sql")))),*
            ])
        })
    };
}

pub(super) static SQLITE: LazyLock<Migrator> = versions!("sqlite":
    "0001_conversations" "0002_platform" "0003_properties" "0004_trust" "0005_conversation_words" "0006_turn_figures"
    "0007_shelves" "0008_forms");

pub(super) static POSTGRES: LazyLock<Migrator> = versions!("postgres":
    "0001_platform" "0002_properties" "0003_trust" "0004_conversation_words" "0005_turn_figures" "0006_shelves"
    "0007_whereabouts" "0008_forms");

/// One version by the name of its file: its number, and what it is about.
fn version(name: &'static str, statements: &'static str) -> Migration {
    let (number, about) = name.split_once('_').unwrap_or((name, ""));
    let number = number.parse().unwrap_or_default();
    Migration::new(
        number,
        about.replace('_', " ").into(),
        MigrationType::Simple,
        statements.into_sql_str(),
        false,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_listed_by_its_number() {
        for (folder, listed) in [("sqlite", &*SQLITE), ("postgres", &*POSTGRES)] {
            let folder = format!("{}/migrations/{folder}", env!("CARGO_MANIFEST_DIR"));
            let mut files: Vec<String> = std::fs::read_dir(folder)
                .expect("a folder")
                .map(|file| file.expect("a file").file_name().into_string().expect("a name"))
                .collect();
            files.sort_unstable();
            let names: Vec<String> = listed
                .iter()
                .map(|one| format!("{:04}_{}.sql", one.version, one.description.replace(' ', "_")))
                .collect();
            assert_eq!(names, files);
            assert!(listed.iter().map(|one| one.version).eq(1..=files.len() as i64), "{names:?}");
        }
    }
}
