//! YAML documents -> [`Node`] trees in which every key and value knows its place. Plain scalars are resolved as `kubectl` does.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span as Marks, StrInput, Tag};

use crate::api::decode::Problems;
use crate::api::tree::{Key, Node, Span, Value};

/// Deepest nesting of maps and lists.
pub const MAX_DEPTH: usize = 64;
/// Most values of one file, counting those that anchors keep and aliases repeat.
pub const MAX_VALUES: usize = 500_000;

/// All documents of a file, empty ones left out; with an error of syntax none.
pub fn parse(text: &str, file: u16, problems: &mut Problems) -> Vec<Node> {
    let mut reader = Reader {
        parser: Parser::new_from_str(text),
        places: Places::new(text, file),
        anchors: BTreeMap::new(),
        values: 0,
        problems,
    };
    reader.documents().unwrap_or_default()
}

/// The file is unusable; the problem has been reported.
struct Stop;

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    places: Places<'a>,
    anchors: BTreeMap<usize, Node>,
    values: usize,
    problems: &'a mut Problems,
}

/// Turns the parser's places, counted in characters, into byte ranges.
struct Places<'a> {
    text: &'a str,
    file: u16,
    /// Byte of each character; empty when every character is one byte.
    bytes: Vec<u32>,
}

impl<'a> Places<'a> {
    fn new(text: &'a str, file: u16) -> Self {
        let bytes =
            if text.is_ascii() { Vec::new() } else { text.char_indices().map(|(byte, _)| byte as u32).collect() };
        Places { text, file, bytes }
    }

    fn byte(&self, character: usize) -> u32 {
        let end = self.text.len() as u32;
        if self.bytes.is_empty() {
            (character as u32).min(end)
        } else {
            self.bytes.get(character).copied().unwrap_or(end)
        }
    }

    fn span(&self, marks: Marks) -> Span {
        let (start, end) = (self.byte(marks.start.index()), self.byte(marks.end.index()));
        Span { file: self.file, start, end: end.max(start) }
    }
}

