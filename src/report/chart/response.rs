//! What each setting of a sweep does: a measure against its values, averaged over all other settings or one curve for each value of
//! another one. Bands and bars are 95 % intervals of the mean.

use plotters::backend::DrawingBackend;

use crate::report::points::short_name;
use crate::study::effects::{Interaction, MainEffect, interactions, main_effects};
use crate::study::plan::{Plan, value_text};
use crate::study::statistics::Estimate;
use crate::study::table::Table;

use super::Drawing;
use super::axis;
use super::canvas::{Align, Canvas, ChartError};
use super::graph::{CURVES, Graph, SMALL, Ticks, title};
use super::palette::{INK, MUTED, VERMILLION};

/// Measures shown, one a column.
pub const MEASURES: [&str; 2] = ["wait_p95_s", "cost_usd"];
/// Most pairs of settings in a chart.
const MOST_PAIRS: usize = 6;

const HEADER: f64 = 64.0;
const WIDTH: f64 = 1240.0;
const LEFT: f64 = 90.0;
const GAP: f64 = 110.0;
const HEIGHT: f64 = 250.0;
const ROW: f64 = HEIGHT + 110.0;

/// Curves of a plan's results.
pub struct Response<'a> {
    title: &'a str,
    plan: &'a Plan,
    /// Rows: the horizontal axis and, for interactions, the axis that has a curve for each value; with the effects by measure.
    rows: Vec<Row>,
    caption: String,
}

struct Row {
    across: usize,
    by: Option<usize>,
    cells: Vec<Cell>,
}

struct Cell {
    /// Curves: index of the value of `by` and points as index of the value, mean, half width.
    curves: Vec<(usize, Vec<(usize, Estimate)>)>,
    /// Index of the value at the knee.
    knee: Option<usize>,
    share: Option<f64>,
}

impl<'a> Response<'a> {
    /// Main effects: a row each setting.
    #[must_use]
    pub fn main(title: &'a str, plan: &'a Plan, table: &Table) -> Response<'a> {
        let effects: Vec<Vec<MainEffect>> = MEASURES.iter().map(|measure| main_effects(plan, table, measure)).collect();
        let cell = |effect: &MainEffect| Cell {
            curves: vec![(0, effect.levels.clone())],
            knee: effect.knee.map(|index| effect.levels[index].0),
            // With one setting there is nothing else to explain anything.
            share: effect.share.filter(|_| plan.axes.len() > 1),
        };
        let row = |across: usize| {
            let cells = effects.iter().map(|effects| cell(&effects[across])).collect();
            Row { across, by: None, cells }
        };
        let others = if plan.axes.len() > 1 { "; each curve is averaged over all other settings" } else { "" };
        let caption = format!("Bands and bars: 95 % intervals of the mean over {} runs{others}", plan.replications);
        Response { title, plan, rows: (0..plan.axes.len()).map(row).collect(), caption }
    }

    /// Interactions: a row for each of the strongest pairs of settings; nothing with a single setting.
    #[must_use]
    pub fn pairs(title: &'a str, plan: &'a Plan, table: &Table) -> Option<Response<'a>> {
        let effects: Vec<Vec<Interaction>> =
            MEASURES.iter().map(|measure| interactions(plan, table, measure)).collect();
        let row = |pair: &Interaction| {
            // The setting with more values goes across.
            let (first, second) = pair.axes;
            let turned = plan.axes[second].values.len() > plan.axes[first].values.len();
            let cells = effects.iter().filter_map(|all| all.iter().find(|other| other.axes == pair.axes));
            Row {
                across: if turned { second } else { first },
                by: Some(if turned { first } else { second }),
                cells: cells.map(|pair| pair_cell(pair, turned)).collect(),
            }
        };
        let rows: Vec<Row> = effects[0].iter().take(MOST_PAIRS).map(row).collect();
        let caption =
            "Curves that are parallel: the two settings do not influence each other. Bands: 95 % intervals of the mean"
                .to_owned();
        (!rows.is_empty()).then_some(Response { title, plan, rows, caption })
    }
}

fn pair_cell(pair: &Interaction, turned: bool) -> Cell {
    let mut curves: Vec<(usize, Vec<(usize, Estimate)>)> = Vec::new();
    let place = |(first, second): (usize, usize)| if turned { (first, second) } else { (second, first) };
    let mut cells: Vec<_> = pair.cells.iter().map(|(cell, estimate)| (place(*cell), *estimate)).collect();
    cells.sort_by_key(|(key, _)| *key);
    for ((by, across), estimate) in cells {
        match curves.last_mut() {
            Some((last, points)) if *last == by => points.push((across, estimate)),
            _ => curves.push((by, vec![(across, estimate)])),
        }
    }
    Cell { curves, knee: None, share: pair.share }
}

