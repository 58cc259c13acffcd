//! One panel: a frame with a time axis and a value axis, series in it, and a legend beside it.

use plotters::backend::DrawingBackend;
use plotters::style::RGBColor;

use crate::telemetry::Series;
use crate::time::Time;

use super::axis::{Scale, time_label, time_step, value_label};
use super::canvas::{Align, Canvas, ChartError};
use super::palette::{FRAME, GRID, INK, MUTED};

/// Size of small text.
pub const SMALL: f64 = 13.0;
/// Size of a panel's title.
pub const TITLE: f64 = 15.0;
/// Lines on the time axis.
const TIME_LINES: usize = 12;

/// Where a panel's plot lies, and what its axes mean.
#[derive(Clone, Copy, Debug)]
pub struct Plot {
    /// Left edge.
    pub left: f64,
    /// Right edge.
    pub right: f64,
    /// Upper edge.
    pub top: f64,
    /// Lower edge.
    pub bottom: f64,
    /// End of the time axis, which begins at 0.
    pub end: Time,
    /// Value axis.
    pub scale: Scale,
}

/// How a series is shown in the legend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swatch {
    /// A filled box.
    Area,
    /// A line.
    Line,
}

/// One line of a legend.
#[derive(Clone, Debug)]
pub struct Entry {
    /// How.
    pub swatch: Swatch,
    /// Color.
    pub color: RGBColor,
    /// What it is.
    pub label: String,
    /// Figures, in a second tone.
    pub note: String,
}

impl Entry {
    /// An entry.
    pub fn new(swatch: Swatch, color: RGBColor, label: impl Into<String>, note: impl Into<String>) -> Entry {
        Entry { swatch, color, label: label.into(), note: note.into() }
    }
}

impl Plot {
    /// Position of an instant.
    #[must_use]
    pub fn x(&self, time: Time) -> f64 {
        let share = time.as_micros() as f64 / self.end.as_micros().max(1) as f64;
        self.left + share.min(1.0) * (self.right - self.left)
    }

    /// Position of a value.
    #[must_use]
    pub fn y(&self, value: f64) -> f64 {
        self.bottom - (value / self.scale.top).clamp(0.0, 1.0) * (self.bottom - self.top)
    }

    /// Frame, grid, value labels, title; labels of times only where `times` asks for them.
    pub fn axes<B: DrawingBackend>(&self, canvas: &Canvas<'_, B>, title: &str, times: bool) -> Result<(), ChartError> {
        let seconds = self.end.as_secs_f64();
        let step = time_step(seconds, TIME_LINES);
        let mut line = 0.0;
        while line * step <= seconds {
            let x = self.x(Time::from_secs_f64(line * step));
            canvas.line(&[(x, self.top), (x, self.bottom)], GRID, 1.0)?;
            if times {
                canvas.text(&time_label(line * step), (x, self.bottom + 14.0), SMALL, MUTED, Align::Center)?;
            }
            line += 1.0;
        }
        let lines = (self.scale.top / self.scale.step).round() as u32;
        for line in 0..=lines {
            let value = f64::from(line) * self.scale.step;
            let y = self.y(value);
            canvas.line(&[(self.left, y), (self.right, y)], GRID, 1.0)?;
            let label = value_label(value, self.scale.step);
            canvas.text(&label, (self.left - 8.0, y), SMALL, MUTED, Align::Right)?;
        }
        canvas.text(title, (self.left, self.top - 14.0), TITLE, INK, Align::Left)
    }

    /// The frame, drawn last so that nothing covers it.
    pub fn frame<B: DrawingBackend>(&self, canvas: &Canvas<'_, B>) -> Result<(), ChartError> {
        canvas.frame((self.left, self.top), (self.right, self.bottom), FRAME)
    }

    /// A line along a series whose values are multiplied by `unit`.
    pub fn line<B: DrawingBackend>(
        &self,
        canvas: &Canvas<'_, B>,
        series: &Series,
        unit: f64,
        color: RGBColor,
    ) -> Result<(), ChartError> {
        canvas.line(&self.path(series, unit), color, 2.0)
    }

    /// The area below a series.
    pub fn area<B: DrawingBackend>(
        &self,
        canvas: &Canvas<'_, B>,
        series: &Series,
        unit: f64,
        color: RGBColor,
        opacity: f64,
    ) -> Result<(), ChartError> {
        let mut points = self.path(series, unit);
        points.push((self.right, self.bottom));
        points.push((self.left, self.bottom));
        canvas.polygon(&points, color, opacity)
    }

    /// Several series on top of each other, the first one lowest.
    pub fn stack<B: DrawingBackend>(
        &self,
        canvas: &Canvas<'_, B>,
        layers: &[(&Series, RGBColor)],
        unit: f64,
    ) -> Result<(), ChartError> {
        let sums: Vec<Series> =
            (1..=layers.len()).map(|count| Series::sum(layers[..count].iter().map(|(series, _)| *series))).collect();
        // From the top down: each lower sum covers the part that is not the upper layer's own.
        for (sum, (_, color)) in sums.iter().zip(layers).rev() {
            self.area(canvas, sum, unit, *color, 1.0)?;
        }
        Ok(())
    }

    /// Points along a series: every change, or lowest and highest value of each unit of width when there are more.
    fn path(&self, series: &Series, unit: f64) -> Vec<(f64, f64)> {
        let width = (self.right - self.left) as usize;
        let mut value = 0.0;
        let mut points = Vec::new();
        if series.steps().len() <= width {
            points.push((self.left, self.y(0.0)));
            for &(at, next) in series.steps().iter().filter(|&&(at, _)| at <= self.end) {
                let x = self.x(at);
                points.push((x, self.y(value)));
                value = next as f64 * unit;
                points.push((x, self.y(value)));
            }
        } else {
            for bucket in series.envelope(self.end, width) {
                let x = self.x(bucket.start);
                let nearest_first = if value <= bucket.low as f64 * unit {
                    [bucket.low, bucket.high]
                } else {
                    [bucket.high, bucket.low]
                };
                points.extend(nearest_first.map(|value| (x, self.y(value as f64 * unit))));
                value = bucket.last as f64 * unit;
                points.push((x, self.y(value)));
            }
        }
        points.push((self.right, self.y(value)));
        points
    }

    /// The legend, to the right of the plot.
    pub fn legend<B: DrawingBackend>(
        &self,
        canvas: &Canvas<'_, B>,
        entries: &[Entry],
        width: f64,
    ) -> Result<(), ChartError> {
        let left = self.right + 24.0;
        for (row, entry) in entries.iter().enumerate() {
            let y = self.top + 10.0 + 20.0 * row as f64;
            match entry.swatch {
                Swatch::Area => {
                    canvas.rectangle((left, y - 6.0), (left + 18.0, y + 6.0), entry.color, 1.0)?;
                    canvas.frame((left, y - 6.0), (left + 18.0, y + 6.0), FRAME)?;
                }
                Swatch::Line => canvas.line(&[(left, y), (left + 18.0, y)], entry.color, 3.0)?,
            }
            let room = width - 26.0;
            let note = canvas.width(&entry.note, SMALL);
            let label = canvas.fitted(&entry.label, SMALL, room - note - 8.0);
            canvas.text(&label, (left + 26.0, y), SMALL, INK, Align::Left)?;
            canvas.text(&entry.note, (left + width, y), SMALL, MUTED, Align::Right)?;
        }
        Ok(())
    }
}
