//! The files a scenario is made of: where they may lie, how large they may be, and their texts for messages.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Largest file, in bytes.
pub const MAX_FILE_BYTES: u64 = 16 << 20;
/// All files of one scenario together, in bytes.
pub const MAX_TOTAL_BYTES: u64 = 64 << 20;
/// Most files of one scenario.
pub const MAX_FILES: usize = 1000;
/// Most entries of a folder that a pattern looks at.
pub const MAX_FOLDER_ENTRIES: usize = 10_000;

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Its name as messages show it.
    pub name: String,
    /// Its path from the scenario's folder, as it is written in the scenario.
    pub path: String,
    /// Its text, without byte order mark.
    pub text: Arc<str>,
}

/// Where files come from.
#[derive(Clone, Debug)]
enum Store {
    /// A folder of the machine, with its real path; paths of a scenario are relative to it.
    Folder { shown: PathBuf, real: PathBuf },
    /// Texts by path, for tests and for scenarios that have no files.
    Memory(BTreeMap<String, String>),
}

/// The files of one scenario, in the order they were read; [`Span::file`](crate::api::tree::Span::file) is an index into them.
#[derive(Clone, Debug)]
pub struct Files {
    list: Vec<SourceFile>,
    store: Store,
    allow_outside: bool,
}

/// Why a file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// There is none.
    #[error("no such file")]
    NotFound,
    /// It lies outside the scenario's folder.
    #[error("outside the scenario's folder")]
    Outside,
    /// A folder, device or pipe.
    #[error("not a regular file")]
    NotRegular,
    /// Larger than [`MAX_FILE_BYTES`].
    #[error("larger than {} MiB", MAX_FILE_BYTES >> 20)]
    TooLarge,
    /// More than [`MAX_TOTAL_BYTES`] with those before it.
    #[error("all files together are larger than {} MiB", MAX_TOTAL_BYTES >> 20)]
    TooMuch,
    /// Not a text.
    #[error("not valid UTF-8 (byte {0})")]
    NotUtf8(usize),
    /// More than [`MAX_FILES`].
    #[error("more than {MAX_FILES} files")]
    TooMany,
    /// A pattern that is not supported.
    #[error("`**` is not supported; write one `*` for each level")]
    DoubleStar,
    /// The operating system refused.
    #[error("{0}")]
    Io(String),
}

impl Files {
    /// For a scenario whose file is at `path`: everything else is looked up from its folder.
    #[must_use]
    pub fn beside(path: &Path, allow_outside: bool) -> Self {
        let shown = path.parent().map(Path::to_path_buf).unwrap_or_default();
        let folder = if shown.as_os_str().is_empty() { PathBuf::from(".") } else { shown.clone() };
        let real = folder.canonicalize().unwrap_or(folder);
        Files { list: Vec::new(), store: Store::Folder { shown, real }, allow_outside }
    }

    /// For texts that are in memory, by path.
    #[must_use]
    pub fn in_memory(texts: BTreeMap<String, String>) -> Self {
        Files { list: Vec::new(), store: Store::Memory(texts), allow_outside: false }
    }

    /// The files read so far.
    #[must_use]
    pub fn list(&self) -> &[SourceFile] {
        &self.list
    }

    /// The file of that number.
    #[must_use]
    pub fn get(&self, file: u16) -> Option<&SourceFile> {
        self.list.get(usize::from(file))
    }

    /// Reads a file, given by its path from the scenario's folder, and gives its number.
    ///
    /// # Errors
    /// When it is missing, outside the folder, too large or not a text.
    pub fn read(&mut self, path: &str) -> Result<u16, FileError> {
        if let Some(known) = self.list.iter().position(|file| file.path == path) {
            return u16::try_from(known).map_err(|_| FileError::TooMany);
        }
        let (name, text) = match &self.store {
            Store::Memory(texts) => (path.to_owned(), texts.get(path).ok_or(FileError::NotFound)?.clone()),
            Store::Folder { shown, real } => {
                let text = read_text(&self.permitted(&real.join(path), real)?)?;
                (shown.join(path).display().to_string(), text)
            }
        };
        self.add(name, path.to_owned(), text)
    }

