//! From a path to a validated scenario.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use super::document::Document;
use super::files::Files;
use super::validate::KnownByRegion;
use super::{Scenario, diagnostic, toml};
use crate::api::decode::{Problems, Severity};
use crate::api::tree::Span;

/// How a scenario is loaded.
#[derive(Clone, Default)]
pub struct Options<'a> {
    /// Whether files outside the scenario's folder may be read.
    pub allow_outside: bool,
    /// Settings that replace those of the file: path and value.
    pub settings: Vec<(String, String)>,
    /// What the cloud offers in a region: instance types and zones are checked against it.
    pub known: Option<KnownByRegion<'a>>,
}

/// A scenario that can run.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The scenario.
    pub scenario: Scenario,
    /// What it was read from; sweeps change it and read it again.
    pub document: Document,
    /// Warnings and notes.
    pub problems: Problems,
}

/// A scenario that cannot run, and why.
#[derive(Clone, Debug)]
pub struct Invalid {
    /// The files, for showing the places.
    pub files: Files,
    /// At least one error.
    pub problems: Problems,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&diagnostic::render(&self.problems, &self.files, false))
    }
}

impl std::error::Error for Invalid {}

/// Loads the scenario at a path, with the manifests and other files it names.
///
/// # Errors
/// All problems of all files, when one of them is an error.
pub fn load(path: &Path, options: &Options<'_>) -> Result<Box<Loaded>, Box<Invalid>> {
    let files = Files::beside(path, options.allow_outside);
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    load_from(files, &name, &path.display().to_string(), options)
}

/// Loads a scenario from texts in memory, by path; `scenario` is the path of the TOML text.
///
/// # Errors
/// As [`load`].
pub fn load_texts(
    scenario: &str,
    texts: BTreeMap<String, String>,
    options: &Options<'_>,
) -> Result<Box<Loaded>, Box<Invalid>> {
    load_from(Files::in_memory(texts), scenario, scenario, options)
}

fn load_from(mut files: Files, name: &str, shown: &str, options: &Options<'_>) -> Result<Box<Loaded>, Box<Invalid>> {
    let mut problems = Problems::default();
    let scenario_file = match files.read(name) {
        Ok(file) => file,
        Err(error) => {
            let nowhere = Span { file: u16::MAX, start: 0, end: 0 };
            problems.error(nowhere, format!("cannot read `{shown}`: {error}"), "");
            return Err(Box::new(Invalid { files, problems }));
        }
    };
    let mut document = Document::read(files, scenario_file, &mut problems);
    if problems
        .list
        .iter()
        .any(|problem| problem.span.file == scenario_file && problem.message.starts_with(toml::SYNTAX))
    {
        // What follows a mistake of syntax is guesswork.
        return Err(Box::new(Invalid { files: document.files().clone(), problems }));
    }
    for (path, value) in &options.settings {
        if let Err(error) = document.set_argument(path, value) {
            let nowhere = Span { file: u16::MAX, start: 0, end: 0 };
            problems.add(Severity::Error, nowhere, format!("--set {path}: {}", error.message), "", error.help);
        }
    }
    finish(document, options.known, problems)
}

/// Reads and checks a document, after settings of it were changed.
///
/// # Errors
/// As [`load`].
pub fn finish(
    mut document: Document,
    known: Option<KnownByRegion<'_>>,
    mut problems: Problems,
) -> Result<Box<Loaded>, Box<Invalid>> {
    let scenario = document.decode(known, &mut problems);
    document.explain(&mut problems);
    match scenario {
        Some(scenario) if !problems.has_errors() => Ok(Box::new(Loaded { scenario, document, problems })),
        _ => Err(Box::new(Invalid { files: document.files().clone(), problems })),
    }
}
