//! A TOML document -> a [`Node`] tree in which every key and value knows its place.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::yaml::MAX_DEPTH;
use crate::api::decode::Problems;
use crate::api::tree::{Key, Node, Span, Value};

/// How messages about syntax begin.
pub const SYNTAX: &str = "this is not valid TOML";

/// The document; errors of syntax are all reported, and what could be read is given nevertheless.
pub fn parse(text: &str, file: u16, problems: &mut Problems) -> Node {
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let range = error.span().unwrap_or(0..0);
        let mut message = error.message().to_owned();
        let label = message.split_off(message.find('\n').unwrap_or(message.len()));
        problems.error(place(file, &range), format!("{SYNTAX}: {message}"), label.trim());
    }
    let mut reader = Reader { file, problems };
    let entries = reader.entries(table.get_ref(), 0);
    Node { value: Value::Map(entries), span: Span { file, start: 0, end: 0 } }
}

/// A value written on the command line, as in TOML; what is no TOML is taken as a text.
#[must_use]
pub fn parse_value(text: &str) -> Node {
    let mut problems = Problems::default();
    let node = match DeValue::parse(text) {
        Ok(value) => Reader { file: u16::MAX, problems: &mut problems }.value(&value, 0),
        Err(_) => Node { value: Value::Str(text.to_owned()), span: Span::default() },
    };
    if problems.has_errors() { Node { value: Value::Str(text.to_owned()), span: Span::default() } } else { node }
}

struct Reader<'a> {
    file: u16,
    problems: &'a mut Problems,
}

fn place(file: u16, range: &Range<usize>) -> Span {
    Span { file, start: range.start as u32, end: range.end.max(range.start) as u32 }
}

impl Reader<'_> {
    fn entries(&mut self, table: &DeTable<'_>, depth: usize) -> Vec<(Key, Node)> {
        let mut pairs: Vec<_> = table.iter().collect();
        // The parser sorts by key; the order of the file is the order in which results are shown.
        pairs.sort_by_key(|(key, _)| key.span().start);
        pairs
            .into_iter()
            .map(|(key, value)| {
                let span = place(self.file, &key.span());
                (Key { name: key.get_ref().to_string(), span }, self.value(value, depth + 1))
            })
            .collect()
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>, depth: usize) -> Node {
        let span = place(self.file, &value.span());
        if depth > MAX_DEPTH {
            self.problems.error(span, "nested too deeply", format!("more than {MAX_DEPTH} levels"));
            return Node { value: Value::Null, span };
        }
        let value = match value.get_ref() {
            DeValue::String(text) => Value::Str(text.to_string()),
            DeValue::Boolean(value) => Value::Bool(*value),
            DeValue::Datetime(instant) => Value::Str(instant.to_string()),
            DeValue::Float(number) => Value::Float(number.as_str().replace('_', "").parse().unwrap_or(f64::NAN)),
            DeValue::Integer(number) => {
                let digits = number.as_str().replace('_', "");
                i64::from_str_radix(&digits, number.radix()).map(Value::Int).unwrap_or_else(|_| {
                    self.problems.error(span, "integer out of range", "does not fit 64 bits");
                    Value::Int(0)
                })
            }
            DeValue::Array(items) => Value::List(items.iter().map(|item| self.value(item, depth + 1)).collect()),
            DeValue::Table(table) => Value::Map(self.entries(table, depth)),
        };
        Node { value, span }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_the_order_of_the_file_and_know_their_places() {
        let text = "zeta = 1\nalpha = \"é\"\n\n[[queues]]\nname = \"orders\"\n[[queues]]\nname = \"mail\"\n";
        let mut problems = Problems::default();
        let node = parse(text, 3, &mut problems);
        assert_eq!(problems.list, []);
        let keys: Vec<&str> = node.entries().unwrap_or_default().iter().map(|(key, _)| key.name.as_str()).collect();
        assert_eq!(keys, ["zeta", "alpha", "queues"]);
        let Some(Value::List(queues)) = node.get("queues").map(|queues| queues.value.clone()) else {
            panic!("no list")
        };
        let header = queues[1].span;
        assert_eq!((header.file, &text[header.start as usize..header.end as usize]), (3, "[[queues]]"));
        let alpha = node.get("alpha").map(|alpha| alpha.span).unwrap_or_default();
        assert_eq!(&text[alpha.start as usize..alpha.end as usize], "\"é\"");
    }

    #[test]
    fn every_error_of_syntax_is_reported() {
        let mut problems = Problems::default();
        parse("a = \nb = 1\nb = 2\nc = [1,\n", 0, &mut problems);
        assert!(problems.list.len() >= 2, "{:?}", problems.list);
    }

    #[test]
    fn values_of_the_command_line() {
        assert_eq!(parse_value("15").value, Value::Int(15));
        assert_eq!(parse_value("30s").value, Value::Str("30s".to_owned()));
        assert_eq!(parse_value("\"30s\"").value, Value::Str("30s".to_owned()));
        assert_eq!(parse_value("true").value, Value::Bool(true));
        assert!(matches!(parse_value("[1, 2]").value, Value::List(items) if items.len() == 2));
    }
}
