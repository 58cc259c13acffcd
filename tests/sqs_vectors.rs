//! Plays timelines of SQS (tests/data/sqs/README.md) against the queue model. `FORESCALE_SQS_VECTORS` names another file.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use forescale::api::decode::{Decode, Problems};
use forescale::api::tree::{Key, Node, Span, Value as Tree};
use forescale::engine::Streams;
use forescale::scenario::queues::QueueSpec;
use forescale::sqs::{
    Deleted, NewAttributes, QueueId, QueueSettings, Receipt, ReceiveMessage, Received, SendMessage, Sent, Sqs, SqsError,
};
use forescale::time::{Duration, Time};
use rayon::prelude::*;
use serde_json::Value;

fn main() -> ExitCode {
    let path = std::env::var_os("FORESCALE_SQS_VECTORS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/sqs/vectors.json"), PathBuf::from);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let results: Vec<_> = cases.par_iter().map(play).collect();
    for (case, result) in cases.iter().zip(&results) {
        if let Err(reason) = result {
            println!("{}: {reason}", case["id"].as_str().unwrap_or("?"));
        }
    }
    let passed = results.iter().filter(|result| result.is_ok()).count();
    println!("{passed} passed, {} failed", cases.len() - passed);
    println!("sqs_vectors: passed {passed} of {}", cases.len());
    if passed == cases.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Plays a case: once, or as many times as it has trials.
fn play(case: &Value) -> Result<(), String> {
    let trials = case["trials"].as_u64().unwrap_or(1);
    let queues = queues(case)?;
    let mut tallies = Tallies::new();
    for trial in 0..trials {
        let mut stage = Stage::new(&queues, trial);
        for step in list(&case["steps"]) {
            let at = time(&step["t"]).ok_or("a step without t")?;
            stage.play_until(at);
            let place = format!("t = {}", step["t"]);
            stage.step(at, step, &mut tallies).map_err(|reason| format!("{place}: {reason}"))?;
        }
    }
    check_shares(case, trials, &tallies)
}

/// How often each step with `shares` got how many messages.
type Tallies = BTreeMap<String, BTreeMap<usize, u64>>;

fn check_shares(case: &Value, trials: u64, tallies: &Tallies) -> Result<(), String> {
    for step in list(&case["steps"]) {
        let Some(shares) = step["receive"]["shares"].as_object() else { continue };
        let tally = tallies.get(&step.to_string()).cloned().unwrap_or_default();
        for (count, share) in shares {
            let expected = share.as_f64().ok_or("a share is a number")?;
            let count: usize = count.parse().map_err(|_| "shares are keyed by numbers")?;
            let got = tally.get(&count).copied().unwrap_or(0) as f64 / trials as f64;
            let deviation = (expected * (1.0 - expected) / trials as f64).sqrt();
            if (got - expected).abs() > 4.0 * deviation + 0.001 {
                return Err(format!("share of answers with {count} messages is {got:.4}, expected {expected}"));
            }
        }
    }
    Ok(())
}

struct OpenPoll {
    by: String,
    queue: QueueId,
    max: u32,
    from: Time,
    until: Time,
}

struct Stage {
    sqs: Sqs,
    names: BTreeMap<u64, String>,
    receipts: BTreeMap<String, Vec<(String, QueueId, Receipt)>>,
    words: BTreeMap<String, u32>,
    polls: Vec<OpenPoll>,
    answers: BTreeMap<String, (Time, Vec<Received>)>,
}

fn queues(case: &Value) -> Result<Vec<QueueSpec>, String> {
    let mut problems = Problems::default();
    let specs: Option<Vec<QueueSpec>> =
        list(&case["queues"]).iter().map(|queue| QueueSpec::decode(&tree(queue), &mut problems)).collect();
    let messages: Vec<&str> = problems.list.iter().map(|problem| problem.message.as_str()).collect();
    specs.filter(|_| messages.is_empty()).ok_or_else(|| messages.join("; "))
}

impl Stage {
    fn new(queues: &[QueueSpec], trial: u64) -> Self {
        Stage {
            sqs: Sqs::new(QueueSettings::from_specs(queues), &Streams::new(1, trial)),
            names: BTreeMap::new(),
            receipts: BTreeMap::new(),
            words: BTreeMap::new(),
            polls: Vec::new(),
            answers: BTreeMap::new(),
        }
    }

