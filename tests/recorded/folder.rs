//! Reads a run folder: `run.yaml`, `sends.csv`, `queue.csv`, `timeline.csv`.

use std::path::Path;

use forescale::api::decode::Problems;
use forescale::api::tree::{Node, Value};
use forescale::scenario::yaml;

/// A recorded run.
pub struct Folder {
    pub name: String,
    pub run: Node,
    pub sends: Vec<Send>,
    /// What the recorder calls the queues.
    pub queues: Vec<String>,
    pub queue_rows: Vec<QueueRow>,
    pub timeline: Vec<Row>,
}

/// Messages sent, evenly spaced between two instants.
pub struct Send {
    pub queue: String,
    pub first: f64,
    pub last: f64,
    pub count: u64,
    pub delay: f64,
}

/// The queues at a second: visible and in flight of each; `None` where the recorder saw nothing.
pub struct QueueRow {
    pub at: f64,
    pub counts: Vec<[Option<i64>; 2]>,
}

/// A change as a watch showed it.
pub struct Row {
    pub at: f64,
    pub actor: String,
    pub object: String,
    pub what: String,
    pub value: String,
}

impl Folder {
    pub fn read(path: &Path) -> Result<Folder, String> {
        let text = |name: &str| std::fs::read_to_string(path.join(name)).map_err(|error| format!("{name}: {error}"));
        let mut problems = Problems::default();
        let mut documents = yaml::parse(&text("run.yaml")?, 0, &mut problems);
        if problems.has_errors() || documents.len() != 1 {
            return Err(format!("run.yaml: {:?}", problems.list));
        }
        let queue_text = text("queue.csv").unwrap_or_default();
        let queues = queue_names(queue_text.lines().next().unwrap_or_default());
        Ok(Folder {
            name: path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            run: documents.remove(0),
            sends: rows(&text("sends.csv").unwrap_or_default())
                .map(|row| Send {
                    queue: row[2].clone(),
                    first: number(&row[0]),
                    last: number(&row[1]),
                    count: number(&row[3]) as u64,
                    delay: number(&row[4]),
                })
                .fold(Vec::new(), add_send),
            queue_rows: rows(&queue_text)
                .map(|row| QueueRow {
                    at: number(&row[0]),
                    counts: (0..queues.len()).map(|queue| [1, 2].map(|n| count(&row, 3 * queue + n))).collect(),
                })
                .collect(),
            queues,
            timeline: rows(&text("timeline.csv")?)
                .map(|row| Row {
                    at: number(&row[0]),
                    actor: row[1].clone(),
                    object: row[2].clone(),
                    what: row[3].clone(),
                    value: row.get(4).cloned().unwrap_or_default(),
                })
                .collect(),
        })
    }

    pub fn length(&self) -> f64 {
        self.number(&["length_s"]).unwrap_or(0.0)
    }

    pub fn number(&self, path: &[&str]) -> Option<f64> {
        self.run.at(path).and_then(as_number)
    }
}

/// The queues of which a header tells: each has three columns, of which the first is `<queue>_visible`.
fn queue_names(header: &str) -> Vec<String> {
    header.split(',').filter_map(|column| column.trim().strip_suffix("_visible")).map(str::to_owned).collect()
}

fn count(row: &[String], column: usize) -> Option<i64> {
    row.get(column)?.parse().ok()
}

/// Adds a row of sends. To one queue the recorder sends one burst after the other: a row that seems to begin before the former ended names the
/// time at which its sender was set up, and its messages went out just before its last.
fn add_send(mut sends: Vec<Send>, mut send: Send) -> Vec<Send> {
    let former = sends.iter().rev().find(|former: &&Send| former.queue == send.queue);
    if former.is_some_and(|former| send.first < former.last) {
        send.first = send.last;
    }
    sends.push(send);
    sends
}

/// The items of a list; none if it is no list.
pub fn items(node: Option<&Node>) -> &[Node] {
    match node.map(|node| &node.value) {
        Some(Value::List(items)) => items,
        _ => &[],
    }
}

pub fn as_number(node: &Node) -> Option<f64> {
    match node.value {
        Value::Int(value) => Some(value as f64),
        Value::Float(value) => Some(value),
        _ => None,
    }
}

pub fn as_bool(node: &Node) -> Option<bool> {
    match node.value {
        Value::Bool(value) => Some(value),
        _ => None,
    }
}

fn number(text: &str) -> f64 {
    text.parse().unwrap_or(0.0)
}

fn rows(text: &str) -> impl Iterator<Item = Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    let rows: Vec<Vec<String>> =
        reader.records().filter_map(Result::ok).map(|record| record.iter().map(str::to_owned).collect()).collect();
    rows.into_iter()
}
