//! Settings changed in the texts they were read from: only the bytes of the values change, comments and order stay.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::document::Document;
use super::files::Files;
use super::path::{self, Step};
use super::yaml;
use crate::api::decode::Problems;
use crate::api::tree::{Key, Node, Span, Value};

/// A file with its changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EditedFile {
    /// Its path from the scenario's folder.
    pub path: String,
    /// Its text as it is.
    pub old: Arc<str>,
    /// Its text with the changes.
    pub new: String,
}

/// Changed files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// Files that change, in the order in which they were read.
    pub files: Vec<EditedFile>,
    /// Paths of settings that could not be changed in the texts: to be done by hand.
    pub by_hand: Vec<String>,
}

/// A piece of text to put in the place of another.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Edit {
    span: Span,
    text: String,
}

/// Changes settings, each given by its path and new value, in the files of a scenario.
#[must_use]
pub fn edit(document: &Document, settings: &[(String, Node)]) -> Edits {
    let mut by_hand = Vec::new();
    // One after another: a setting may belong into a table that the one before it made.
    let mut current = reread(document, &[]);
    for (setting, value) in settings {
        let done = match plan(&current, setting, value) {
            Some((wanted, edits)) => {
                let next = reread(&current, &applied(&current, &edits));
                // What does not read back as wanted is not offered.
                let found = next.get(setting).ok().flatten().is_some_and(|found| same(found, &wanted));
                found.then_some(next)
            }
            None => None,
        };
        match done {
            Some(next) => current = next,
            None => by_hand.push(setting.clone()),
        }
    }
    let text_in = |document: &Document, path: &str| {
        document.files().list().iter().find(|file| file.path == path).map(|file| file.text.clone())
    };
    let changed = document.files().list().iter().filter_map(|file| {
        let new = text_in(&current, &file.path).filter(|new| *new != file.text)?;
        Some(EditedFile { path: file.path.clone(), old: file.text.clone(), new: new.to_string() })
    });
    Edits { files: changed.collect(), by_hand }
}

/// The value that a setting is to have in the tree, and the edits that give it to it; none where it has it already.
fn plan(document: &Document, setting: &str, value: &Node) -> Option<(Node, Vec<Edit>)> {
    let mut changed = document.clone();
    changed.set(setting, value.clone()).ok()?;
    let wanted = changed.get(setting).ok()??.clone();
    let steps = path::resolve(document.root(), setting).ok()?;
    let edits = match path::get(document.root(), &steps) {
        Some(present) if same(present, &wanted) => Vec::new(),
        Some(present) => replaced(document, present, &wanted)?,
        None => vec![inserted(document, &steps, &wanted)?],
    };
    Some((wanted, edits))
}

/// Whether two values are equal, wherever they stand.
fn same(a: &Node, b: &Node) -> bool {
    match (&a.value, &b.value) {
        (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|((k, a), (l, b))| k.name == l.name && same(a, b))
        }
        (a, b) => a == b,
    }
}

fn source(document: &Document, span: Span) -> Option<(&str, bool)> {
    let file = document.files().get(span.file).filter(|file| !file.path.is_empty())?;
    Some((&file.text, file.path.ends_with(".toml")))
}

fn replaced(document: &Document, present: &Node, wanted: &Node) -> Option<Vec<Edit>> {
    let (text, toml) = source(document, present.span)?;
    let written = text.get(present.span.start as usize..present.span.end as usize)?;
    match (&present.value, &wanted.value) {
        (Value::List(old), Value::List(new)) if !written.starts_with('[') => block_list(text, old, new),
        (Value::Map(_), _) => None,
        _ => {
            let span = Span { end: present.span.start + length(written) as u32, ..present.span };
            Some(vec![Edit { span, text: rendered(wanted, toml, written.chars().next())? }])
        }
    }
}

/// Bytes of a value at the beginning of a text, without the blanks and the comment that may follow a quoted one.
fn length(written: &str) -> usize {
    let bytes = written.as_bytes();
    let Some(quote @ (b'"' | b'\'')) = bytes.first().copied() else { return written.trim_end().len() };
    let mut at = 1;
    while let Some(byte) = bytes.get(at) {
        let is_escape = quote == b'"' && *byte == b'\\';
        let is_doubled = quote == b'\'' && *byte == quote && bytes.get(at + 1) == Some(&quote);
        if *byte == quote && !is_doubled {
            return at + 1;
        }
        at += if is_escape || is_doubled { 2 } else { 1 };
    }
    written.len()
}

