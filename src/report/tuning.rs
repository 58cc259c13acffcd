//! The end of a search for settings: what to set, what it gains, what each knob is worth; on the screen, as JSON, as a table row.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use crate::scenario::axes::Axis;
use crate::study::measures::MEASURES;
use crate::study::plan::value_text;
use crate::study::statistics::Estimate;
use crate::study::tune::{Goal, Tuned};
use crate::study::worth::{Effect, Gain, Knob, paired};

use super::numbers::round;
use super::points::{Point, aligned, cell, heading, short_name, value};

/// Confidence of all intervals.
const CONFIDENCE: f64 = 0.95;
/// Measures of the table of gains.
const SHOWN: [&str; 8] =
    ["cost_usd", "wait_p50_s", "wait_p95_s", "wait_p99_s", "pods_max", "nodes_max", "left", "dead_lettered"];

/// Everything that a search found.
#[derive(Clone, Debug)]
pub struct Found<'a> {
    /// Name of the scenario.
    pub name: &'a str,
    /// Settings that were chosen.
    pub axes: &'a [Axis],
    /// Their present values; empty = not written, the default holds.
    pub present: &'a [String],
    /// What was sought.
    pub goal: &'a Goal,
    /// The search.
    pub tuned: &'a Tuned,
    /// Recommended against present settings on fresh randomness.
    pub gain: &'a Gain,
    /// The same on traffic that the search did not see.
    pub hold_out: Option<&'a Gain>,
    /// Each knob alone.
    pub knobs: &'a [Knob],
}

/// The combinations tried, as points; those on the front are marked.
#[must_use]
pub fn points(axes: &[Axis], tuned: &Tuned) -> Vec<Point> {
    let point = |(number, tried): (usize, &crate::study::tune::Tried)| Point {
        number,
        settings: settings(axes, &tried.point),
        estimates: MEASURES.iter().map(|measure| Estimate::of(&tried.samples(measure.name), CONFIDENCE)).collect(),
        on_front: tuned.front.contains(&number),
    };
    tuned.tried.iter().enumerate().map(point).collect()
}

fn settings(axes: &[Axis], point: &[usize]) -> Vec<String> {
    axes.iter().zip(point).map(|(axis, index)| value_text(&axis.values[*index])).collect()
}

