//! The end of a search for settings: what to set, what it gains, what each knob is worth; on the screen, as JSON, as a table row.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use crate::study::measures::MEASURES;
use crate::study::space::Space;
use crate::study::statistics::Estimate;
use crate::study::tune::{Goal, Tuned};
use crate::study::worth::{Effect, Gain, Knob, paired, samples};

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
    /// What was chosen from.
    pub space: &'a Space,
    /// The recommended point.
    pub best: &'a [usize],
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
pub fn points(space: &Space, tuned: &Tuned) -> Vec<Point> {
    let point = |(number, tried): (usize, &crate::study::tune::Tried)| Point {
        number,
        settings: space.labels(&tried.point),
        estimates: MEASURES.iter().map(|measure| Estimate::of(&tried.samples(measure.name), CONFIDENCE)).collect(),
        on_front: tuned.front.contains(&number),
    };
    tuned.tried.iter().enumerate().map(point).collect()
}

impl Found<'_> {
    /// Path, present and recommended value of each setting.
    fn settings(&self) -> impl Iterator<Item = (&str, String, String)> {
        let labels = |point: &[usize]| self.space.labels(point);
        let values = labels(&self.space.present).into_iter().zip(labels(self.best));
        self.space.axes.iter().zip(values).map(|(axis, (present, best))| (axis.path.as_str(), present, best))
    }

    /// Whether the recommended settings keep all objectives on fresh randomness, in the mean.
    #[must_use]
    pub fn meets_objectives(&self) -> bool {
        self.goal.constraints.iter().all(|constraint| self.gain.best(constraint.measure).mean <= constraint.limit)
    }

    /// What to set, what it gains, how sure that is, and what each setting is worth.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let bold = |text: &str| if color { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() };
        let (runs, tried) = (self.tuned.runs, self.tuned.tried.len());
        let mut text = format!("{}  {runs} runs, {tried} combinations tried\n\n", bold(self.name));
        let verdict =
            if self.meets_objectives() { "Recommended settings" } else { "Objectives are missed; nearest settings" };
        let mut rows = vec![vec![verdict.to_owned(), "present".to_owned(), "recommended".to_owned()]];
        for (path, present, best) in self.settings() {
            let best = if best == present { "=".to_owned() } else { best };
            rows.push(vec![path.to_owned(), present, best]);
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
        let names: Vec<String> = self.space.axes.iter().map(|axis| axis.path.clone()).collect();
        let header = ["Turned back alone", "cost", "p95 wait", "over its values"];
        let mut rows = vec![header.map(str::to_owned).to_vec()];
        for knob in self.by_worth() {
            let change = |measure: &str| {
                if knob.reverted.is_empty() {
                    return "cannot run".to_owned();
                }
                let base = Estimate::of(&samples(&knob.base, measure), CONFIDENCE).mean;
                changed(measure, &paired(&knob.base, &knob.reverted, measure), base)
            };
            let effect = match knob.effect {
                Effect::Nothing => "does nothing",
                Effect::WithinChance => "nothing beyond chance",
                Effect::Matters => "matters",
            };
            let name = short_name(&self.space.axes[knob.axis].path, &names);
            rows.push(vec![name, change("cost_usd"), change("wait_p95_s"), effect.to_owned()]);
        }
        aligned(&rows, 1, color)
    }

    /// Knobs, those first that change the goal most over their values.
    fn by_worth(&self) -> Vec<&Knob> {
        let spread = |knob: &Knob| {
            let means = knob.values.iter().map(|(_, runs)| paired(&knob.base, runs, self.goal.minimize).mean);
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
                json!({ "cost_usd": interval(&paired(&knob.base, runs, "cost_usd")), "wait_p95_s": interval(&paired(&knob.base, runs, "wait_p95_s")) })
            };
            let values = knob.values.iter().map(|(index, runs)| {
                json!({ "value": self.space.label(knob.axis, *index), "change": changes(runs) })
            });
            json!({
                "setting": self.space.axes[knob.axis].path,
                "effect": match knob.effect { Effect::Nothing => "nothing", Effect::WithinChance => "within_chance", Effect::Matters => "matters" },
                "turned_back": (!knob.reverted.is_empty()).then(|| changes(&knob.reverted)),
                "values": values.collect::<Vec<_>>(),
            })
        });
        let settings = self.settings().map(
            |(path, present, recommended)| json!({ "setting": path, "present": present, "recommended": recommended }),
        );
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
            .settings()
            .filter(|(_, present, recommended)| present != recommended)
            .map(|(path, present, recommended)| format!("`{path}` {present} → {recommended}"))
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
    use crate::api::decode::Problems;
    use crate::scenario::axes::parse_axis;
    use crate::scenario::document::Document;
    use crate::scenario::files::Files;
    use crate::study::tune::tune;
    use crate::study::worth::{gain, knobs};

    fn evaluate(point: &[usize], replication: u32) -> Result<Vec<f64>, String> {
        let polling = [5.0, 15.0, 30.0][point[0]];
        let luck = f64::from(replication % 5);
        let of = |name: &str| match name {
            "cost_usd" => 1.0 + 0.01 * luck,
            "wait_p95_s" => 10.0 + polling + luck,
            _ => 0.0,
        };
        Ok(MEASURES.iter().map(|measure| of(measure.name)).collect())
    }

    #[test]
    fn the_screen_says_what_to_set_what_it_gains_and_what_does_nothing() -> Result<(), String> {
        let toml = "[[scaledObjects]]\nmetadata.name = \"a\"\nspec.pollingInterval = 30\n";
        let mut files = Files::in_memory([("s.toml".to_owned(), toml.to_owned())].into_iter().collect());
        let file = files.read("s.toml").map_err(|error| error.to_string())?;
        let document = Document::read(files, file, &mut Problems::default());
        let axes = ["ScaledObject/a.pollingInterval=5,15,30", "ScaledObject/a.cooldownPeriod=1,2"];
        let space = Space::new(axes.into_iter().map(parse_axis).collect::<Result<_, _>>()?, &document)?;
        let lengths = space.lengths();
        let goal = Goal { minimize: "wait_p95_s", constraints: Vec::new(), budget: 100, replications: 5, seed: 1 };
        let tuned = tune(&lengths, &goal, &evaluate)?;
        let best = [0, 2];
        assert_eq!(tuned.tried[tuned.best].point[0], best[0]);
        let found = Found {
            name: "orders",
            space: &space,
            best: &best,
            goal: &goal,
            tuned: &tuned,
            gain: &gain(&space.present, &best, 10, &evaluate)?,
            hold_out: None,
            knobs: &knobs(&lengths, &space.present, &best, 10, &evaluate)?,
        };
        let text = found.render(false);
        let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap_or_default().to_owned();
        assert!(line("ScaledObject/a.pollingInterval").ends_with("30            5"), "{text}");
        assert!(line("ScaledObject/a.cooldownPeriod").ends_with("(default)            ="), "{text}");
        assert!(line("p95 wait").contains("-25.0s ±0s (-60 %)"), "{text}");
        assert!(line("pollingInterval").contains("+25.0s") && line("pollingInterval").ends_with("matters"), "{text}");
        assert!(line("cooldownPeriod").ends_with("does nothing"), "{text}");
        let json = found.json();
        assert_eq!(json["fresh"]["wait_p95_s"]["change"]["mean"], -25.0);
        assert_eq!(json["knobs"][1]["effect"], "nothing");
        let row = found.table_row();
        assert!(row.contains("-60 % ±0 | no | `ScaledObject/a.pollingInterval` 30 → 5 |"), "{row}");
        Ok(())
    }
}