    /// Adds a text that is known by that name.
    ///
    /// # Errors
    /// When there are too many files, or it is too large.
    pub fn add(&mut self, name: String, path: String, text: String) -> Result<u16, FileError> {
        let number = u16::try_from(self.list.len()).map_err(|_| FileError::TooMany)?;
        if self.list.len() >= MAX_FILES {
            return Err(FileError::TooMany);
        }
        if text.len() as u64 > MAX_FILE_BYTES {
            return Err(FileError::TooLarge);
        }
        if self.list.iter().map(|file| file.text.len() as u64).sum::<u64>() + text.len() as u64 > MAX_TOTAL_BYTES {
            return Err(FileError::TooMuch);
        }
        let text = Arc::from(text.strip_prefix('\u{feff}').unwrap_or(&text));
        self.list.push(SourceFile { name, path, text });
        Ok(number)
    }

    /// Paths that a pattern names, sorted: `*` stands for any part of one file or folder name.
    ///
    /// # Errors
    /// When a folder cannot be read, or the pattern leaves the scenario's folder.
    pub fn matching(&self, pattern: &str) -> Result<Vec<String>, FileError> {
        if pattern.contains("**") {
            return Err(FileError::DoubleStar);
        }
        match &self.store {
            Store::Memory(texts) => Ok(texts.keys().filter(|path| same_depth_match(pattern, path)).cloned().collect()),
            Store::Folder { real, .. } => self.matching_on_disk(pattern, real),
        }
    }

    fn matching_on_disk(&self, pattern: &str, real: &Path) -> Result<Vec<String>, FileError> {
        let mut found = vec![if pattern.starts_with('/') { "/".to_owned() } else { String::new() }];
        for segment in pattern.split('/').filter(|segment| !segment.is_empty()) {
            let mut next = Vec::new();
            for base in &found {
                if segment.contains('*') {
                    let folder = self.permitted(&real.join(base), real)?;
                    next.extend(
                        entries(&folder)?.iter().filter(|name| name_matches(segment, name)).map(|n| joined(base, n)),
                    );
                } else if real.join(joined(base, segment)).exists() {
                    next.push(joined(base, segment));
                }
            }
            found = next;
        }
        found.retain(|path| !path.is_empty() && !real.join(path).is_dir());
        found.sort();
        Ok(found)
    }

    /// The real path, unless it lies where it may not.
    fn permitted(&self, path: &Path, folder: &Path) -> Result<PathBuf, FileError> {
        let real = path.canonicalize().map_err(|error| io_error(&error))?;
        if self.allow_outside || real.starts_with(folder) { Ok(real) } else { Err(FileError::Outside) }
    }
}

/// Reads a text of bounded size from a regular file.
///
/// # Errors
/// When it is missing, no regular file, too large, or not UTF-8.
pub fn read_text(path: &Path) -> Result<String, FileError> {
    let metadata = std::fs::metadata(path).map_err(|error| io_error(&error))?;
    if !metadata.is_file() {
        return Err(FileError::NotRegular);
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| io_error(&error))?;
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|error| io_error(&error))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(FileError::TooLarge);
    }
    String::from_utf8(bytes).map_err(|error| FileError::NotUtf8(error.utf8_error().valid_up_to()))
}

fn io_error(error: &std::io::Error) -> FileError {
    match error.kind() {
        std::io::ErrorKind::NotFound => FileError::NotFound,
        _ => FileError::Io(error.to_string()),
    }
}

fn entries(folder: &Path) -> Result<Vec<String>, FileError> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| io_error(&error))?.take(MAX_FOLDER_ENTRIES) {
        let entry = entry.map_err(|error| io_error(&error))?;
        names.extend(entry.file_name().into_string());
    }
    Ok(names)
}