impl Found<'_> {
    fn recommended(&self) -> Vec<String> {
        settings(self.axes, &self.tuned.tried[self.tuned.best].point)
    }

    /// Whether the recommended settings keep all objectives, as the search saw them.
    #[must_use]
    pub fn meets_objectives(&self) -> bool {
        self.tuned.tried[self.tuned.best].violation(&self.goal.constraints) == 0.0
    }

    /// What to set, what it gains, how sure that is, and what each setting is worth.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let bold = |text: &str| if color { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() };
        let (runs, tried) = (self.tuned.runs, self.tuned.tried.len());
        let mut text = format!("{}  {runs} runs, {tried} combinations tried\n\n", bold(self.name));
        let verdict = if self.meets_objectives() {
            "Recommended settings"
        } else {
            "No combination meets the objectives; nearest"
        };
        let mut rows = vec![vec![verdict.to_owned(), "present".to_owned(), "recommended".to_owned()]];
        for ((axis, present), value) in self.axes.iter().zip(self.present).zip(self.recommended()) {
            let present = if present.is_empty() { "(default)" } else { present };
            rows.push(vec![axis.path.clone(), present.to_owned(), value]);
        }
        text.push_str(&aligned(&rows, 1, color));
        text.push('\n');
        let fresh = self.gain.best.len();
        text.push_str(&self.gains(&format!("{fresh} fresh runs"), self.gain, color));
        if let Some(gain) = self.hold_out {
            text.push('\n');
            text.push_str(&self.gains("Traffic held out", gain, color));
        }
        text.push('\n');
        text.push_str(&self.worth(color));
        text
    }

    fn gains(&self, title: &str, gain: &Gain, color: bool) -> String {
        let header = [title, "present", "recommended", "change ± 95 %", "allowed"];
        let mut rows = vec![header.map(str::to_owned).to_vec()];
        for measure in SHOWN {
            let limit = self.goal.constraints.iter().find(|constraint| constraint.measure == measure);
            let limit = limit.map_or_else(String::new, |constraint| value(measure, constraint.limit));
            let (present, best) = (gain.present(measure), gain.best(measure));
            let change = changed(measure, &gain.change(measure), present.mean);
            rows.push(vec![heading(measure).to_owned(), cell(measure, &present), cell(measure, &best), change, limit]);
        }
        let mut text = aligned(&rows, 1, color);
        if gain.is_dominated() {
            text.push_str("The present settings are at least as cheap and as fast here: keep them.\n");
        }
        text
    }

    /// What turning each knob back would do.
    fn worth(&self, color: bool) -> String {
        let names: Vec<String> = self.axes.iter().map(|axis| axis.path.clone()).collect();
        let header = ["Turned back alone", "cost", "p95 wait", "over its values"];
        let mut rows = vec![header.map(str::to_owned).to_vec()];
        for knob in self.by_worth() {
            let change = |measure: &str| {
                let base = Estimate::of(&crate::study::worth::samples(&self.gain.best, measure), CONFIDENCE).mean;
                changed(measure, &self.turned_back(knob, measure), base)
            };
            let effect = match knob.effect {
                Effect::Nothing => "does nothing",
                Effect::WithinChance => "nothing beyond chance",
                Effect::Matters => "matters",
            };
            let name = short_name(&self.axes[knob.axis].path, &names);
            rows.push(vec![name, change("cost_usd"), change("wait_p95_s"), effect.to_owned()]);
        }
        aligned(&rows, 1, color)
    }

    /// Paired change when the knob goes back to its present value.
    fn turned_back(&self, knob: &Knob, measure: &str) -> Estimate {
        paired(&self.gain.best, &knob.reverted, measure)
    }

    /// Knobs, those first that change the goal most over their values.
    fn by_worth(&self) -> Vec<&Knob> {
        let spread = |knob: &Knob| {
            let means = knob.values.iter().map(|(_, runs)| paired(&self.gain.best, runs, self.goal.minimize).mean);
            means.fold(0.0, |most: f64, mean| most.max(mean.abs()))
        };
        let mut ranking: Vec<&Knob> = self.knobs.iter().collect();
        ranking.sort_by(|a, b| spread(b).total_cmp(&spread(a)).then(a.axis.cmp(&b.axis)));
        ranking
    }

    /// Everything for machines.
    #[must_use]
    pub fn json(&self) -> Json {
        let gains = |gain: &Gain| -> Json {
            let of = |name: &str| json!({ "present": interval(&gain.present(name)), "recommended": interval(&gain.best(name)), "change": interval(&gain.change(name)) });
            MEASURES
                .iter()
                .map(|measure| (measure.name.to_owned(), of(measure.name)))
                .collect::<serde_json::Map<_, _>>()
                .into()
        };
        let knobs = self.knobs.iter().map(|knob| {
            let changes = |runs| {
                json!({ "cost_usd": interval(&paired(&self.gain.best, runs, "cost_usd")), "wait_p95_s": interval(&paired(&self.gain.best, runs, "wait_p95_s")) })
            };
            let values = knob.values.iter().map(|(index, runs)| {
                json!({ "value": value_text(&self.axes[knob.axis].values[*index]), "change": changes(runs) })
            });
            json!({
                "setting": self.axes[knob.axis].path,
                "effect": match knob.effect { Effect::Nothing => "nothing", Effect::WithinChance => "within_chance", Effect::Matters => "matters" },
                "turned_back": changes(&knob.reverted),
                "values": values.collect::<Vec<_>>(),
            })
        });
        let settings = self.axes.iter().zip(self.present).zip(self.recommended());
        let settings = settings.map(|((axis, present), recommended)| {
            json!({ "setting": axis.path, "present": present, "recommended": recommended })
        });
        json!({
            "scenario": self.name,
            "minimize": self.goal.minimize,
            "runs": self.tuned.runs,
            "combinations": self.tuned.tried.len(),
            "meets_objectives": self.meets_objectives(),
            "settings": settings.collect::<Vec<_>>(),
            "fresh": gains(self.gain),
            "hold_out": self.hold_out.map(gains),
            "knobs": knobs.collect::<Vec<_>>(),
        })
    }

    /// A row of [`TABLE_HEADER`].
    #[must_use]
    pub fn table_row(&self) -> String {
        let gain = self.gain;
        let cells = |measure: &str| {
            let (present, best) = (gain.present(measure), gain.best(measure));
            let change = gain.change(measure);
            let share = |amount: f64| if present.mean == 0.0 { 0.0 } else { amount / present.mean * 100.0 };
            let relative = if present.mean == 0.0 && change.mean == 0.0 {
                "=".to_owned()
            } else {
                format!("{:+.0} % ±{:.0}", share(change.mean), share(change.half_width))
            };
            format!("{} | {} | {relative}", value(measure, present.mean), value(measure, best.mean))
        };
        let changes: Vec<String> = self
            .axes
            .iter()
            .zip(self.present)
            .zip(self.recommended())
            .filter(|((_, present), recommended)| *present != recommended)
            .map(|((axis, _), recommended)| format!("`{}` {recommended}", axis.path))
            .collect();
        let dominated = if gain.is_dominated() { "yes" } else { "no" };
        format!(
            "| {} | {} | {} | {dominated} | {} |",
            self.name,
            cells("cost_usd"),
            cells("wait_p95_s"),
            changes.join(", ")
        )
    }
}

