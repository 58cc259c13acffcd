//! A scenario as it is written, all files in one tree: settings can be changed by their paths before it is read.

use std::sync::Arc;

use super::changes::TimedChange;
use super::cloud::read_catalogue_file;
use super::files::{FileError, Files};
use super::path::{self, PathError, Step};
use super::{Scenario, convert, manifest, misplaced, toml, validate, yaml};
use crate::api::decode::{Decode, Problems};
use crate::api::distribution::read_empirical_files;
use crate::api::tree::{Node, Span, Value};

/// The tree of a scenario and the files it came from.
#[derive(Clone, Debug)]
pub struct Document {
    root: Node,
    files: Files,
}

impl Document {
    /// Parses the scenario file and the manifests it names. What cannot be read is reported and left out.
    pub fn read(mut files: Files, scenario_file: u16, problems: &mut Problems) -> Self {
        let text = files.get(scenario_file).map(|file| file.text.clone()).unwrap_or_default();
        let mut root = toml::parse(&text, scenario_file, problems);
        let mut read =
            |path: &str| text_of(&mut files, path).map(|text| text.to_string()).map_err(|error| error.to_string());
        read_catalogue_file(&mut root, &mut read, problems);
        read_empirical_files(&mut root, &mut read, problems);
        for (pattern, span) in manifest_patterns(&root) {
            for file in open_manifests(&pattern, span, &mut files, problems) {
                let text = files.get(file).map(|file| file.text.clone()).unwrap_or_default();
                manifest::collect(yaml::parse(&text, file, problems), &mut root, problems);
            }
        }
        convert::finish(&mut root);
        Document { root, files }
    }

    /// The files it was read from, for messages.
    #[must_use]
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// The tree.
    #[must_use]
    pub fn root(&self) -> &Node {
        &self.root
    }

    /// The value of a setting, if it is written.
    ///
    /// # Errors
    /// When there can be no such setting.
    pub fn get(&self, path: &str) -> Result<Option<&Node>, PathError> {
        Ok(path::get(&self.root, &path::resolve(&self.root, path)?))
    }

    /// Changes a setting.
    ///
    /// # Errors
    /// When there can be no such setting.
    pub fn set(&mut self, path: &str, value: Node) -> Result<(), PathError> {
        let steps = path::resolve(&self.root, path)?;
        path::set(&mut self.root, &steps, value);
        Ok(())
    }

    /// Changes a setting as the command line gives it: the value is TOML, or else a text. Problems with the value are shown
    /// with the text of the argument.
    ///
    /// # Errors
    /// When there can be no such setting.
    pub fn set_argument(&mut self, path: &str, value: &str) -> Result<(), PathError> {
        let mut node = toml::parse_value(value);
        let argument = format!("{path}={value}");
        let start = (path.len() + 1) as u32;
        let end = argument.len() as u32;
        if let Ok(file) = self.files.add("--set".to_owned(), String::new(), argument) {
            place(&mut node, Span { file, start, end });
        }
        self.set(path, node)
    }

    /// Reads the typed scenario and checks it; with an error there is none.
    pub fn decode(&mut self, known: Option<validate::KnownByRegion<'_>>, problems: &mut Problems) -> Option<Scenario> {
        let is_complete = !problems.has_errors();
        let before = problems.list.len();
        let mut scenario = Scenario::decode(&self.root, problems)?;
        let wrong: Vec<Span> = problems.list[before..].iter().map(|problem| problem.span).collect();
        let unreadable = self.read_attached_files(&mut scenario, problems);
        self.work_out_changes(&mut scenario, problems);
        // What could not be read would be missed at every place that names it.
        if is_complete {
            validate::check(&scenario, &self.root, &wrong, &unreadable, known, problems);
        }
        (!problems.has_errors()).then_some(scenario)
    }

    /// Says of unknown fields where they belong.
    pub fn explain(&self, problems: &mut Problems) {
        misplaced::explain(&self.root, &self.files, problems);
    }

    /// Fills in the texts of files that settings name; gives the places of those that cannot be read.
    fn read_attached_files(&mut self, scenario: &mut Scenario, problems: &mut Problems) -> Vec<Span> {
        let mut unreadable = Vec::new();
        for arrivals in scenario.queues.iter_mut().flat_map(|queue| queue.arrivals.iter_mut()) {
            let Some(file) = arrivals.file_mut() else { continue };
            match text_of(&mut self.files, &file.path) {
                Ok(text) => file.text = text,
                Err(error) => {
                    unreadable.push(file.span);
                    problems.error(file.span, format!("cannot read `{}`", file.path), error.to_string());
                }
            }
        }
        for series in &mut scenario.series {
            let Some(file) = &mut series.file else { continue };
            let span = file.span;
            match text_of(&mut self.files, &file.path) {
                Ok(text) => {
                    file.text = text;
                    if let Err(error) = series.read_file() {
                        unreadable.push(span);
                        problems.error(span, "this series cannot be read", error.to_string());
                    }
                }
                Err(error) => {
                    unreadable.push(span);
                    problems.error(span, format!("cannot read `{}`", file.path), error.to_string());
                }
            }
        }
        unreadable
    }