/// A YAML list with an item a line: lines of items that go are taken out, those of items that come follow the last that stays.
fn block_list(text: &str, old: &[Node], new: &[Node]) -> Option<Vec<Edit>> {
    let lines = old.iter().map(|item| line_of(text, item.span)).collect::<Option<Vec<_>>>()?;
    let keeps = |item: &Node| new.iter().any(|other| same(item, other));
    let mut edits: Vec<Edit> = Vec::new();
    for (item, line) in old.iter().zip(&lines).filter(|(item, _)| !keeps(item)) {
        edits.push(Edit { span: Span { file: item.span.file, ..*line }, text: String::new() });
    }
    let (last, line) = old.iter().zip(&lines).next_back()?;
    let prefix = text.get(line.start as usize..last.span.start as usize)?.to_owned();
    let mut added = String::new();
    for item in new.iter().filter(|item| !old.iter().any(|other| same(item, other))) {
        let quote = text.get(last.span.start as usize..)?.chars().next();
        added.push_str(&format!("{prefix}{}\n", rendered(item, false, quote)?));
    }
    if !added.is_empty() {
        let end = Span { file: last.span.file, start: line.end, end: line.end };
        edits.push(Edit { span: end, text: added });
    }
    Some(edits)
}

/// The whole line at a place, with its end.
fn line_of(text: &str, span: Span) -> Option<Span> {
    let start = text.get(..span.start as usize)?.rfind('\n').map_or(0, |at| at + 1);
    let end = text.get(span.end as usize..)?.find('\n').map_or(text.len(), |at| span.end as usize + at + 1);
    Some(Span { file: span.file, start: start as u32, end: end as u32 })
}

/// A setting that is not written yet: it follows the last plain entry of the table it belongs to.
fn inserted(document: &Document, steps: &[Step], wanted: &Node) -> Option<Edit> {
    let depth = (0..steps.len()).rev().find(|depth| {
        let node = path::get(document.root(), &steps[..*depth]);
        node.and_then(Node::entries).is_some_and(|entries| !entries.is_empty())
    })?;
    let entries = path::get(document.root(), &steps[..depth])?.entries()?;
    let keys: Vec<&str> = steps[depth..]
        .iter()
        .map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Index(_) => None,
        })
        .collect::<Option<_>>()?;
    let in_line = |(key, value): &&(Key, Node)| {
        let is_plain = !matches!(value.value, Value::Map(_) | Value::List(_) | Value::Null);
        is_plain && key.span.file == value.span.file && key.span.end <= value.span.start
    };
    let Some((key, value)) = entries.iter().rfind(in_line) else {
        return before_blocks(document, entries.first()?, &keys, wanted);
    };
    let (text, toml) = source(document, key.span)?;
    let line = line_of(text, value.span)?;
    let before = text.get(line.start as usize..key.span.start as usize)?;
    let at =
        |place: u32, text: String| Some(Edit { span: Span { file: key.span.file, start: place, end: place }, text });
    if before.trim_end().ends_with(['{', ',']) {
        let entry = one_line(&keys, &rendered(wanted, toml, None)?, toml);
        return at(key.span.start, format!("{entry}, "));
    }
    let prefix = if toml { before.to_owned() } else { " ".repeat(before.chars().count()) };
    let added = if toml {
        format!("{prefix}{}\n", one_line(&keys, &rendered(wanted, true, None)?, true))
    } else {
        nested(&keys, &rendered(wanted, false, None)?, &prefix)
    };
    let is_last_line = !text.get(..line.end as usize)?.ends_with('\n');
    at(line.end, if is_last_line { format!("\n{}", added.trim_end()) } else { added })
}

/// A setting of a YAML table that holds nothing but tables: it comes before the first of them.
fn before_blocks(document: &Document, (first, _): &(Key, Node), keys: &[&str], wanted: &Node) -> Option<Edit> {
    let (text, toml) = source(document, first.span)?;
    let line = line_of(text, first.span)?;
    let before = text.get(line.start as usize..first.span.start as usize)?;
    if toml || !before.trim().is_empty() {
        return None;
    }
    let span = Span { file: first.span.file, start: line.start, end: line.start };
    Some(Edit { span, text: nested(keys, &rendered(wanted, false, None)?, before) })
}

fn one_line(keys: &[&str], value: &str, toml: bool) -> String {
    if toml {
        let quoted: Vec<String> = keys.iter().map(|key| toml_key(key)).collect();
        return format!("{} = {value}", quoted.join("."));
    }
    let (inner, outer) = keys.split_last().map_or(("", &[][..]), |(inner, outer)| (*inner, outer));
    outer.iter().rev().fold(format!("{inner}: {value}"), |text, key| format!("{key}: {{ {text} }}"))
}