    /// Lets everything happen that happens by itself up to `until`, open polls included.
    fn play_until(&mut self, until: Time) {
        loop {
            let end = self.polls.iter().map(|poll| poll.until).min().unwrap_or(Time::MAX);
            let next = self.sqs.next_timer().min(end);
            if next > until {
                break;
            }
            self.sqs.advance(next);
            self.serve_polls(next);
            let (over, open) = std::mem::take(&mut self.polls).into_iter().partition(|poll| poll.until <= next);
            self.polls = open;
            for poll in over {
                self.answer(next, &poll);
            }
        }
        self.sqs.advance(until);
        self.serve_polls(until);
    }

    fn serve_polls(&mut self, now: Time) {
        let mut index = 0;
        while index < self.polls.len() {
            if self.sqs.deliverable(self.polls[index].queue) {
                let poll = self.polls.remove(index);
                self.answer(now, &poll);
            } else {
                index += 1;
            }
        }
    }

    fn answer(&mut self, now: Time, poll: &OpenPoll) {
        let mut call = ReceiveMessage::new(now, poll.max, true);
        call.requested = poll.from;
        let mut out = Vec::new();
        let _count = self.sqs.receive(now, poll.queue, &call, &mut out);
        self.keep(&poll.by, poll.queue, &out);
        self.answers.insert(poll.by.clone(), (now, out));
    }

    fn keep(&mut self, by: &str, queue: QueueId, received: &[Received]) {
        for message in received {
            let name = self.name_of(message.receipt);
            let known = self.receipts.entry(by.to_owned()).or_default();
            if message.receive_count > 1 {
                known.retain(|(other, _, _)| *other != name);
            }
            known.push((name, queue, message.receipt));
        }
    }

    fn name_of(&self, receipt: Receipt) -> String {
        self.names.get(&receipt.message_id()).cloned().unwrap_or_else(|| receipt.message_id().to_string())
    }

    /// A number for a name (of a group, a deduplication id, an attempt).
    fn word(&mut self, value: &Value) -> Option<u32> {
        let next = self.words.len() as u32;
        value.as_str().map(|text| *self.words.entry(text.to_owned()).or_insert(next))
    }

    fn queue(&self, action: &Value) -> Result<QueueId, String> {
        match action["queue"].as_str() {
            Some(name) => self.sqs.find(name).ok_or_else(|| format!("no queue {name}")),
            None => Ok(QueueId(0)),
        }
    }

    fn step(&mut self, now: Time, step: &Value, tallies: &mut Tallies) -> Result<(), String> {
        for (action, fields) in step.as_object().ok_or("a step is an object")? {
            match action.as_str() {
                "t" | "counts" => {}
                "send" => self.send(now, fields)?,
                "receive" => self.receive(now, fields, &step.to_string(), tallies)?,
                "poll" => self.polls.push(OpenPoll {
                    by: text(&fields["by"]),
                    queue: self.queue(fields)?,
                    max: fields["max"].as_u64().unwrap_or(1) as u32,
                    from: now,
                    until: now + seconds(&fields["wait"]).unwrap_or(Duration::from_secs(20)),
                }),
                "answered" => self.check_answer(fields)?,
                "delete" => self.delete(now, fields)?,
                "change" => self.change(now, fields)?,
                other => self.other(now, other, fields)?,
            }
        }
        self.serve_polls(now);
        for (name, expected) in step["counts"].as_object().into_iter().flatten() {
            let id = self.sqs.find(name).ok_or_else(|| format!("no queue {name}"))?;
            let depth = self.sqs.queue(id).counts().depth();
            let got = serde_json::json!([depth.visible, depth.in_flight, depth.delayed]);
            same(&format!("counts of {name}"), expected, &got)?;
        }
        Ok(())
    }