impl<'a> Reader<'a> {
    fn documents(&mut self) -> Result<Vec<Node>, Stop> {
        let mut documents = Vec::new();
        loop {
            let (event, marks) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(documents),
                Event::DocumentStart(_) => {
                    self.anchors.clear();
                    let (event, marks) = self.next()?;
                    let node = self.node(event, marks, None, 0)?;
                    if node.value != Value::Null {
                        documents.push(node);
                    }
                }
                Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
                _ => return Err(self.stop(marks, "unexpected content", "not expected here", None)),
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Marks), Stop> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(self.syntax(&error)),
            None => Ok((Event::StreamEnd, Marks::default())),
        }
    }

    fn syntax(&mut self, error: &ScanError) -> Stop {
        let start = self.places.byte(error.marker().index());
        let text = self.places.text;
        let line_start = text[..start as usize].rfind('\n').map_or(0, |at| at + 1);
        let indent: &str =
            text[line_start..].split(|c: char| !c.is_whitespace() || c == '\n').next().unwrap_or_default();
        let help = if text[line_start..].starts_with('\t') || indent.contains('\t') {
            Some("indent with spaces: YAML does not allow tabs there".to_owned())
        } else {
            None
        };
        let end = text[start as usize..].chars().next().map_or(start, |c| start + c.len_utf8() as u32);
        let span = Span { file: self.places.file, start, end };
        self.problems.add(crate::api::decode::Severity::Error, span, "this is not valid YAML", error.info(), help);
        Stop
    }

    fn stop(&mut self, marks: Marks, message: &str, label: &str, help: Option<String>) -> Stop {
        let span = self.places.span(marks);
        self.problems.add(crate::api::decode::Severity::Error, span, message, label, help);
        Stop
    }

    /// Reads the value that begins with `event`. A block has the place of its `owner`, the key it stands under: underlining
    /// all its lines would say nothing.
    fn node(&mut self, event: Event<'a>, marks: Marks, owner: Option<Span>, depth: usize) -> Result<Node, Stop> {
        self.values += 1;
        if depth > MAX_DEPTH {
            return Err(self.stop(marks, "nested too deeply", &format!("more than {MAX_DEPTH} levels"), None));
        }
        self.few_enough(marks)?;
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = match self.scalar(&text, style, tag.as_deref(), marks)? {
                    // An empty value has no text of its own.
                    Value::Null if text.is_empty() => {
                        Node { value: Value::Null, span: owner.unwrap_or(self.places.span(marks)) }
                    }
                    value => Node { value, span: self.places.span(marks) },
                };
                Ok(self.remember(anchor, value))
            }
            Event::SequenceStart(anchor, _) => {
                let flow = self.is_flow(marks);
                let mut items = Vec::new();
                let end = loop {
                    let (event, marks) = self.next()?;
                    if event == Event::SequenceEnd {
                        break marks;
                    }
                    items.push(self.node(event, marks, None, depth + 1)?);
                };
                let span = self.block_span(flow, marks, end, owner, items.first().map(|item| item.span));
                Ok(self.remember(anchor, Node { value: Value::List(items), span }))
            }
            Event::MappingStart(anchor, _) => self.map(marks, anchor, owner, depth),
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some(node) => {
                    self.values += count(node);
                    let node = if self.values > MAX_VALUES { Node::empty_map() } else { node.clone() };
                    self.few_enough(marks).map(|()| node)
                }
                None => {
                    self.few_enough(marks)?;
                    Err(self.stop(marks, "unknown alias", "no such anchor before this", None))
                }
            },
            _ => Err(self.stop(marks, "unexpected content", "not expected here", None)),
        }
    }

    fn few_enough(&mut self, marks: Marks) -> Result<(), Stop> {
        if self.values > MAX_VALUES {
            return Err(self.stop(marks, "too many values in one file", &format!("more than {MAX_VALUES}"), None));
        }
        Ok(())
    }

    fn map(&mut self, marks: Marks, anchor: usize, owner: Option<Span>, depth: usize) -> Result<Node, Stop> {
        let flow = self.is_flow(marks);
        let mut entries: Vec<(Key, Node)> = Vec::new();
        let mut merged: Vec<(Key, Node)> = Vec::new();
        let mut seen: BTreeMap<String, Span> = BTreeMap::new();
        let end = loop {
            let (event, marks) = self.next()?;
            let (name, plain) = match event {
                Event::MappingEnd => break marks,
                Event::Scalar(text, style, ..) => (text.into_owned(), style == ScalarStyle::Plain),
                _ => return Err(self.stop(marks, "a key must be a text", "not a text", None)),
            };
            let key = Key { name, span: self.places.span(marks) };
            let (event, value_marks) = self.next()?;
            let value = self.node(event, value_marks, Some(key.span), depth + 1)?;
            if key.name == "<<" && plain {
                merged.extend(self.merge_source(value, marks)?);
                continue;
            }
            if let Some(first) = seen.insert(key.name.clone(), key.span) {
                self.problems.error(key.span, format!("duplicate key `{}`", key.name), "written again");
                self.problems.relate(first, "first written here");
                continue;
            }
            entries.push((key, value));
        };
        for (key, value) in merged {
            if !seen.contains_key(&key.name) {
                seen.insert(key.name.clone(), key.span);
                entries.push((key, value));
            }
        }
        let span = self.block_span(flow, marks, end, owner, entries.first().map(|(key, _)| key.span));
        Ok(self.remember(anchor, Node { value: Value::Map(entries), span }))
    }

    /// What a `<<` key merges in: a map or a list of maps, earlier ones first.
    fn merge_source(&mut self, value: Node, marks: Marks) -> Result<Vec<(Key, Node)>, Stop> {
        let nodes = match value.value {
            Value::List(items) => items,
            other => vec![Node { value: other, span: value.span }],
        };
        let mut entries = Vec::new();
        for node in nodes {
            match node.value {
                Value::Map(map) => entries.extend(map),
                _ => return Err(self.stop(marks, "`<<` merges maps", "this is no map", None)),
            }
        }
        Ok(entries)
    }

    fn remember(&mut self, anchor: usize, node: Node) -> Node {
        if anchor > 0 {
            // Anchors within anchors keep their values again and again.
            self.values += count(&node);
            if self.values <= MAX_VALUES {
                self.anchors.insert(anchor, node.clone());
            }
        }
        node
    }

    fn is_flow(&self, marks: Marks) -> bool {
        let start = self.places.byte(marks.start.index()) as usize;
        matches!(self.places.text.as_bytes().get(start), Some(b'{' | b'['))
    }

    fn block_span(&self, flow: bool, start: Marks, end: Marks, owner: Option<Span>, first: Option<Span>) -> Span {
        let own = self.places.span(Marks::new(start.start, end.end));
        if flow { own } else { owner.or(first).unwrap_or(own) }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, marks: Marks) -> Result<Value, Stop> {
        match tag.map(|tag| (tag.is_yaml_core_schema(), tag.suffix.as_str())) {
            None if style == ScalarStyle::Plain => Ok(resolve(text)),
            None | Some((true, "str")) => Ok(Value::Str(text.to_owned())),
            Some((true, "int" | "float" | "bool" | "null")) => Ok(resolve(text)),
            Some(_) => Err(self.stop(
                marks,
                "unknown YAML tag",
                "only !!str, !!int, !!float, !!bool and !!null are known",
                None,
            )),
        }
    }
}

fn count(node: &Node) -> usize {
    1 + match &node.value {
        Value::List(items) => items.iter().map(count).sum(),
        Value::Map(entries) => entries.iter().map(|(_, value)| count(value)).sum(),
        _ => 0,
    }
}

