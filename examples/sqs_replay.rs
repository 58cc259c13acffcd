//! Plays operations on one queue, one JSON object a line on standard input, and prints the answer to each, one JSON object a line:
//! the other side of `tools/moto`, which plays the same operations against another implementation of SQS.
//!
//! The first line describes the queue as `[[queues]]` does. Operations carry `t` (seconds) and `op`:
//! `send` (`id`, `group`, `delay`), `receive` (`max`), `delete` and `change` (`id`, by its latest receipt; `timeout`), `counts`.
//! Answers: `receive` -> `{"ids": [..], "counts": [..]}` (receive counts), `counts` -> `{"visible", "in_flight", "delayed", "dead_lettered"}`,
//! all others -> `{"ok": true}` or `{"ok": false}`.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};

use forescale::api::decode::{Decode, Problems};
use forescale::engine::Streams;
use forescale::scenario::queues::QueueSpec;
use forescale::sqs::{QueueId, QueueSettings, Receipt, ReceiveMessage, SendMessage, Sent, Sqs};
use forescale::time::{Duration, Time};
use serde_json::{Value, json};

fn main() -> anyhow::Result<()> {
    let mut lines = std::io::stdin().lock().lines();
    let Some(head) = lines.next() else { anyhow::bail!("no queue on standard input") };
    let mut problems = Problems::default();
    // JSON is YAML, which the scenario reader understands.
    let documents = forescale::scenario::yaml::parse(&head?, 0, &mut problems);
    let spec = documents.first().and_then(|node| QueueSpec::decode(node, &mut problems));
    let Some(spec) = spec else { anyhow::bail!("not a queue: {:?}", problems.list) };
    let mut replay = Replay {
        sqs: Sqs::new(QueueSettings::from_specs(&[spec]), &Streams::new(1, 0)),
        names: BTreeMap::new(),
        receipts: BTreeMap::new(),
    };
    let mut out = std::io::stdout().lock();
    for line in lines {
        let operation: Value = serde_json::from_str(&line?)?;
        writeln!(out, "{}", replay.play(&operation))?;
    }
    Ok(())
}

struct Replay {
    sqs: Sqs,
    names: BTreeMap<u64, String>,
    receipts: BTreeMap<String, Receipt>,
}

impl Replay {
    fn play(&mut self, operation: &Value) -> Value {
        let now = Time::from_secs_f64(operation["t"].as_f64().unwrap_or_default());
        let queue = QueueId(0);
        let id = operation["id"].as_str().unwrap_or_default().to_owned();
        let seconds = |key: &str| operation[key].as_f64().map(Duration::from_secs_f64);
        match operation["op"].as_str() {
            Some("send") => {
                let group = operation["group"].as_u64().map(|group| group as u32);
                let message = SendMessage { group, delay: seconds("delay"), ..SendMessage::default() };
                let sent = self.sqs.send(now, queue, &message);
                if let Ok(Sent::Enqueued(number)) = sent {
                    self.names.insert(number, id);
                }
                json!({"ok": sent.is_ok()})
            }
            Some("receive") => {
                let max = operation["max"].as_u64().unwrap_or(1) as u32;
                let mut out = Vec::new();
                let answer = self.sqs.receive(now, queue, &ReceiveMessage::new(now, max, false), &mut out);
                let mut ids = Vec::new();
                for received in &out {
                    let name = self.names[&received.receipt.message_id()].clone();
                    self.receipts.insert(name.clone(), received.receipt);
                    ids.push(name);
                }
                let counts: Vec<u32> = out.iter().map(|received| received.receive_count).collect();
                json!({"ok": answer.is_ok(), "ids": ids, "counts": counts})
            }
            Some("delete") => match self.receipts.get(&id) {
                Some(receipt) => json!({"ok": self.sqs.delete(now, queue, *receipt, 1).is_ok()}),
                None => json!({"ok": false}),
            },
            Some("change") => match self.receipts.get(&id) {
                Some(receipt) => {
                    let timeout = seconds("timeout").unwrap_or_default();
                    json!({"ok": self.sqs.change_visibility(now, queue, *receipt, timeout).is_ok()})
                }
                None => json!({"ok": false}),
            },
            _ => {
                self.sqs.advance(now);
                let depth = self.sqs.queue(queue).counts().depth();
                let dead = self.sqs.queues().get(1).map_or(0, |queue| queue.counts().depth().total());
                json!({
                    "visible": depth.visible, "in_flight": depth.in_flight, "delayed": depth.delayed, "dead_lettered": dead,
                })
            }
        }
    }
}
