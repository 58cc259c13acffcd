//! Loading a scenario for a command, with everything said about it on standard error.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

pub(super) use crate::ec2::known::known_in;
use crate::scenario::diagnostic;
use crate::scenario::load::{Invalid, Loaded, Options, load};

use super::terminal::Terminal;

/// Which scenario, and what to change in it.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Source {
    /// Scenario, a TOML file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Change a setting: `ScaledObject/orders.pollingInterval=5`; may be repeated
    #[arg(long = "set", value_name = "PATH=VALUE", value_parser = parse_setting)]
    pub settings: Vec<(String, String)>,
    /// Allow the scenario to read files outside its folder
    #[arg(long)]
    pub allow_outside: bool,
}

pub(super) fn parse_setting(text: &str) -> Result<(String, String), String> {
    let (path, value) = text.split_once('=').ok_or("expected PATH=VALUE")?;
    if path.trim().is_empty() {
        return Err("the path before `=` is empty".to_owned());
    }
    Ok((path.trim().to_owned(), value.trim().to_owned()))
}

/// The scenario with all that is known of the cloud, or why it cannot run.
pub(super) fn attempt(source: &Source) -> Result<Box<Loaded>, Box<Invalid>> {
    let options =
        Options { allow_outside: source.allow_outside, settings: source.settings.clone(), known: Some(&known_in) };
    load(&source.file, &options)
}

/// The scenario, or nothing when it cannot run. Problems are shown either way; warnings only unless `quiet`.
pub(super) fn scenario(source: &Source, quiet: bool, terminal: &Terminal) -> io::Result<Option<Box<Loaded>>> {
    match attempt(source) {
        Ok(loaded) => {
            if !quiet {
                let text = diagnostic::render(&loaded.problems, loaded.document.files(), terminal.color_error);
                io::stderr().write_all(text.as_bytes())?;
            }
            Ok(Some(loaded))
        }
        Err(invalid) => {
            let text = diagnostic::render(&invalid.problems, &invalid.files, terminal.color_error);
            io::stderr().write_all(text.as_bytes())?;
            Ok(None)
        }
    }
}

/// The name of a scenario: its file's without the ending, or its folder's when the file is only called `scenario`.
pub(super) fn name(path: &Path) -> String {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let folder = path.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    match folder {
        Some(folder) if stem == "scenario" => folder,
        _ if stem.is_empty() => "scenario".to_owned(),
        _ => stem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_are_named_after_their_file_or_folder() {
        for (path, expected) in [
            ("scenarios/front-page.toml", "front-page"),
            ("scenarios/front-page/scenario.toml", "front-page"),
            ("scenario.toml", "scenario"),
            ("..", "scenario"),
        ] {
            assert_eq!(name(Path::new(path)), expected, "{path}");
        }
    }

    #[test]
    fn settings_have_a_path_and_a_value() {
        assert_eq!(parse_setting("a.b = 3"), Ok(("a.b".to_owned(), "3".to_owned())));
        assert_eq!(parse_setting("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert!(parse_setting("a").is_err() && parse_setting("=3").is_err());
    }
}