    fn send(&mut self, now: Time, fields: &Value) -> Result<(), String> {
        let queue = self.queue(fields)?;
        let name = text(&fields["message"]);
        let count = fields["count"].as_u64();
        let message = SendMessage {
            group: self.word(&fields["group"]),
            delay: seconds(&fields["delay"]),
            deduplication: self.word(&fields["dedup"]).map(u64::from),
            ..SendMessage::default()
        };
        for number in 1..=count.unwrap_or(1) {
            let result = match self.sqs.send(now, queue, &message) {
                Ok(Sent::Enqueued(id)) => {
                    let own = if count.is_some() { format!("{name}{number}") } else { name.clone() };
                    self.names.insert(id, own);
                    "ok".to_owned()
                }
                Ok(Sent::Duplicate) => "duplicate".to_owned(),
                Err(error) => error_name(error),
            };
            expect_result(fields, "ok", &result)?;
        }
        Ok(())
    }

    fn receive(&mut self, now: Time, fields: &Value, key: &str, tallies: &mut Tallies) -> Result<(), String> {
        let queue = self.queue(fields)?;
        let by = text(&fields["by"]);
        let long = seconds(&fields["wait"]).is_some_and(|wait| wait > Duration::ZERO);
        let mut call = ReceiveMessage::new(now, fields["max"].as_u64().unwrap_or(1) as u32, long);
        call.visibility = seconds(&fields["visibility"]);
        call.attempt = self.word(&fields["attempt"]).map(u64::from);
        let mut out = Vec::new();
        let mut error = Value::Null;
        for _ in 0..fields["repeat"].as_u64().unwrap_or(1) {
            if let Err(refusal) = self.sqs.receive(now, queue, &call, &mut out) {
                error = Value::String(error_name(refusal));
            }
        }
        same("error", &fields["error"], &error)?;
        self.keep(&by, queue, &out);
        if !fields["shares"].is_null() {
            *tallies.entry(key.to_owned()).or_default().entry(out.len()).or_default() += 1;
        }
        self.check_received(fields, &out)
    }

    fn check_received(&self, fields: &Value, out: &[Received]) -> Result<(), String> {
        if !fields["get"].is_null() {
            let got: Vec<String> = out.iter().map(|message| self.name_of(message.receipt)).collect();
            same("messages", &fields["get"], &serde_json::json!(got))?;
        }
        if !fields["count"].is_null() {
            same("number of messages", &fields["count"], &serde_json::json!(out.len()))?;
        }
        for message in out {
            if !fields["receiveCount"].is_null() {
                same("receive count", &fields["receiveCount"], &serde_json::json!(message.receive_count))?;
            }
            if let Some(deadline) = time(&fields["deadline"])
                && deadline != message.deadline
            {
                return Err(format!("deadline {} instead of {deadline}", message.deadline));
            }
        }
        Ok(())
    }

    fn check_answer(&self, fields: &Value) -> Result<(), String> {
        let by = text(&fields["by"]);
        let answer = self.answers.get(&by);
        if fields["pending"].as_bool() == Some(true) {
            return if answer.is_none() { Ok(()) } else { Err(format!("{by} has its answer already")) };
        }
        let (at, out) = answer.ok_or_else(|| format!("{by} has no answer"))?;
        if time(&fields["at"]).is_some_and(|expected| expected != *at) {
            return Err(format!("answered at {at}"));
        }
        self.check_received(fields, out)
    }

    fn delete(&mut self, now: Time, fields: &Value) -> Result<(), String> {
        let by = text(&fields["by"]);
        let known = self.receipts.entry(by.clone()).or_default();
        let wanted = fields["message"].as_str();
        let all = known.len();
        let first = fields["first"].as_u64().map_or(all, |first| first as usize);
        let chosen: Vec<(String, QueueId, Receipt)> = match wanted {
            Some(name) => known.iter().filter(|(other, _, _)| other == name).cloned().collect(),
            None => known.drain(..first.min(all)).collect(),
        };
        if chosen.is_empty() {
            return Err(format!("{by} has no receipt"));
        }
        for (_, queue, receipt) in chosen {
            let result = match self.sqs.delete(now, queue, receipt, 1) {
                Ok(Deleted::Gone) => "gone".to_owned(),
                Ok(Deleted::Kept) => "kept".to_owned(),
                Ok(Deleted::Nothing) => "nothing".to_owned(),
                Err(error) => error_name(error),
            };
            expect_result(fields, "gone", &result)?;
        }
        Ok(())
    }