fn joined(base: &str, name: &str) -> String {
    match base {
        "" => name.to_owned(),
        base if base.ends_with('/') => format!("{base}{name}"),
        base => format!("{base}/{name}"),
    }
}

fn same_depth_match(pattern: &str, path: &str) -> bool {
    let (pattern, path): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), path.split('/').collect());
    pattern.len() == path.len() && pattern.iter().zip(&path).all(|(segment, name)| name_matches(segment, name))
}

/// Whether a name has the form of a pattern in which `*` stands for any text; a leading dot must be written out.
pub(super) fn name_matches(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let mut parts = pattern.split('*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.len() >= last.len() && rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_part_of_one_name() {
        for (pattern, name, matches) in [
            ("*.yaml", "a.yaml", true),
            ("*.yaml", "a.yml", false),
            ("*.yaml", ".hidden.yaml", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "acb", false),
            ("*", "anything", true),
            ("a", "a", true),
            ("a", "ab", false),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(name_matches(pattern, name), matches, "{pattern} {name}");
        }
    }

    #[test]
    fn files_outside_the_folder_are_refused_unless_allowed() -> Result<(), std::io::Error> {
        let root = tempfile::tempdir()?;
        let inside = root.path().join("inside");
        std::fs::create_dir(&inside)?;
        std::fs::write(root.path().join("secret.yaml"), "a: 1")?;
        std::fs::write(inside.join("own.yaml"), "a: 1")?;
        let scenario = inside.join("scenario.toml");
        let mut strict = Files::beside(&scenario, false);
        assert_eq!(strict.read("../secret.yaml"), Err(FileError::Outside));
        assert_eq!(strict.read("own.yaml"), Ok(0));
        assert_eq!(strict.matching("../*.yaml"), Err(FileError::Outside));
        assert_eq!(strict.matching("*.yaml"), Ok(vec!["own.yaml".to_owned()]));
        assert_eq!(Files::beside(&scenario, true).read("../secret.yaml"), Ok(0));
        assert_eq!(strict.read("."), Err(FileError::NotRegular));
        // Whatever way leads out: an absolute path, a way round, a link to a file, a link to a folder.
        let secret = root.path().join("secret.yaml");
        let absolute = secret.to_string_lossy().into_owned();
        assert_eq!(strict.read(&absolute), Err(FileError::Outside));
        assert_eq!(strict.read("./../inside/../secret.yaml"), Err(FileError::Outside));
        assert_eq!(strict.matching(&absolute.replace("secret", "s*")), Err(FileError::Outside));
        std::os::unix::fs::symlink(&secret, inside.join("link.yaml"))?;
        std::os::unix::fs::symlink(root.path(), inside.join("folder"))?;
        assert_eq!(strict.read("link.yaml"), Err(FileError::Outside));
        assert_eq!(strict.read("folder/secret.yaml"), Err(FileError::Outside));
        assert_eq!(strict.matching("folder/*.yaml"), Err(FileError::Outside));
        assert_eq!(Files::beside(&scenario, true).read("folder/secret.yaml"), Ok(0));
        Ok(())
    }

    #[test]
    fn files_are_limited_in_size_and_number() {
        let large = || "a".repeat(MAX_FILE_BYTES as usize);
        let mut files = Files::in_memory(BTreeMap::new());
        assert_eq!(files.add("a".to_owned(), "a".to_owned(), large() + "a"), Err(FileError::TooLarge));
        for number in 0..4 {
            assert_eq!(files.add(number.to_string(), number.to_string(), large()), Ok(number));
        }
        assert_eq!(files.add("5".to_owned(), "5".to_owned(), "a".to_owned()), Err(FileError::TooMuch));
        let mut files = Files::in_memory(BTreeMap::new());
        for number in 0..MAX_FILES {
            assert!(files.add(number.to_string(), number.to_string(), String::new()).is_ok());
        }
        assert_eq!(files.add("more".to_owned(), "more".to_owned(), String::new()), Err(FileError::TooMany));
    }
}