/// A plain scalar as `sigs.k8s.io/yaml` resolves it: YAML 1.1 truth values and octal numbers included.
fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Value::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Value::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Value::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Value::Float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => Value::Float(f64::NAN),
        _ => number(text).unwrap_or_else(|| Value::Str(text.to_owned())),
    }
}

fn number(text: &str) -> Option<Value> {
    let bare = text.trim_start_matches(['+', '-']);
    if text.len() - bare.len() > 1 || !bare.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let negative = text.starts_with('-');
    let digits = bare.replace('_', "");
    let (radix, digits_only) = match digits.get(..2) {
        Some("0x" | "0X") => (16, &digits[2..]),
        Some("0o") => (8, &digits[2..]),
        Some("0b") => (2, &digits[2..]),
        Some(two) if two.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit()) => (8, &digits[1..]),
        _ => (10, digits.as_str()),
    };
    if !digits_only.is_empty() && digits_only.chars().all(|c| c.is_digit(radix)) {
        let sign = if negative { "-" } else { "" };
        if let Ok(value) = i64::from_str_radix(&format!("{sign}{digits_only}"), radix) {
            return Some(Value::Int(value));
        }
    }
    let is_float = radix == 10
        && digits.bytes().any(|b| b.is_ascii_digit())
        && digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    if !is_float {
        return None;
    }
    let value: f64 = digits.parse().ok()?;
    Some(Value::Float(if negative { -value } else { value }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Node {
        let mut problems = Problems::default();
        let mut documents = parse(text, 0, &mut problems);
        assert_eq!(problems.list, [], "{text}");
        documents.remove(0)
    }

    fn problem(text: &str) -> String {
        let mut problems = Problems::default();
        parse(text, 0, &mut problems);
        problems.list.first().map(|problem| problem.message.clone()).unwrap_or_default()
    }

    #[test]
    fn plain_scalars_are_resolved_as_kubectl_does() {
        for (text, value) in [
            ("12", Value::Int(12)),
            ("-7", Value::Int(-7)),
            ("0x1f", Value::Int(31)),
            ("010", Value::Int(8)),
            ("1_000", Value::Int(1000)),
            ("1.5", Value::Float(1.5)),
            ("1e3", Value::Float(1000.0)),
            ("yes", Value::Bool(true)),
            ("off", Value::Bool(false)),
            ("~", Value::Null),
            ("1Gi", Value::Str("1Gi".to_owned())),
            ("1.2.3", Value::Str("1.2.3".to_owned())),
            ("30s", Value::Str("30s".to_owned())),
            ("\"12\"", Value::Str("12".to_owned())),
            ("!!str 12", Value::Str("12".to_owned())),
            ("5e", Value::Str("5e".to_owned())),
        ] {
            assert_eq!(one(&format!("a: {text}")).get("a").map(|node| node.value.clone()), Some(value), "{text}");
        }
    }

    #[test]
    fn places_are_bytes_whatever_the_characters() {
        let text = "# é “typographic”\nspec:\n  memory: “8Gi”\n";
        let node = one(text);
        let value = node.at(&["spec", "memory"]).map(|node| node.span).unwrap_or_default();
        assert_eq!(&text[value.start as usize..value.end as usize], "“8Gi”");
        let spec = node.get("spec").map(|node| node.span).unwrap_or_default();
        assert_eq!(&text[spec.start as usize..spec.end as usize], "spec");
    }

    #[test]
    fn several_documents_and_empty_ones() {
        let mut problems = Problems::default();
        assert_eq!(parse("---\na: 1\n---\n---\nb: 2\n...\n", 0, &mut problems).len(), 2);
        assert_eq!(parse("# nothing\n", 0, &mut problems).len(), 0);
        assert_eq!(problems.list, []);
    }

    #[test]
    fn duplicate_keys_are_refused() {
        assert_eq!(problem("a: 1\nb: 2\na: 3\n"), "duplicate key `a`");
    }

    #[test]
    fn anchors_and_merges_are_followed_within_limits() {
        let node = one("base: &base {x: 1, y: 2}\nuse:\n  <<: *base\n  y: 3\n");
        assert_eq!(node.at(&["use", "x"]).map(|n| n.value.clone()), Some(Value::Int(1)));
        assert_eq!(node.at(&["use", "y"]).map(|n| n.value.clone()), Some(Value::Int(3)));
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for i in 1..9 {
            let previous = format!("*a{}", i - 1);
            bomb.push_str(&format!("a{i}: &a{i} [{}]\n", vec![previous; 10].join(",")));
        }
        assert_eq!(problem(&bomb), "too many values in one file");
    }

    #[test]
    fn depth_is_limited() {
        let deep = format!("a: {}{}", "[".repeat(70), "]".repeat(70));
        assert_eq!(problem(&deep), "nested too deeply");
    }
}
