//! Two settings against each other: a field each combination, the darker the more.

use plotters::backend::DrawingBackend;
use plotters::style::RGBColor;

use crate::report::points::value;
use crate::study::effects::{Interaction, interactions, main_effects};
use crate::study::plan::{Plan, value_text};
use crate::study::table::Table;

use super::Drawing;
use super::canvas::{Align, Canvas, ChartError};
use super::graph::{SMALL, title};
use super::palette::{EMPTY, FRAME, INK, MUTED};
use super::response::MEASURES;

const HEADER: f64 = 70.0;
const LEFT: f64 = 190.0;
const FIELD: (f64, f64) = (92.0, 44.0);
const GAP: f64 = 150.0;
/// Most values of a setting for which the fields hold numbers and keep their size.
const MOST_WIDE: usize = 8;

/// The map of two settings.
pub struct Heat<'a> {
    title: &'a str,
    plan: &'a Plan,
    /// Settings across and down.
    axes: (usize, usize),
    /// One map a measure.
    maps: Vec<Interaction>,
}

impl<'a> Heat<'a> {
    /// The map of the two settings of a plan that explain most of the p95 wait; nothing with a single setting.
    #[must_use]
    pub fn of(title: &'a str, plan: &'a Plan, table: &Table) -> Option<Heat<'a>> {
        let mut ranking = main_effects(plan, table, MEASURES[0]);
        ranking.sort_by(|a, b| b.share.unwrap_or(0.0).total_cmp(&a.share.unwrap_or(0.0)).then(a.axis.cmp(&b.axis)));
        let [first, second, ..] = ranking.as_slice() else { return None };
        let pair = (first.axis.min(second.axis), first.axis.max(second.axis));
        let map = |measure: &&str| interactions(plan, table, measure).into_iter().find(|other| other.axes == pair);
        let maps: Vec<Interaction> = MEASURES.iter().filter_map(map).collect();
        let turned = plan.axes[pair.1].values.len() > plan.axes[pair.0].values.len();
        let axes = if turned { (pair.1, pair.0) } else { pair };
        Some(Heat { title, plan, axes, maps })
    }

    fn field(&self) -> (f64, f64) {
        let across = self.plan.axes[self.axes.0].values.len();
        if across > MOST_WIDE { (FIELD.0 * MOST_WIDE as f64 / across as f64, FIELD.1) } else { FIELD }
    }

    fn map_width(&self) -> f64 {
        self.field().0 * self.plan.axes[self.axes.0].values.len() as f64
    }
}

impl Drawing for Heat<'_> {
    fn size(&self) -> (f64, f64) {
        let down = self.plan.axes[self.axes.1].values.len() as f64;
        let width = LEFT + self.map_width() * 2.0 + GAP + 40.0;
        (width.max(700.0), HEADER + 40.0 + self.field().1 * down + 80.0)
    }

    fn draw<B: DrawingBackend>(&self, canvas: &Canvas<'_, B>) -> Result<(), ChartError> {
        let (across, down) = (&self.plan.axes[self.axes.0], &self.plan.axes[self.axes.1]);
        let (width, _) = self.size();
        canvas.text(&canvas.fitted(self.title, 20.0, width - 40.0), (20.0, 24.0), 20.0, INK, Align::Left)?;
        let averaged = if self.plan.axes.len() > 2 { "; averaged over all other settings" } else { "" };
        let caption = format!("The darker the more; down: {}{averaged}", down.path);
        canvas.text(&canvas.fitted(&caption, SMALL, width - 40.0), (20.0, 50.0), SMALL, MUTED, Align::Left)?;
        for (column, (map, measure)) in self.maps.iter().zip(MEASURES).enumerate() {
            let left = LEFT + (self.map_width() + GAP) * column as f64;
            self.map(canvas, map, measure, (left, HEADER + 40.0))?;
            let bottom = HEADER + 40.0 + self.field().1 * down.values.len() as f64;
            let at = (left + self.map_width() / 2.0, bottom + 44.0);
            canvas.text(
                &canvas.fitted(&across.path, SMALL, self.map_width() + GAP - 20.0),
                at,
                SMALL,
                INK,
                Align::Center,
            )?;
        }
        Ok(())
    }
}

impl Heat<'_> {
    fn map<B: DrawingBackend>(
        &self,
        canvas: &Canvas<'_, B>,
        map: &Interaction,
        measure: &str,
        (left, top): (f64, f64),
    ) -> Result<(), ChartError> {
        let (across, down) = (&self.plan.axes[self.axes.0].values, &self.plan.axes[self.axes.1].values);
        let (width, height) = self.field();
        let means = || map.cells.values().map(|estimate| estimate.mean);
        let low = means().fold(f64::INFINITY, f64::min);
        let high = means().fold(f64::NEG_INFINITY, f64::max);
        canvas.text(&title(measure), (left, top - 18.0), 15.0, INK, Align::Left)?;
        for (row, value_down) in down.iter().enumerate() {
            let y = top + height * row as f64;
            let text = canvas.fitted(&value_text(value_down), SMALL, GAP - 20.0);
            canvas.text(&text, (left - 8.0, y + height / 2.0), SMALL, MUTED, Align::Right)?;
            for column in 0..across.len() {
                let x = left + width * column as f64;
                let cell = if self.axes.0 == map.axes.0 { (column, row) } else { (row, column) };
                let estimate = map.cells.get(&cell);
                let share = estimate.map(|e| if high > low { (e.mean - low) / (high - low) } else { 0.0 });
                canvas.rectangle((x, y), (x + width, y + height), share.map_or(EMPTY, shade), 1.0)?;
                canvas.frame((x, y), (x + width, y + height), FRAME)?;
                if let (Some(estimate), Some(share)) = (estimate, share) {
                    let text = value(measure, estimate.mean);
                    if canvas.width(&text, SMALL) < width - 6.0 {
                        let color = if share > 0.55 { EMPTY } else { INK };
                        canvas.text(&text, (x + width / 2.0, y + height / 2.0), SMALL, color, Align::Center)?;
                    }
                }
            }
        }
        let bottom = top + height * down.len() as f64;
        for (column, value_across) in across.iter().enumerate() {
            let text = canvas.fitted(&value_text(value_across), SMALL, width - 4.0);
            let at = (left + width * (column as f64 + 0.5), bottom + 16.0);
            canvas.text(&text, at, SMALL, MUTED, Align::Center)?;
        }
        Ok(())
    }
}

/// From near white to dark blue, evenly in lightness: readable in grey and for every color vision.
fn shade(share: f64) -> RGBColor {
    const STOPS: [(f64, f64, f64); 4] =
        [(247.0, 251.0, 255.0), (158.0, 202.0, 225.0), (66.0, 146.0, 198.0), (8.0, 48.0, 107.0)];
    let place = share.clamp(0.0, 1.0) * (STOPS.len() - 1) as f64;
    let index = (place as usize).min(STOPS.len() - 2);
    let (from, to, part) = (STOPS[index], STOPS[index + 1], place - index as f64);
    let mix = |a: f64, b: f64| (a + (b - a) * part).round() as u8;
    RGBColor(mix(from.0, to.0), mix(from.1, to.1), mix(from.2, to.2))
}
