//! Many runs over one time axis: queue, pods, nodes and cost of one scenario, or of several on top of each other. How runs are summed
//! up depends on how many there are: percentiles of a few runs would mean nothing.

use plotters::backend::DrawingBackend;

use crate::study::profile::{Band, Curve, Profile, bands as of_runs};
use crate::time::{Duration, Time};

use super::Drawing;
use super::axis::{self};
use super::canvas::{Align, Canvas, ChartError};
use super::graph::{CURVES, SMALL};
use super::palette::{INK, MUTED};
use super::panel::Plot;

const WIDTH: f64 = 1240.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 1200.0;
const HEADER: f64 = 96.0;
const HEIGHT: f64 = 190.0;
const ROW: f64 = HEIGHT + 62.0;

/// Fewest runs whose median is shown.
const MEDIAN: usize = 3;
/// Fewest runs whose 10th and 90th percentiles are shown.
const PERCENTILES: usize = 10;

/// Runs of one or more scenarios.
pub struct Bands<'a> {
    /// What it is about.
    pub title: String,
    /// Name and runs of each scenario.
    pub scenarios: Vec<(&'a str, &'a [Profile])>,
    /// Length of the runs.
    pub length: Duration,
}

impl Drawing for Bands<'_> {
    fn size(&self) -> (f64, f64) {
        (WIDTH, HEADER + 36.0 + ROW * Curve::ALL.len() as f64)
    }

    fn draw<B: DrawingBackend>(&self, canvas: &Canvas<'_, B>) -> Result<(), ChartError> {
        canvas.text(&canvas.fitted(&self.title, 20.0, RIGHT - LEFT), (LEFT, 24.0), 20.0, INK, Align::Left)?;
        let what = match (self.runs(), self.scenarios.len()) {
            (..MEDIAN, _) => "Each line is a run",
            (..PERCENTILES, _) => "Over all runs, at each instant: line: median · band: smallest to largest",
            (_, 1) => {
                "Over all runs, at each instant: line: median · dark band: 10th to 90th percentile · light band: smallest to largest"
            }
            _ => "Over all runs, at each instant: lines: medians · bands: 10th to 90th percentile",
        };
        canvas.text(what, (LEFT, 48.0), SMALL, MUTED, Align::Left)?;
        let mut x = LEFT;
        for (number, (name, _)) in self.scenarios.iter().enumerate() {
            let name = canvas.fitted(name, SMALL, 240.0);
            canvas.line(&[(x, 70.0), (x + 20.0, 70.0)], CURVES[number % CURVES.len()], 3.0)?;
            canvas.text(&name, (x + 26.0, 70.0), SMALL, INK, Align::Left)?;
            x += canvas.width(&name, SMALL) + 56.0;
        }
        for (row, curve) in Curve::ALL.into_iter().enumerate() {
            self.panel(canvas, curve, HEADER + 26.0 + ROW * row as f64)?;
        }
        let below = ((LEFT + RIGHT) / 2.0, HEADER + 8.0 + ROW * Curve::ALL.len() as f64);
        canvas.text("Time since the start of the run", below, SMALL, MUTED, Align::Center)
    }
}

impl Bands<'_> {
    /// Runs of the scenario that has fewest.
    fn runs(&self) -> usize {
        self.scenarios.iter().map(|(_, profiles)| profiles.len()).min().unwrap_or(0)
    }

    fn panel<B: DrawingBackend>(&self, canvas: &Canvas<'_, B>, curve: Curve, top: f64) -> Result<(), ChartError> {
        let all: Vec<Vec<Band>> =
            self.scenarios.iter().map(|(_, profiles)| of_runs(profiles, curve, self.length)).collect();
        let (runs, alone) = (self.runs(), all.len() == 1);
        // Of a few runs all are within the band, of many of one scenario too.
        let highest = if alone || runs < PERCENTILES { 4 } else { 3 };
        let most = all.iter().flatten().map(|band| band.levels[highest]).fold(0.0, f64::max);
        let (title, whole) = match curve {
            Curve::Queue => ("Visible messages", true),
            Curve::Pods => ("Pods", true),
            Curve::Nodes => ("Nodes", true),
            Curve::CostRate => ("Cost of instances: USD per hour", false),
        };
        let scale = axis::values(most, 4, whole);
        let end = Time::ZERO + self.length;
        let plot = Plot { left: LEFT, right: RIGHT, top, bottom: top + HEIGHT, end, scale };
        plot.axes(canvas, title, true)?;
        for (number, bands) in all.iter().enumerate() {
            let color = CURVES[number % CURVES.len()];
            let between = |low: usize, high: usize| -> Vec<(f64, f64)> {
                let edge = |level: usize| move |band: &Band| (plot.x(band.at), plot.y(band.levels[level]));
                bands.iter().map(edge(high)).chain(bands.iter().rev().map(edge(low))).collect()
            };
            if highest == 4 && runs >= MEDIAN {
                canvas.polygon(&between(0, 4), color, 0.15)?;
            }
            if runs >= PERCENTILES {
                canvas.polygon(&between(1, 3), color, 0.25)?;
            }
        }
        for (number, bands) in all.iter().enumerate() {
            let middle = |bands: &[Band]| -> Vec<(f64, f64)> {
                bands.iter().map(|band| (plot.x(band.at), plot.y(band.levels[2]))).collect()
            };
            let color = CURVES[number % CURVES.len()];
            if runs >= MEDIAN {
                canvas.line(&middle(bands), color, 2.0)?;
                continue;
            }
            for run in self.scenarios[number].1 {
                canvas.line(&middle(&of_runs(std::slice::from_ref(run), curve, self.length)), color, 1.5)?;
            }
        }
        plot.frame(canvas)
    }
}
