//! Cost against wait: one dot a combination of settings.

use plotters::backend::DrawingBackend;

use crate::report::points::{Point, short_name};
use crate::study::statistics::knee_below;

use super::Drawing;
use super::axis;
use super::canvas::{Align, Canvas, ChartError};
use super::graph::label;
use super::palette::{BLUE, FRAME, GRID, INK, LIGHT, MUTED, ORANGE, SKY, VERMILLION};

const SIZE: (f64, f64) = (1000.0, 640.0);
const LEFT: f64 = 90.0;
const RIGHT: f64 = 960.0;
const TOP: f64 = 98.0;
const BOTTOM: f64 = 570.0;
/// Least distance of two labels.
const APART: f64 = 16.0;

/// Mean p95 wait and mean cost of every point; those that nothing beats are joined, labelled, and shown with the 95 % intervals of
/// their means.
pub struct TradeOff<'a> {
    /// What it is about.
    pub title: String,
    /// Paths of the settings, of which labels give the values.
    pub axes: &'a [String],
    /// All points.
    pub points: &'a [Point],
    /// Places to mark besides: name, wait and cost.
    pub marked: Vec<(&'a str, (f64, f64))>,
}

/// The point of the front, given in the order of the wait, where a further second less begins to cost more: farthest from the line
/// between its ends.
#[must_use]
pub fn front_knee(front: &[(f64, f64)]) -> Option<usize> {
    let (x, y): (Vec<f64>, Vec<f64>) = front.iter().copied().unzip();
    knee_below(&x, &y)
}

/// The points that nothing beats in the order of their wait: wait, cost, point.
#[must_use]
pub fn front(points: &[Point]) -> Vec<(f64, f64, &Point)> {
    let mut front: Vec<_> = places(points).into_iter().filter(|(_, _, point)| point.on_front).collect();
    front.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    front
}

/// Half widths of the intervals of wait and cost; 0 where a single run gives none.
fn half_widths(point: &Point) -> (f64, f64) {
    let of = |measure| point.estimate(measure).map(|e| e.half_width).filter(|width| width.is_finite()).unwrap_or(0.0);
    (of("wait_p95_s"), of("cost_usd"))
}

fn places(points: &[Point]) -> Vec<(f64, f64, &Point)> {
    let place = |point: &'_ Point| Some((point.estimate("wait_p95_s")?.mean, point.estimate("cost_usd")?.mean));
    points.iter().filter_map(|point| place(point).map(|(wait, cost)| (wait, cost, point))).collect()
}

impl Drawing for TradeOff<'_> {
    fn size(&self) -> (f64, f64) {
        SIZE
    }

    fn draw<B: DrawingBackend>(&self, canvas: &Canvas<'_, B>) -> Result<(), ChartError> {
        let places = places(self.points);
        let corners = front(self.points).into_iter().flat_map(|(wait, cost, point)| {
            let (of_wait, of_cost) = half_widths(point);
            [(wait - of_wait, cost - of_cost), (wait + of_wait, cost + of_cost)]
        });
        let corners: Vec<(f64, f64)> = corners.map(|(wait, cost)| (wait.max(0.0), cost.max(0.0))).collect();
        let means = || places.iter().map(|(wait, cost, _)| (*wait, *cost));
        let all = || means().chain(self.marked.iter().map(|mark| mark.1)).chain(corners.iter().copied());
        let ends = |of: fn((f64, f64)) -> f64| {
            all().map(of).fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)))
        };
        let (waits, costs) = (ends(|place| place.0), ends(|place| place.1));
        let x_span = axis::span(waits.0.min(waits.1), waits.1, 8, true);
        let y_span = axis::span(costs.0.min(costs.1), costs.1, 6, false);
        let at = |wait: f64, cost: f64| {
            let x = LEFT + (wait - x_span.low) / (x_span.high - x_span.low) * (RIGHT - LEFT);
            (x, BOTTOM - (cost - y_span.low) / (y_span.high - y_span.low) * (BOTTOM - TOP))
        };
        canvas.text(&canvas.fitted(&self.title, 20.0, RIGHT - LEFT), (LEFT, 26.0), 20.0, INK, Align::Left)?;
        canvas.text(&canvas.fitted(&self.caption(), 13.0, RIGHT - LEFT), (LEFT, 50.0), 13.0, MUTED, Align::Left)?;
        canvas.text("Cost of a run", (LEFT - 60.0, TOP - 18.0), 14.0, MUTED, Align::Left)?;
        let below = ((LEFT + RIGHT) / 2.0, BOTTOM + 46.0);
        canvas.text("95th percentile of the wait", below, 14.0, MUTED, Align::Center)?;
        for line in 0..=((x_span.high - x_span.low) / x_span.step).round() as u32 {
            let wait = x_span.low + f64::from(line) * x_span.step;
            let (x, _) = at(wait, y_span.low);
            canvas.line(&[(x, TOP), (x, BOTTOM)], GRID, 1.0)?;
            canvas.text(&label("wait_p95_s", wait, x_span.step), (x, BOTTOM + 18.0), 13.0, MUTED, Align::Center)?;
        }
        for line in 0..=((y_span.high - y_span.low) / y_span.step).round() as u32 {
            let cost = y_span.low + f64::from(line) * y_span.step;
            let (_, y) = at(x_span.low, cost);
            canvas.line(&[(LEFT, y), (RIGHT, y)], GRID, 1.0)?;
            canvas.text(&label("cost_usd", cost, y_span.step), (LEFT - 8.0, y), 13.0, MUTED, Align::Right)?;
        }
        for (wait, cost, _) in places.iter().filter(|(_, _, point)| !point.on_front) {
            canvas.dot(at(*wait, *cost), 5.0, LIGHT)?;
        }
        // The names of the marked places first: other labels keep away from them.
        let mut labels = Vec::new();
        for (name, (wait, cost)) in &self.marked {
            let (x, y) = at(*wait, *cost);
            let width = canvas.width(name, 14.0);
            let left = if x > (LEFT + RIGHT) * 0.7 { x - 13.0 - width } else { x + 13.0 };
            labels.push((left, left + width, y + 12.0));
        }
        self.front(canvas, &at, labels.clone())?;
        for (((name, (wait, cost)), (left, _, y)), color) in self.marked.iter().zip(labels).zip([VERMILLION, ORANGE]) {
            canvas.dot(at(*wait, *cost), 8.0, color)?;
            canvas.text(name, (left, y), 14.0, color, Align::Left)?;
        }
        canvas.frame((LEFT, TOP), (RIGHT, BOTTOM), FRAME)
    }
}