    /// Works out what each timed change makes of the objects, one after another in the order of time.
    fn work_out_changes(&self, scenario: &mut Scenario, problems: &mut Problems) {
        let mut order: Vec<usize> = (0..scenario.changes.len()).collect();
        order.sort_by_key(|index| scenario.changes[*index].at);
        let mut root = self.root.clone();
        for index in order {
            let change = &mut scenario.changes[index];
            for object in &change.create {
                scenario.clocks.applied.entry(object.clone()).or_insert(change.at);
            }
            apply_patch(&mut root, &self.patch_of(index), change, problems);
        }
    }

    /// The patch of a change as it is written, for the places of its keys.
    fn patch_of(&self, index: usize) -> Node {
        let change = self.root.get("changes").and_then(Node::items).and_then(|items| items.get(index));
        change.and_then(|change| change.get("patch")).cloned().unwrap_or_else(Node::empty_map)
    }
}

fn apply_patch(root: &mut Node, written: &Node, change: &mut TimedChange, problems: &mut Problems) {
    let mut touched: Vec<(super::kind::Kind, usize)> = Vec::new();
    for (key, value) in written.entries().unwrap_or_default() {
        match path::resolve(root, &key.name) {
            Err(error) => report(key.span, error, problems),
            Ok(steps) => {
                let target = match steps.as_slice() {
                    [Step::Key(section), Step::Index(index), ..] => {
                        super::kind::Kind::of_section(section).map(|kind| (kind, *index))
                    }
                    _ => None,
                };
                let Some(target) = target else {
                    problems.error_with_help(
                        key.span,
                        format!("`{}` cannot change during a run", key.name),
                        "not an object of the cluster",
                        "objects are changed as `Kind/name.field`; queues have `changes` of their own",
                    );
                    continue;
                };
                path::set(root, &steps, value.clone());
                if !touched.contains(&target) {
                    touched.push(target);
                }
            }
        }
    }
    for (kind, index) in touched {
        let node = root.get(kind.section()).and_then(Node::items).and_then(|items| items.get(index));
        change.patch.objects.extend(node.and_then(|node| kind.decode(node, problems)));
    }
}

fn text_of(files: &mut Files, path: &str) -> Result<Arc<str>, FileError> {
    let file = files.read(path)?;
    files.get(file).map(|file| file.text.clone()).ok_or(FileError::NotFound)
}

/// Adds a path's problem.
pub(super) fn report(span: Span, error: PathError, problems: &mut Problems) {
    problems.add(crate::api::decode::Severity::Error, span, error.message, "no such setting", error.help);
}

fn place(node: &mut Node, span: Span) {
    node.span = span;
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| place(item, span)),
        Value::Map(entries) => entries.iter_mut().for_each(|(key, value)| {
            key.span = span;
            place(value, span);
        }),
        _ => {}
    }
}

fn manifest_patterns(root: &Node) -> Vec<(String, Span)> {
    let patterns = root.at(&["simulation", "manifests"]).and_then(Node::items).unwrap_or_default();
    patterns.iter().filter_map(|node| Some((node.as_str()?.to_owned(), node.span))).collect()
}

fn open_manifests(pattern: &str, span: Span, files: &mut Files, problems: &mut Problems) -> Vec<u16> {
    let paths = match files.matching(pattern) {
        Ok(paths) if paths.is_empty() => {
            let help = "paths are relative to the folder of this file; `*` stands for any part of one name";
            problems.error_with_help(span, format!("no file matches `{pattern}`"), "matches nothing", help);
            return Vec::new();
        }
        Ok(paths) => paths,
        Err(error) => {
            problems.error(span, format!("cannot look up `{pattern}`"), error.to_string());
            return Vec::new();
        }
    };
    let mut opened = Vec::new();
    for path in paths {
        match files.read(&path) {
            Ok(file) => opened.push(file),
            Err(error) => problems.error(span, format!("cannot read `{path}`"), error.to_string()),
        }
    }
    opened
}