impl Drawing for Response<'_> {
    fn size(&self) -> (f64, f64) {
        (WIDTH, HEADER + ROW * self.rows.len() as f64 + 20.0)
    }

    fn draw<B: DrawingBackend>(&self, canvas: &Canvas<'_, B>) -> Result<(), ChartError> {
        canvas.text(&canvas.fitted(self.title, 20.0, WIDTH - LEFT - 20.0), (LEFT, 24.0), 20.0, INK, Align::Left)?;
        canvas.text(&self.caption, (LEFT, 48.0), SMALL, MUTED, Align::Left)?;
        for (number, row) in self.rows.iter().enumerate() {
            let top = HEADER + 40.0 + ROW * number as f64;
            for (column, (cell, measure)) in row.cells.iter().zip(MEASURES).enumerate() {
                let width = (WIDTH - LEFT - 40.0 - GAP) / 2.0;
                let left = LEFT + (width + GAP) * column as f64;
                self.cell(canvas, row, cell, measure, (left, left + width, top))?;
            }
        }
        Ok(())
    }
}

impl Response<'_> {
    fn cell<B: DrawingBackend>(
        &self,
        canvas: &Canvas<'_, B>,
        row: &Row,
        cell: &Cell,
        measure: &str,
        (left, right, top): (f64, f64, f64),
    ) -> Result<(), ChartError> {
        let axis = &self.plan.axes[row.across];
        let ticks = Ticks::of(axis);
        let width = |estimate: &Estimate| if estimate.half_width.is_finite() { estimate.half_width } else { 0.0 };
        let all = || cell.curves.iter().flat_map(|(_, points)| points.iter().map(|(_, estimate)| estimate));
        let low = all().map(|estimate| estimate.mean - width(estimate)).fold(f64::INFINITY, f64::min).max(0.0);
        let high = all().map(|estimate| estimate.mean + width(estimate)).fold(0.0, f64::max);
        let y = axis::span(low, high, 5, measure.ends_with("_s"));
        let graph = Graph { left, right, top, bottom: top + HEIGHT, y };
        graph.frame(canvas, &self.heading(cell, measure, row), measure, &ticks)?;
        if let Some(knee) = cell.knee {
            let x = graph.x(ticks.places[knee]);
            canvas.dashes(x, graph.top, graph.bottom, VERMILLION)?;
            canvas.text(
                &format!("knee: {}", ticks.labels[knee]),
                (x + 6.0, graph.top + 12.0),
                SMALL,
                VERMILLION,
                Align::Left,
            )?;
        }
        for (number, (_, points)) in cell.curves.iter().enumerate() {
            let points: Vec<_> = points.iter().map(|(at, e)| (ticks.places[*at], e.mean, width(e))).collect();
            let color = CURVES[number % CURVES.len()];
            // Between words there is nothing; curves of two settings are joined all the same, to show whether they are parallel.
            if ticks.numbers || row.by.is_some() {
                graph.curve(canvas, &points, color)?;
            } else {
                graph.bars(canvas, &points, color)?;
            }
        }
        let center = ((left + right) / 2.0, graph.bottom + 38.0);
        canvas.text(&canvas.fitted(&axis.path, SMALL, right - left + 80.0), center, SMALL, INK, Align::Center)?;
        row.by.map_or(Ok(()), |by| self.legend(canvas, cell, by, (left, right, graph.bottom + 60.0)))
    }

    fn heading(&self, cell: &Cell, measure: &str, row: &Row) -> String {
        let share = cell.share.map_or_else(String::new, |share| {
            let what = if row.by.is_some() { "interaction" } else { "this setting" };
            format!("  ·  {what} explains {:.0} % of the variance", share * 100.0)
        });
        format!("{}{share}", title(measure))
    }

    /// Which curve is which, below the graph.
    fn legend<B: DrawingBackend>(
        &self,
        canvas: &Canvas<'_, B>,
        cell: &Cell,
        by: usize,
        (left, right, y): (f64, f64, f64),
    ) -> Result<(), ChartError> {
        let names: Vec<String> = self.plan.axes.iter().map(|axis| axis.path.clone()).collect();
        let axis = &self.plan.axes[by];
        let name = format!("{}:", short_name(&axis.path, &names));
        let name = canvas.fitted(&name, SMALL, (right - left) / 2.0);
        canvas.text(&name, (left, y), SMALL, INK, Align::Left)?;
        let mut x = left + canvas.width(&name, SMALL) + 14.0;
        for (number, (value, _)) in cell.curves.iter().enumerate() {
            let text = value_text(&axis.values[*value]);
            let width = canvas.width(&text, SMALL) + 34.0;
            if x + width > right + 60.0 {
                return canvas.text("…", (x, y), SMALL, MUTED, Align::Left);
            }
            canvas.line(&[(x, y), (x + 16.0, y)], CURVES[number % CURVES.len()], 3.0)?;
            canvas.text(&text, (x + 21.0, y), SMALL, INK, Align::Left)?;
            x += width + 10.0;
        }
        Ok(())
    }
}