    fn change(&mut self, now: Time, fields: &Value) -> Result<(), String> {
        let (by, name) = (text(&fields["by"]), text(&fields["message"]));
        let known = self.receipts.get(&by).and_then(|known| known.iter().find(|(other, _, _)| *other == name));
        let (_, queue, receipt) = known.cloned().ok_or_else(|| format!("{by} has no receipt for {name}"))?;
        let timeout = seconds(&fields["timeout"]).ok_or("a change needs a timeout")?;
        let result = self.sqs.change_visibility(now, queue, receipt, timeout).map_or_else(error_name, |()| "ok".into());
        expect_result(fields, "ok", &result)
    }

    fn other(&mut self, now: Time, action: &str, fields: &Value) -> Result<(), String> {
        let queue = self.queue(fields)?;
        match action {
            "attributes" => {
                let got = match self.sqs.attributes(now, queue) {
                    Ok(a) => serde_json::json!([a.visible, a.not_visible, a.delayed]),
                    Err(error) => return same("error", &fields["error"], &Value::String(error_name(error))),
                };
                same("attributes", &fields["is"], &got)
            }
            "age" => {
                let age = self.sqs.age_of_oldest(now, queue);
                let expected = seconds(&fields["is"]).ok_or("an age needs is")?;
                if age == expected { Ok(()) } else { Err(format!("age {age} instead of {expected}")) }
            }
            "counter" => {
                let counters = self.sqs.queue(queue).statistics().counters;
                let got = match fields["name"].as_str() {
                    Some("empty_receives") => counters.empty_receives,
                    Some("retention_expired") => counters.retention_expired,
                    Some("visibility_expired") => counters.visibility_expired,
                    Some("dead_lettered") => counters.dead_lettered,
                    other => return Err(format!("no counter {other:?}")),
                };
                same("counter", &fields["is"], &serde_json::json!(got))
            }
            "set" => {
                let new = NewAttributes {
                    visibility_timeout: seconds(&fields["visibilityTimeout"]),
                    delay: seconds(&fields["delay"]),
                    retention: seconds(&fields["retention"]),
                    max_receive_count: None,
                };
                self.sqs.set_attributes(now, queue, &new);
                self.sqs.advance(now);
                Ok(())
            }
            "move" => {
                let rate = fields["rate"].as_u64().unwrap_or(500) as u32;
                let result = self.sqs.start_move(now, queue, rate).map_or_else(error_name, |()| "ok".into());
                self.sqs.advance(now);
                expect_result(fields, "ok", &result)
            }
            "purge" => {
                let result = self.sqs.purge(now, queue).map_or_else(error_name, |()| "ok".into());
                expect_result(fields, "ok", &result)
            }
            "deleteQueue" => {
                self.sqs.delete_queue(now, queue);
                Ok(())
            }
            "createQueue" => {
                self.sqs.create_queue(now, queue);
                Ok(())
            }
            other => Err(format!("unknown action {other}")),
        }
    }
}

fn expect_result(fields: &Value, default: &str, got: &str) -> Result<(), String> {
    let expected = fields["result"].as_str().unwrap_or(default);
    if expected == got { Ok(()) } else { Err(format!("result `{got}` instead of `{expected}`")) }
}

fn same(what: &str, expected: &Value, got: &Value) -> Result<(), String> {
    if expected == got { Ok(()) } else { Err(format!("{what}: {got} instead of {expected}")) }
}

fn error_name(error: SqsError) -> String {
    match error {
        SqsError::Throttled(_) => "Throttled".to_owned(),
        other => format!("{other:?}"),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn seconds(value: &Value) -> Option<Duration> {
    value.as_f64().map(Duration::from_secs_f64)
}

fn time(value: &Value) -> Option<Time> {
    value.as_f64().map(Time::from_secs_f64)
}

/// JSON as the scenario's own tree.
fn tree(value: &Value) -> Node {
    let value = match value {
        Value::Null => Tree::Null,
        Value::Bool(b) => Tree::Bool(*b),
        Value::Number(n) => n.as_i64().map_or_else(|| Tree::Float(n.as_f64().unwrap_or_default()), Tree::Int),
        Value::String(text) => Tree::Str(text.clone()),
        Value::Array(items) => Tree::List(items.iter().map(tree).collect()),
        Value::Object(entries) => {
            Tree::Map(entries.iter().map(|(k, v)| (Key { name: k.clone(), span: Span::default() }, tree(v))).collect())
        }
    };
    Node { value, span: Span::default() }
}
