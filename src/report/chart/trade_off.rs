//! Cost against wait: one dot a combination of settings.

use plotters::backend::SVGBackend;
use plotters::drawing::IntoDrawingArea;
use plotters::style::WHITE;

use crate::report::numbers::span;
use crate::report::points::Point;
use crate::time::Duration;

use super::axis::{self, value_label};
use super::canvas::{Align, Canvas, ChartError};
use super::palette::{BLUE, FRAME, GRID, INK, LIGHT, MUTED};

const SIZE: (f64, f64) = (1000.0, 640.0);
const LEFT: f64 = 90.0;
const RIGHT: f64 = 960.0;
const TOP: f64 = 70.0;
const BOTTOM: f64 = 570.0;
/// Most dots with a label.
const LABELS: usize = 12;

/// The chart as an SVG document: mean p95 wait and mean cost of every point, those that nothing beats joined and labelled.
///
/// # Errors
/// Only when the drawing library fails.
pub fn svg(title: &str, points: &[Point]) -> Result<String, ChartError> {
    let mut document = String::new();
    {
        let area = SVGBackend::with_string(&mut document, (SIZE.0 as u32, SIZE.1 as u32)).into_drawing_area();
        let canvas = Canvas::new(&area, 1.0);
        canvas.clear(WHITE)?;
        let places: Vec<(f64, f64, &Point)> = points
            .iter()
            .filter_map(|point| Some((point.estimate("wait_p95_s")?.mean, point.estimate("cost_usd")?.mean, point)))
            .collect();
        let most = |of: fn(&(f64, f64, &Point)) -> f64| places.iter().map(of).fold(0.0, f64::max);
        let x_scale = axis::values(most(|place| place.0), 8, false);
        let y_scale = axis::values(most(|place| place.1), 6, false);
        let x = |wait: f64| LEFT + wait / x_scale.top * (RIGHT - LEFT);
        let y = |cost: f64| BOTTOM - cost / y_scale.top * (BOTTOM - TOP);
        canvas.text(title, (LEFT, 26.0), 20.0, INK, Align::Left)?;
        canvas.text("Cost of the run, USD", (LEFT - 60.0, TOP - 18.0), 14.0, MUTED, Align::Left)?;
        canvas.text(
            "95th percentile of the wait",
            ((LEFT + RIGHT) / 2.0, BOTTOM + 46.0),
            14.0,
            MUTED,
            Align::Center,
        )?;
        for line in 0..=(x_scale.top / x_scale.step).round() as u32 {
            let wait = f64::from(line) * x_scale.step;
            canvas.line(&[(x(wait), TOP), (x(wait), BOTTOM)], GRID, 1.0)?;
            canvas.text(&span(Duration::from_secs_f64(wait)), (x(wait), BOTTOM + 18.0), 13.0, MUTED, Align::Center)?;
        }
        for line in 0..=(y_scale.top / y_scale.step).round() as u32 {
            let cost = f64::from(line) * y_scale.step;
            canvas.line(&[(LEFT, y(cost)), (RIGHT, y(cost))], GRID, 1.0)?;
            canvas.text(&value_label(cost, y_scale.step), (LEFT - 8.0, y(cost)), 13.0, MUTED, Align::Right)?;
        }
        for (wait, cost, _) in places.iter().filter(|(_, _, point)| !point.on_front) {
            canvas.dot((x(*wait), y(*cost)), 5.0, LIGHT)?;
        }
        let mut front: Vec<_> = places.iter().filter(|(_, _, point)| point.on_front).collect();
        front.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let path: Vec<_> = front.iter().map(|(wait, cost, _)| (x(*wait), y(*cost))).collect();
        if path.len() > 1 {
            canvas.line(&path, BLUE, 1.0)?;
        }
        for (index, (wait, cost, point)) in front.iter().enumerate() {
            let at = (x(*wait), y(*cost));
            canvas.dot(at, 6.0, BLUE)?;
            if index < LABELS {
                let align = if at.0 > (LEFT + RIGHT) * 0.7 { Align::Right } else { Align::Left };
                let aside = if align == Align::Left { 10.0 } else { -10.0 };
                canvas.text(&point.settings.join(", "), (at.0 + aside, at.1 - 12.0), 13.0, INK, align)?;
            }
        }
        canvas.frame((LEFT, TOP), (RIGHT, BOTTOM), FRAME)?;
        area.present().map_err(|error| ChartError(format!("{error:?}")))?;
    }
    Ok(document)
}