impl TradeOff<'_> {
    fn caption(&self) -> String {
        let names: Vec<String> = self.axes.iter().map(|axis| short_name(axis, self.axes)).collect();
        format!(
            "Blue: nothing is both cheaper and faster · bars: 95 % intervals of the means · labels: {}",
            names.join(", ")
        )
    }

    /// The points that nothing beats, joined; as many labels as do not touch each other.
    fn front<B: DrawingBackend>(
        &self,
        canvas: &Canvas<'_, B>,
        at: &impl Fn(f64, f64) -> (f64, f64),
        mut taken: Vec<(f64, f64, f64)>,
    ) -> Result<(), ChartError> {
        let front = front(self.points);
        let path: Vec<_> = front.iter().map(|(wait, cost, _)| at(*wait, *cost)).collect();
        if path.len() > 1 {
            canvas.line(&path, BLUE, 1.0)?;
        }
        for (wait, cost, point) in &front {
            let (of_wait, of_cost) = half_widths(point);
            canvas.line(&[at((wait - of_wait).max(0.0), *cost), at(wait + of_wait, *cost)], SKY, 2.0)?;
            canvas.line(&[at(*wait, (cost - of_cost).max(0.0)), at(*wait, cost + of_cost)], SKY, 2.0)?;
        }
        let bend = front_knee(&front.iter().map(|(wait, cost, _)| (*wait, *cost)).collect::<Vec<_>>());
        // The knee's label first, so that it is never the one left out.
        let mut order: Vec<usize> = (0..front.len()).collect();
        order.sort_by_key(|index| (Some(*index) != bend, *index));
        for index in order {
            let (place, (_, _, point)) = (path[index], &front[index]);
            canvas.dot(place, 6.0, BLUE)?;
            let knee = if Some(index) == bend { "knee: " } else { "" };
            let text = canvas.fitted(&format!("{knee}{}", point.settings.join(", ")), 13.0, 420.0);
            let width = canvas.width(&text, 13.0);
            let is_right = place.0 + width + 20.0 > RIGHT;
            let (align, left) =
                if is_right { (Align::Right, place.0 - 10.0 - width) } else { (Align::Left, place.0 + 10.0) };
            // The front falls to the right: it leaves these two corners free.
            let y = if is_right { place.1 + 14.0 } else { place.1 - 12.0 };
            let is_free = taken.iter().all(|(a, b, other)| (y - other).abs() > APART || left + width < *a || left > *b);
            if is_free {
                let x = if is_right { place.0 - 10.0 } else { place.0 + 10.0 };
                canvas.text(&text, (x, y), 13.0, INK, align)?;
                taken.push((left, left + width, y));
            }
        }
        Ok(())
    }
}