/// Header of a table of several searches, in Markdown.
pub const TABLE_HEADER: &str = "| Scenario | Cost | tuned | change | p95 wait | tuned | change | dominated by present | Settings |\n|---|---|---|---|---|---|---|---|---|";

fn interval(estimate: &Estimate) -> Json {
    let width = estimate.half_width.is_finite().then(|| round(estimate.half_width, 9));
    json!({ "mean": round(estimate.mean, 9), "half_width": width })
}

/// A paired change with its interval and, where there is something to compare with, its share.
fn changed(measure: &str, change: &Estimate, base: f64) -> String {
    if change.mean == 0.0 && change.deviation == 0.0 {
        return "=".to_owned();
    }
    let sign = if change.mean < 0.0 { "-" } else { "+" };
    let width =
        if change.half_width.is_finite() { format!(" ±{}", value(measure, change.half_width)) } else { String::new() };
    let share = if base == 0.0 { String::new() } else { format!(" ({:+.0} %)", change.mean / base * 100.0) };
    let mut text = String::new();
    let _ = write!(text, "{sign}{}{width}{share}", value(measure, change.mean.abs()));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::axes::parse_axis;
    use crate::study::tune::tune;
    use crate::study::worth::{gain, knobs};

    fn evaluate(choice: &[Option<usize>], replication: u32) -> Result<Vec<f64>, String> {
        let polling = choice[0].unwrap_or(2) as f64;
        let luck = f64::from(replication % 5);
        let of = |name: &str| match name {
            "cost_usd" => 1.0 + 0.01 * luck,
            "wait_p95_s" => 20.0 + 10.0 * polling + luck,
            _ => 0.0,
        };
        Ok(MEASURES.iter().map(|measure| of(measure.name)).collect())
    }

    #[test]
    fn the_screen_says_what_to_set_what_it_gains_and_what_does_nothing() -> Result<(), String> {
        let axes =
            [parse_axis("ScaledObject/a.pollingInterval=5,15,30")?, parse_axis("ScaledObject/a.cooldownPeriod=1,2")?];
        let goal = Goal { minimize: "wait_p95_s", constraints: Vec::new(), budget: 100, replications: 5, seed: 1 };
        let tuned = tune(&[3, 2], &goal, &evaluate)?;
        let best = tuned.tried[tuned.best].point.clone();
        let (gain, knobs) = (gain(&best, 10, &evaluate)?, knobs(&[3, 2], &best, 10, &evaluate)?);
        let present = ["30".to_owned(), String::new()];
        let found = Found {
            name: "orders",
            axes: &axes,
            present: &present,
            goal: &goal,
            tuned: &tuned,
            gain: &gain,
            hold_out: None,
            knobs: &knobs,
        };
        let text = found.render(false);
        let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap_or_default().to_owned();
        assert!(line("ScaledObject/a.pollingInterval").ends_with("30            5"), "{text}");
        assert!(line("p95 wait").contains("-20.0s ±0s (-48 %)"), "{text}");
        assert!(line("pollingInterval").contains("+20.0s") && line("pollingInterval").ends_with("matters"), "{text}");
        assert!(line("cooldownPeriod").ends_with("does nothing"), "{text}");
        let json = found.json();
        assert_eq!(json["fresh"]["wait_p95_s"]["change"]["mean"], -20.0);
        assert_eq!(json["knobs"][1]["effect"], "nothing");
        assert!(
            found.table_row().contains("-48 % ±0 | no | `ScaledObject/a.pollingInterval` 5"),
            "{}",
            found.table_row()
        );
        Ok(())
    }
}
