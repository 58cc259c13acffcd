//! A graph of a measure against something: frame, grid, labels, curves with bands.

use plotters::backend::DrawingBackend;
use plotters::style::RGBColor;

use crate::report::numbers;
use crate::report::points::heading;
use crate::scenario::axes::Axis;
use crate::study::effects::numbers as numbers_of;
use crate::study::plan::value_text;
use crate::time::Duration;

use super::axis::{self, Span, value_label};
use super::canvas::{Align, Canvas, ChartError};
use super::palette::{BLUE, FRAME, GREEN, GRID, INK, MUTED, ORANGE, PURPLE, SKY, VERMILLION};

/// Size of labels.
pub const SMALL: f64 = 13.0;
/// Colors of curves, one after another.
pub const CURVES: [RGBColor; 6] = [BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY];
/// Least distance of labels on the horizontal axis.
const APART: f64 = 12.0;

/// Places along a horizontal axis, and what stands there.
#[derive(Clone, Debug)]
pub struct Ticks {
    /// Place of each value, from 0 to 1.
    pub places: Vec<f64>,
    /// Their labels.
    pub labels: Vec<String>,
    /// Whether they are numbers, between which there is something.
    pub numbers: bool,
}

impl Ticks {
    /// The values of an axis: numbers at their distances unless they would stand on each other, all else at equal ones.
    #[must_use]
    pub fn of(axis: &Axis) -> Ticks {
        let labels: Vec<String> = axis.values.iter().map(value_text).collect();
        let last = labels.len().saturating_sub(1).max(1) as f64;
        let even = || (0..labels.len()).map(|index| index as f64 / last).collect();
        let numbers = numbers_of(&axis.values).filter(|numbers| numbers.len() > 1);
        let places = match &numbers {
            Some(numbers) => {
                let (first, width) = (numbers[0], numbers[numbers.len() - 1] - numbers[0]);
                let places: Vec<f64> = numbers.iter().map(|number| (number - first) / width).collect();
                let crowded = places.windows(2).any(|pair| pair[1] - pair[0] < 0.25 / last);
                if crowded { even() } else { places }
            }
            None => even(),
        };
        Ticks { places, labels, numbers: numbers.is_some() }
    }
}

/// Where a graph lies, and its vertical axis.
#[derive(Clone, Copy, Debug)]
pub struct Graph {
    /// Left edge.
    pub left: f64,
    /// Right edge.
    pub right: f64,
    /// Upper edge.
    pub top: f64,
    /// Lower edge.
    pub bottom: f64,
    /// Vertical axis.
    pub y: Span,
}

impl Graph {
    /// Position of a place from 0 to 1.
    #[must_use]
    pub fn x(&self, place: f64) -> f64 {
        // Not on the frame, so that dots at the ends are whole.
        self.left + (0.03 + 0.94 * place) * (self.right - self.left)
    }

    /// Position of a value.
    #[must_use]
    pub fn y(&self, value: f64) -> f64 {
        let share = (value - self.y.low) / (self.y.high - self.y.low);
        self.bottom - share.clamp(0.0, 1.0) * (self.bottom - self.top)
    }

    /// Grid, labels of both axes, frame.
    pub fn frame<B: DrawingBackend>(
        &self,
        canvas: &Canvas<'_, B>,
        title: &str,
        measure: &str,
        ticks: &Ticks,
    ) -> Result<(), ChartError> {
        for line in 0..=((self.y.high - self.y.low) / self.y.step).round() as u32 {
            let value = self.y.low + f64::from(line) * self.y.step;
            canvas.line(&[(self.left, self.y(value)), (self.right, self.y(value))], GRID, 1.0)?;
            canvas.text(
                &label(measure, value, self.y.step),
                (self.left - 8.0, self.y(value)),
                SMALL,
                MUTED,
                Align::Right,
            )?;
        }
        let mut free = f64::NEG_INFINITY;
        for (place, text) in ticks.places.iter().zip(&ticks.labels) {
            let x = self.x(*place);
            canvas.line(&[(x, self.top), (x, self.bottom)], GRID, 1.0)?;
            let text = canvas.fitted(text, SMALL, (self.right - self.left) / 3.0);
            let half = canvas.width(&text, SMALL) / 2.0;
            if x - half > free {
                canvas.text(&text, (x, self.bottom + 16.0), SMALL, MUTED, Align::Center)?;
                free = x + half + APART;
            }
        }
        canvas.text(title, (self.left, self.top - 16.0), 15.0, INK, Align::Left)?;
        canvas.frame((self.left, self.top), (self.right, self.bottom), FRAME)
    }

    /// A curve with dots, and the band of its intervals; points are place, value and half width.
    pub fn curve<B: DrawingBackend>(
        &self,
        canvas: &Canvas<'_, B>,
        points: &[(f64, f64, f64)],
        color: RGBColor,
    ) -> Result<(), ChartError> {
        let upper = points.iter().map(|(x, y, width)| (self.x(*x), self.y(y + width)));
        let lower = points.iter().rev().map(|(x, y, width)| (self.x(*x), self.y(y - width)));
        if points.len() > 1 {
            canvas.polygon(&upper.chain(lower).collect::<Vec<_>>(), color, 0.2)?;
            let path: Vec<_> = points.iter().map(|(x, y, _)| (self.x(*x), self.y(*y))).collect();
            canvas.line(&path, color, 2.0)?;
        }
        self.dots(canvas, points, color)
    }

    /// Dots, each with the bar of its interval.
    pub fn bars<B: DrawingBackend>(
        &self,
        canvas: &Canvas<'_, B>,
        points: &[(f64, f64, f64)],
        color: RGBColor,
    ) -> Result<(), ChartError> {
        for (x, y, width) in points {
            canvas.line(&[(self.x(*x), self.y(y - width)), (self.x(*x), self.y(y + width))], color, 2.0)?;
        }
        self.dots(canvas, points, color)
    }

    fn dots<B: DrawingBackend>(
        &self,
        canvas: &Canvas<'_, B>,
        points: &[(f64, f64, f64)],
        color: RGBColor,
    ) -> Result<(), ChartError> {
        points.iter().try_for_each(|(x, y, _)| canvas.dot((self.x(*x), self.y(*y)), 4.0, color))
    }
}

/// A value on an axis of a measure.
#[must_use]
pub fn label(measure: &str, value: f64, step: f64) -> String {
    if measure.ends_with("_s") {
        return if step >= 1.0 {
            axis::time_label(value.round())
        } else {
            numbers::span(Duration::from_secs_f64(value))
        };
    }
    let number = value_label(value, step);
    if measure.ends_with("_usd") { format!("${number}") } else { number }
}

/// What a vertical axis shows.
#[must_use]
pub fn title(measure: &str) -> String {
    let name = heading(measure);
    let mut letters = name.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    let unit = if measure == "cost_usd" { " of a run" } else { "" };
    format!("{first}{}{unit}", letters.as_str())
}
