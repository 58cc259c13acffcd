//! The end screen: what a platform engineer wants to know of a run, on one screen.

use std::fmt::Write as _;
use std::path::Path;

use crate::telemetry::Factor;
use crate::time::Duration;
use crate::units::Usd;

use super::numbers::{count, percent, short, span};
use super::objectives::Verdict;
use super::summary::{Nodes, Pods, Summary, Times};

/// Width of the column of headings.
const HEADING: usize = 12;
/// Most factors of the blame that are listed.
const FACTORS: usize = 6;
/// Width of a bar at 100 %.
const BAR: f64 = 24.0;
/// Most queues and workloads that get lines of their own.
const LISTED: usize = 8;

/// The screen. Colors are ANSI escapes.
#[must_use]
pub fn render(summary: &Summary, color: bool) -> String {
    let mut screen = Screen { text: String::new(), color };
    screen.title(summary);
    screen.messages(summary);
    screen.queues(summary);
    screen.pods(summary);
    screen.nodes(summary);
    screen.money(summary);
    screen.blame(summary);
    screen.objectives(&summary.objectives);
    screen.text
}

/// The last line: which files are where.
#[must_use]
pub fn files(folder: &Path, names: &[&str], color: bool) -> String {
    let mut screen = Screen { text: String::new(), color };
    screen.line("Files", &format!("{}: {}", folder.display(), names.join(", ")));
    screen.text
}

struct Screen {
    text: String,
    color: bool,
}

#[derive(Clone, Copy)]
enum Style {
    Bold,
    Dim,
    Good,
    Bad,
}