fn toml_key(key: &str) -> String {
    let is_bare = key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if is_bare { key.to_owned() } else { format!("{key:?}") }
}

fn nested(keys: &[&str], value: &str, prefix: &str) -> String {
    let mut text = String::new();
    for (depth, key) in keys.iter().enumerate() {
        let indent = "  ".repeat(depth);
        let is_last = depth + 1 == keys.len();
        let rest = if is_last { format!(" {value}") } else { String::new() };
        text.push_str(&format!("{prefix}{indent}{key}:{rest}\n"));
    }
    text
}

/// A value as it is written in a file, in the kind of quotes that stand there.
fn rendered(node: &Node, toml: bool, quote: Option<char>) -> Option<String> {
    let list = |items: &[Node]| -> Option<String> {
        let items = items.iter().map(|item| rendered(item, toml, Some('"'))).collect::<Option<Vec<_>>>()?;
        Some(format!("[{}]", items.join(", ")))
    };
    Some(match &node.value {
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::Str(text) if toml => format!("{text:?}"),
        Value::Str(text) => yaml_text(text, quote),
        Value::List(items) => list(items)?,
        Value::Map(entries) => {
            let between = if toml { " = " } else { ": " };
            let entry = |(key, value): &(Key, Node)| {
                let key = if toml { toml_key(&key.name) } else { yaml_text(&key.name, None) };
                Some(format!("{key}{between}{}", rendered(value, toml, None)?))
            };
            format!("{{ {} }}", entries.iter().map(entry).collect::<Option<Vec<_>>>()?.join(", "))
        }
        Value::Null => return None,
    })
}

/// A text in YAML: plain where it is a text without quotes and none stand there.
#[must_use]
pub fn yaml_text(text: &str, quote: Option<char>) -> String {
    let plain = || {
        let mut problems = Problems::default();
        let document = yaml::parse(&format!("k: {text}\n"), 0, &mut problems);
        let read = document.first().and_then(|document| document.get("k")).map(|node| &node.value);
        problems.list.is_empty() && read == Some(&Value::Str(text.to_owned()))
    };
    match quote {
        Some('\'') if !text.contains('\'') => format!("'{text}'"),
        Some('"') => format!("{text:?}"),
        _ if plain() => text.to_owned(),
        _ => format!("{text:?}"),
    }
}

fn applied(document: &Document, edits: &[Edit]) -> Vec<EditedFile> {
    let mut by_file: BTreeMap<u16, Vec<&Edit>> = BTreeMap::new();
    for edit in edits {
        by_file.entry(edit.span.file).or_default().push(edit);
    }
    let mut files = Vec::new();
    for (number, mut edits) in by_file {
        let Some(file) = document.files().get(number) else { continue };
        // From the end to the beginning, so that places stay right; of equal places the last comes first.
        edits.sort_by_key(|edit| (edit.span.start, edit.span.end));
        let mut new = file.text.to_string();
        for edit in edits.into_iter().rev() {
            new.replace_range(edit.span.start as usize..edit.span.end as usize, &edit.text);
        }
        files.push(EditedFile { path: file.path.clone(), old: file.text.clone(), new });
    }
    files
}

