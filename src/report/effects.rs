//! What each setting of a sweep does: lines on the screen and `effects.csv`.

use std::fmt::Write as _;

use crate::scenario::axes::Axis;
use crate::study::effects::{interactions, main_effects};
use crate::study::measures::MEASURES;
use crate::study::plan::{Plan, value_text};
use crate::study::table::Table;

use super::chart::response::MEASURES as SHOWN;
use super::numbers::{percent, round};
use super::points::{heading, short_name, value};

/// Smallest share of the variance that is worth a word.
const WORTH_A_WORD: f64 = 0.01;

/// What explains the differences between the points, and the knees of the curves. Empty when there is nothing to say.
#[must_use]
pub fn render(plan: &Plan, table: &Table) -> String {
    let names: Vec<String> = plan.axes.iter().map(|axis| axis.path.clone()).collect();
    let short = |axis: usize| short_name(&names[axis], &names);
    let mut text = String::new();
    for measure in SHOWN {
        let effects = main_effects(plan, table, measure);
        let alone = effects.iter().filter_map(|effect| Some((effect.share?, short(effect.axis))));
        let pairs = interactions(plan, table, measure);
        let together = pairs
            .iter()
            .filter_map(|pair| Some((pair.share?, format!("{} with {}", short(pair.axes.0), short(pair.axes.1)))));
        let mut parts: Vec<(f64, String)> = alone.chain(together).filter(|(share, _)| *share >= WORTH_A_WORD).collect();
        parts.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        if plan.axes.len() > 1 && !parts.is_empty() {
            let parts: Vec<String> = parts.iter().map(|(share, name)| format!("{name} {}", percent(*share))).collect();
            let _ = writeln!(text, "{} depends on: {}", heading(measure), parts.join(", "));
        }
        for effect in &effects {
            let Some(knee) = effect.knee else { continue };
            let (level, estimate) = &effect.levels[knee];
            let at = value_text(&plan.axes[effect.axis].values[*level]);
            let mean = value(measure, estimate.mean);
            let _ = writeln!(text, "{} bends at {} = {at} ({mean}): the knee", heading(measure), short(effect.axis));
        }
    }
    text
}

/// `effects.csv`: the mean of every measure at each value of each setting, averaged over all other settings.
#[must_use]
pub fn csv(plan: &Plan, table: &Table) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let header = ["setting", "value", "measure", "mean", "half_width", "variance_share", "knee"];
    let mut rows = vec![header.map(str::to_owned)];
    for measure in MEASURES {
        for effect in main_effects(plan, table, measure.name) {
            let axis: &Axis = &plan.axes[effect.axis];
            let share = effect.share.map_or_else(String::new, |share| round(share, 6).to_string());
            for (index, (level, estimate)) in effect.levels.iter().enumerate() {
                let width = estimate.half_width;
                rows.push([
                    axis.path.clone(),
                    value_text(&axis.values[*level]),
                    measure.name.to_owned(),
                    round(estimate.mean, 9).to_string(),
                    if width.is_finite() { round(width, 9).to_string() } else { String::new() },
                    share.clone(),
                    (effect.knee == Some(index)).to_string(),
                ]);
            }
        }
    }
    for row in rows {
        // Writing to memory does not fail, and all rows are equally long.
        let _ = writer.write_record(&row);
    }
    String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
}