impl Screen {
    fn paint(&self, style: Style, text: &str) -> String {
        if !self.color {
            return text.to_owned();
        }
        let code = match style {
            Style::Bold => "1",
            Style::Dim => "2",
            Style::Good => "32",
            Style::Bad => "1;31",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// A line with a heading, which may be empty.
    fn line(&mut self, heading: &str, text: &str) {
        let heading = self.paint(Style::Bold, &format!("{heading:<HEADING$}"));
        let line = format!("{heading}{text}");
        let _ = writeln!(self.text, "{}", line.trim_end());
    }

    fn gap(&mut self) {
        self.text.push('\n');
    }

    fn title(&mut self, summary: &Summary) {
        let mut parts = vec![
            summary.region.clone(),
            format!("{} simulated", Duration::from_secs_f64(summary.duration_s)),
            format!("seed {}", summary.seed),
        ];
        if summary.replication > 0 {
            parts.push(format!("replication {}", summary.replication));
        }
        let name = self.paint(Style::Bold, &summary.scenario);
        let rest = self.paint(Style::Dim, &parts.join(" · "));
        let _ = writeln!(self.text, "{name}  {rest}");
        let cut = match summary.ended {
            "message_limit" => "the run was cut off: more messages arrived than maxMessages allows",
            "too_many_at_once" => "the run was cut off: the queues held more messages than any run may",
            "pod_limit" => "the run was cut off: more pods existed than maxPods allows",
            _ => "",
        };
        if !cut.is_empty() {
            let cut = self.paint(Style::Bad, cut);
            let _ = writeln!(self.text, "{cut}");
        }
        self.gap();
    }

    fn messages(&mut self, summary: &Summary) {
        let messages = &summary.messages;
        let share = if messages.sent > 0 { messages.processed as f64 / messages.sent as f64 } else { 1.0 };
        let text = format!(
            "sent {}   processed {} ({})   left {}   dead-lettered {}",
            count(messages.sent),
            count(messages.processed),
            percent(share),
            count(messages.left),
            count(messages.dead_lettered),
        );
        self.line("Messages", &text);
        let mut oddities = Vec::new();
        for (label, number) in [
            ("visibility timeouts", messages.visibility_expired),
            ("duplicate deliveries", messages.duplicates),
            ("lost to retention", messages.retention_expired),
            ("purged", messages.purged),
        ] {
            if number > 0 {
                oddities.push(format!("{label} {}", count(number)));
            }
        }
        if !oddities.is_empty() {
            self.line("", &oddities.join("   "));
        }
        let header = format!("{:<10}{:>9}{:>9}{:>9}{:>9}{:>9}", "", "mean", "p50", "p95", "p99", "max");
        let header = self.paint(Style::Dim, &header);
        self.line("", &header);
        for (name, times) in [("wait", &messages.wait), ("sojourn", &messages.sojourn)] {
            let columns = [times.mean_s, times.p50_s, times.p95_s, times.p99_s, times.max_s].map(seconds);
            let [mean, p50, p95, p99, max] = columns;
            self.line("", &format!("{name:<10}{mean:>9}{p50:>9}{p95:>9}{p99:>9}{max:>9}"));
        }
        self.gap();
    }

    fn queues(&mut self, summary: &Summary) {
        for (index, queue) in summary.queues.iter().take(LISTED).enumerate() {
            let heading = match (index, summary.queues.len()) {
                (0, 1) => "Backlog",
                (0, _) => "Backlogs",
                _ => "",
            };
            let name = if summary.queues.len() > 1 { format!("{}: ", queue.name) } else { String::new() };
            let peak = if queue.visible_max > 0 {
                let gone = match queue.drained_at_s {
                    Some(at) => format!("gone at {}", seconds(Some(at))),
                    None => self.paint(Style::Bad, "never gone"),
                };
                format!(
                    "peak {} visible at {}, {gone}, oldest {}",
                    count(queue.visible_max.unsigned_abs()),
                    seconds(Some(queue.peak_at_s)),
                    seconds(Some(queue.oldest_age_max_s)),
                )
            } else {
                "none".to_owned()
            };
            let first = match queue.first_processed_at_s {
                Some(at) => format!("first message done at {}", seconds(Some(at))),
                None => "no message done".to_owned(),
            };
            self.line(heading, &format!("{name}{peak}; {first}"));
        }
        if summary.queues.len() > LISTED {
            self.line("", &format!("... and {} more queues in summary.json", summary.queues.len() - LISTED));
        }
    }

    fn pods(&mut self, summary: &Summary) {
        self.pod_line("Pods", "", &summary.pods);
        let workloads: Vec<_> = summary.workloads.iter().filter(|workload| workload.queue.is_some()).collect();
        if workloads.len() > 1 {
            for workload in workloads.iter().take(LISTED) {
                self.pod_line("", &format!("{}: ", workload.name), &workload.pods);
            }
        }
    }

    fn pod_line(&mut self, heading: &str, name: &str, pods: &Pods) {
        let mut text = format!(
            "{name}peak {}   mean {}   pod-hours {}",
            count(pods.max.unsigned_abs()),
            short(pods.mean),
            short(pods.hours)
        );
        if pods.startup.count > 0 {
            let _ = write!(text, "   created to ready {}", median_and_max(&pods.startup));
        }
        if pods.pending_max > 0 {
            let _ = write!(text, "   pending peak {}", count(pods.pending_max.unsigned_abs()));
        }
        self.line(heading, &text);
    }

    fn nodes(&mut self, summary: &Summary) {
        let nodes = &summary.nodes;
        let mut text = format!("peak {}   mean {}", count(nodes.max.unsigned_abs()), short(nodes.mean));
        for (label, hours) in [
            ("Spot", nodes.spot_hours),
            ("on-demand", nodes.on_demand_hours),
            ("reserved", nodes.reserved_hours.unwrap_or(0.0)),
            ("other", nodes.other_hours),
        ] {
            if hours > 0.0 {
                let _ = write!(text, "   {label} node-hours {}", short(hours));
            }
        }
        if let Some(share) = nodes.cpu_requested_share {
            let _ = write!(text, "   CPU requested {}", percent(share));
        }
        self.line("Nodes", &text);
        self.node_events(nodes);
    }

    fn node_events(&mut self, nodes: &Nodes) {
        let mut events = Vec::new();
        if nodes.startup.count > 0 {
            events.push(format!("asked for to ready {}", median_and_max(&nodes.startup)));
        }
        for (label, number) in [("interrupted", nodes.interrupted), ("failed launches", nodes.launch_failed)] {
            if number > 0 {
                events.push(format!("{label} {}", count(number)));
            }
        }
        if !nodes.removed.is_empty() {
            let reasons: Vec<_> = nodes.removed.iter().map(|(reason, number)| format!("{reason} {number}")).collect();
            events.push(format!("removed: {}", reasons.join(", ")));
        }
        if !events.is_empty() {
            self.line("", &events.join("   "));
        }
    }

    fn money(&mut self, summary: &Summary) {
        let cost = &summary.cost;
        let usd = |amount: f64| Usd::from_f64(amount).to_string();
        let mut text = self.paint(Style::Bold, &usd(cost.total_usd));
        if let Some(amount) = cost.per_million_messages_usd {
            let _ = write!(text, "   {} per million messages", usd(amount));
        }
        let unused = cost.unused_reservations_usd.unwrap_or(0.0);
        if unused > 0.0 {
            let _ = write!(text, "   reserved but unused {}", usd(unused));
        }
        if cost.requests_usd > 0.0 {
            let _ = write!(text, "   SQS {}", usd(cost.requests_usd));
        }
        self.line("Money", &text);
        if cost.instances_usd > 0.0 {
            let whole = cost.instances_usd + unused;
            let part = |(label, amount): (&str, f64)| format!("{label} {}", percent(amount / whole));
            let parts = [
                ("useful work", cost.useful_usd),
                ("redone work", cost.redone_usd),
                ("idle on busy nodes", cost.idle_usd),
                ("empty nodes", cost.empty_usd),
                ("boot", cost.boot_usd),
                ("draining", cost.draining_usd),
                ("overhead", cost.overhead_usd),
                ("unused reservations", unused),
            ];
            let parts = parts.into_iter().filter(|(_, amount)| *amount > 0.0).map(part);
            self.line("", &parts.collect::<Vec<_>>().join(", "));
        }
        self.gap();
    }

    fn blame(&mut self, summary: &Summary) {
        let total: f64 = summary.blame_message_s.values().sum();
        if total <= 0.0 {
            return;
        }
        let heading = self.paint(Style::Bold, "What the backlog waited for");
        let unit = self.paint(Style::Dim, "(share of message-seconds; the setting that would change it)");
        let _ = writeln!(self.text, "{heading}  {unit}");
        let mut ranking: Vec<_> =
            Factor::ALL.into_iter().filter_map(|f| Some((f, *summary.blame_message_s.get(f.key())?))).collect();
        ranking.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        for (factor, message_s) in ranking.into_iter().take(FACTORS) {
            let share = message_s / total;
            let bar = "█".repeat((share * BAR).round() as usize);
            let advice = self.paint(Style::Dim, factor.advice());
            let width = BAR as usize;
            let _ = writeln!(self.text, "  {:<32}{:>6}  {bar:<width$}  {advice}", factor.label(), percent(share));
        }
        self.gap();
    }

    fn objectives(&mut self, verdicts: &[Verdict]) {
        for (index, verdict) in verdicts.iter().enumerate() {
            let mark = if verdict.met { self.paint(Style::Good, "met   ") } else { self.paint(Style::Bad, "MISSED") };
            let value = |amount: f64| match verdict.unit {
                "s" => seconds(Some(amount)),
                "usd" => Usd::from_f64(amount).to_string(),
                _ => count(amount as u64),
            };
            let measured = verdict.measured.map_or("never".to_owned(), value);
            let text = format!("{mark}  {:<18}{measured:>10}   allowed {}", verdict.name, value(verdict.limit));
            self.line(if index == 0 { "Objectives" } else { "" }, &text);
        }
        if !verdicts.is_empty() {
            self.gap();
        }
    }
}

fn seconds(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), |value| span(Duration::from_secs_f64(value)))
}

fn median_and_max(times: &Times) -> String {
    format!("p50 {}, max {}", seconds(times.p50_s), seconds(times.max_s))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{sample, summary};
    use crate::scenario::objectives::{Dollars, Objectives};

    #[test]
    fn one_screen_tells_the_run() {
        let objectives = Objectives {
            p95_wait: Some(Duration::from_secs(90)),
            max_cost: Some(Dollars(Usd::from_f64(5.0))),
            drained_within: Some(Duration::from_mins(10)),
            ..crate::api::decode::defaults()
        };
        let summary = summary::summarize(&sample::outcome(), &objectives);
        insta::assert_snapshot!(render(&summary, false));
        assert!(render(&summary, false).lines().all(|line| line.chars().count() <= 140));
        assert!(render(&summary, true).contains("\u{1b}[1;31mMISSED"));
    }
}