/// The scenario as it would be read from the changed files.
fn reread(document: &Document, edited: &[EditedFile]) -> Document {
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    for file in document.files().list().iter().filter(|file| !file.path.is_empty()) {
        texts.insert(file.path.clone(), file.text.to_string());
    }
    let first = document.files().list().first().map(|file| file.path.clone()).unwrap_or_default();
    texts.extend(edited.iter().map(|file| (file.path.clone(), file.new.clone())));
    let mut files = Files::in_memory(texts);
    let scenario = files.read(&first).unwrap_or_default();
    Document::read(files, scenario, &mut Problems::default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::axes::parse_axis;

    const YAML: &str = r#"# KEDA
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: orders
spec:
  scaleTargetRef: { name: orders }   # the consumers
  pollingInterval: 15  # seconds
  maxReplicaCount: 100
  triggers:
    - type: aws-sqs-queue
      metadata:
        queueURL: https://sqs.us-east-1.amazonaws.com/1/orders
        queueLength: "10"   # a text
---
apiVersion: karpenter.sh/v1
kind: NodePool
metadata:
  name: workers
spec:
  template:
    spec:
      requirements:
        - key: kubernetes.io/arch
          operator: In
          values:
            - amd64   # the image is built for it
        - key: karpenter.sh/capacity-type
          operator: In
          values: ["spot"]
  disruption:
    consolidationPolicy: WhenEmpty
"#;
    const TOML: &str = "[simulation]\nmanifests = [\"*.yaml\"]\n\n[[queues]]\nname = \"orders\" # all of them\n\n[[consumers]]\ndeployment = \"orders\"\nqueue = \"orders\"\nprocessing = \"1s\"\n";

    fn edited(settings: &[&str]) -> Edits {
        let texts = [("s.toml", TOML), ("k.yaml", YAML)].map(|(path, text)| (path.to_owned(), text.to_owned()));
        let mut files = Files::in_memory(texts.into_iter().collect());
        let scenario = files.read("s.toml").expect("it is there");
        let document = Document::read(files, scenario, &mut Problems::default());
        let settings: Vec<(String, Node)> = settings
            .iter()
            .map(|text| parse_axis(text).expect("an axis"))
            .map(|axis| (axis.path, axis.values[0].clone()))
            .collect();
        edit(&document, &settings)
    }

    fn lines(old: &str, new: &str) -> Vec<String> {
        let gone = old.lines().filter(|line| !new.lines().any(|other| other == *line)).map(|line| format!("-{line}"));
        let come = new.lines().filter(|line| !old.lines().any(|other| other == *line)).map(|line| format!("+{line}"));
        gone.chain(come).collect()
    }

    #[test]
    fn values_change_and_comments_stay() {
        let edits = edited(&[
            "ScaledObject/orders.pollingInterval=5",
            "ScaledObject/orders.triggers[0].metadata.queueLength=20",
            "ScaledObject/orders.maxReplicaCount=100",
            "NodePool/workers.template.spec.requirements.\"karpenter.sh/capacity-type\".values=[\"spot\",\"on-demand\"]",
        ]);
        assert_eq!((edits.by_hand.len(), edits.files.len()), (0, 1), "{edits:?}");
        let file = &edits.files[0];
        assert_eq!(
            lines(&file.old, &file.new),
            [
                "-  pollingInterval: 15  # seconds",
                "-        queueLength: \"10\"   # a text",
                "-          values: [\"spot\"]",
                "+  pollingInterval: 5  # seconds",
                "+        queueLength: \"20\"   # a text",
                "+          values: [\"spot\", \"on-demand\"]",
            ]
        );
    }

    #[test]
    fn settings_that_are_not_written_are_added_where_they_belong() {
        let edits = edited(&[
            "ScaledObject/orders.cooldownPeriod=60",
            "NodePool/workers.disruption.consolidateAfter=5m",
            "ScaledObject/orders.advanced.horizontalPodAutoscalerConfig.behavior.scaleDown.stabilizationWindowSeconds=60",
            "queues.orders.visibilityTimeout=2m",
            "consumers.orders.batchSize=5",
            "ScaledObject/orders.advanced.horizontalPodAutoscalerConfig.behavior.scaleUp.policies=[{ type = \"Pods\", value = 9 }]",
        ]);
        assert_eq!(edits.by_hand, [] as [&str; 0]);
        let added: Vec<String> = edits.files.iter().flat_map(|file| lines(&file.old, &file.new)).collect();
        for line in [
            "+visibilityTimeout = \"2m\"",
            "+batchSize = 5",
            "+  cooldownPeriod: 60",
            "+    consolidateAfter: 5m",
            "+  advanced:",
            "+          stabilizationWindowSeconds: 60",
            "+          policies: [{ type: Pods, value: 9 }]",
        ] {
            assert!(added.iter().any(|other| other == line), "no `{line}` in {added:?}");
        }
        assert!(added.iter().all(|line| line.starts_with('+')), "{added:?}");
    }

    #[test]
    fn items_of_a_list_come_and_go_line_by_line() {
        let values = "NodePool/workers.template.spec.requirements.\"kubernetes.io/arch\".values";
        let edits = edited(&[&format!("{values}=[\"amd64\",\"arm64\"]")]);
        let file = &edits.files[0];
        assert_eq!(lines(&file.old, &file.new), ["+            - arm64"]);
        let edits = edited(&[&format!("{values}=[\"arm64\"]")]);
        let file = &edits.files[0];
        let gone = "-            - amd64   # the image is built for it";
        assert_eq!(lines(&file.old, &file.new), [gone, "+            - arm64"]);
    }

    #[test]
    fn what_cannot_be_changed_in_the_text_is_said() {
        let edits = edited(&["ScaledObject/orders.scaleTargetRef={ name = \"other\" }"]);
        assert_eq!((edits.files.len(), edits.by_hand.len()), (0, 1));
    }
}
