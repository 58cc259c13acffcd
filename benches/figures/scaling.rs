//! How cost grows with the work: figures, a table and a picture of them.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use forescale::cluster::catalogue::Catalogue;
use forescale::report::chart::{Align, Canvas, ChartError, Drawing, document};
use plotters::backend::DrawingBackend;
use plotters::style::RGBColor;

use super::control_plane::{place, provision};
use super::provisioning::whole_catalogue;
use super::queue::{assert_about, queue_of, run};
use super::runs::{PEAK_OF_MESSAGES, peak_of_a_process};
use super::{Figures, Goal, fastest};

const FOLDER: &str = "output/scaling";

/// A cost over what it is for.
struct Curve {
    /// Begins the names of its figures.
    name: &'static str,
    title: &'static str,
    over: &'static str,
    unit: &'static str,
    points: Vec<(u64, f64)>,
}

/// Prints the figures; if all of them were asked for, writes them and their picture too.
pub fn print(figures: &Figures) {
    let curves =
        [messages(figures), memory(figures), consumers(figures), pods(figures), types(figures), nodes(figures)];
    if curves.iter().all(|curve| curve.points.len() > 1) {
        write(&curves).unwrap_or_else(|error| panic!("{FOLDER}: {error}"));
    }
}

impl Curve {
    fn of(name: &'static str, title: &'static str, over: &'static str, unit: &'static str) -> Curve {
        Curve { name, title, over, unit, points: Vec::new() }
    }

    fn measure(mut self, figures: &Figures, sizes: &[u64], goal: f64, measure: impl Fn(u64) -> f64) -> Curve {
        for &size in sizes {
            let name = format!("{}_{size}", self.name);
            let value = figures.print(&name, self.unit, Goal::AtMost(goal), || measure(size));
            self.points.extend(value.map(|value| (size, value)));
        }
        self
    }
}

fn messages(figures: &Figures) -> Curve {
    let curve = Curve::of("growth_messages", "A run of M/M/10", "messages", "ns/message");
    curve.measure(figures, &[100_000, 1_000_000, 10_000_000, 100_000_000], 400.0, |count| {
        per_message(10, count, if count < 1_000_000 { 5 } else { 1 })
    })
}

fn memory(figures: &Figures) -> Curve {
    let curve = Curve::of("growth_memory_messages", "Memory of a run of M/M/10", "messages", "MB");
    curve.measure(figures, &[100_000, 1_000_000, 10_000_000, 100_000_000], 100.0, |count| {
        peak_of_a_process(PEAK_OF_MESSAGES, count) / 1e6
    })
}

fn consumers(figures: &Figures) -> Curve {
    let curve = Curve::of("growth_consumers", "A run of M/M/c", "consumers", "ns/message");
    curve.measure(figures, &[1, 10, 100, 1000, 10_000], 1000.0, |count| {
        // Long enough for the start of 10,000 pods, of which so many a second are made, to count little.
        per_message(count as u32, if count < 10_000 { 2_000_000 } else { 20_000_000 }, 1)
    })
}

fn per_message(servers: u32, messages: u64, repetitions: usize) -> f64 {
    let scenario = queue_of(servers, messages, "");
    fastest(repetitions, || assert_about(&run(&scenario), messages)) * 1e9 / messages as f64
}

fn pods(figures: &Figures) -> Curve {
    let catalogue = Arc::new(whole_catalogue());
    let curve = Curve::of("growth_pods", "A provisioning pass, pods of one shape", "pending pods", "ms");
    curve.measure(figures, &[10, 100, 1000, 20_000], 100.0, |pods| provision(&catalogue, pods as usize, 1))
}

fn types(figures: &Figures) -> Curve {
    let catalogue = whole_catalogue();
    let title = "A provisioning pass, 1,000 pods of 20 shapes";
    let curve = Curve::of("growth_instance_types", title, "instance types", "ms");
    curve.measure(figures, &[10, 100, 400, 1300], 50.0, |types| {
        let part = catalogue.types.iter().rev().take(types as usize).cloned().collect();
        provision(
            &Arc::new(Catalogue { zones: catalogue.zones.clone(), types: part, ..Catalogue::default() }),
            1000,
            20,
        )
    })
}

fn nodes(figures: &Figures) -> Curve {
    let curve = Curve::of("growth_nodes", "kube-scheduler, 7,064 pods", "nodes", "ms");
    curve.measure(figures, &[10, 100, 1000, 2000], 200.0, |nodes| place(7064, nodes as usize))
}

fn write(curves: &[Curve]) -> Result<(), Box<dyn std::error::Error>> {
    std::fs::create_dir_all(FOLDER)?;
    let mut table = "figure,size,value,unit\n".to_owned();
    for curve in curves {
        for (size, value) in &curve.points {
            writeln!(table, "{},{size},{value:.3},{}", curve.name, curve.unit)?;
        }
    }
    std::fs::write(Path::new(FOLDER).join("scaling.csv"), table)?;
    std::fs::write(Path::new(FOLDER).join("scaling.svg"), document(&Panels { curves })?)?;
    Ok(())
}

/// A panel for each curve, three in a row.
struct Panels<'a> {
    curves: &'a [Curve],
}

const COLUMNS: usize = 3;
const PANEL: (f64, f64) = (360.0, 250.0);
const TEXT: f64 = 12.0;
const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
const MUTED: RGBColor = RGBColor(0x66, 0x66, 0x66);
const GRID: RGBColor = RGBColor(0xe6, 0xe6, 0xe6);
const BLUE: RGBColor = RGBColor(0x00, 0x72, 0xb2);

impl Drawing for Panels<'_> {
    fn size(&self) -> (f64, f64) {
        (PANEL.0 * COLUMNS as f64, PANEL.1 * self.curves.len().div_ceil(COLUMNS) as f64)
    }

    fn draw<B: DrawingBackend>(&self, canvas: &Canvas<'_, B>) -> Result<(), ChartError> {
        for (index, curve) in self.curves.iter().enumerate() {
            let corner = ((index % COLUMNS) as f64 * PANEL.0, (index / COLUMNS) as f64 * PANEL.1);
            curve.draw(canvas, corner)?;
        }
        Ok(())
    }
}

impl Curve {
    /// Both axes by powers of ten, the one of cost with at least two of them, so that what is flat looks flat.
    fn draw<B: DrawingBackend>(&self, canvas: &Canvas<'_, B>, corner: (f64, f64)) -> Result<(), ChartError> {
        let (left, right) = (corner.0 + 62.0, corner.0 + PANEL.0 - 22.0);
        let (top, bottom) = (corner.1 + 34.0, corner.1 + PANEL.1 - 46.0);
        let (low, high) = decades(self.points.iter().map(|point| point.0 as f64), 1);
        let (least, most) = decades(self.points.iter().map(|point| point.1), 2);
        let x = |size: f64| left + (size.log10() - f64::from(low)) / f64::from(high - low) * (right - left);
        let y = |value: f64| bottom - (value.log10() - f64::from(least)) / f64::from(most - least) * (bottom - top);
        let title = format!("{}, {}", self.title, self.unit);
        canvas.text(&title, (left - 30.0, corner.1 + 16.0), TEXT + 1.0, INK, Align::Left)?;
        for power in low..=high {
            let at = x(10_f64.powi(power));
            canvas.line(&[(at, top), (at, bottom)], GRID, 1.0)?;
            canvas.text(&power_of_ten(power), (at, bottom + 12.0), TEXT, MUTED, Align::Center)?;
        }
        for power in least..=most {
            let at = y(10_f64.powi(power));
            canvas.line(&[(left, at), (right, at)], GRID, 1.0)?;
            canvas.text(&power_of_ten(power), (left - 6.0, at), TEXT, MUTED, Align::Right)?;
        }
        canvas.text(self.over, (f64::midpoint(left, right), bottom + 30.0), TEXT, INK, Align::Center)?;
        let places: Vec<(f64, f64)> = self.points.iter().map(|&(size, value)| (x(size as f64), y(value))).collect();
        canvas.line(&places, BLUE, 2.0)?;
        for (index, (place, (_, value))) in places.iter().zip(&self.points).enumerate() {
            canvas.dot(*place, 3.5, BLUE)?;
            let label = short(*value);
            // The first stands right of its point, above where the line leads; the others stand left of theirs.
            let (side, at, line) = match places.get(1) {
                Some(next) if index == 0 => {
                    let end = 4.0 + label.len() as f64 * TEXT * 0.6;
                    let rise = (next.1 - place.1) / (next.0 - place.0) * end;
                    (Align::Left, place.0 + 4.0, place.1 + rise.min(0.0))
                }
                _ => (Align::Right, place.0 + 6.0, place.1),
            };
            canvas.text(&label, (at, line - 13.0), TEXT, INK, side)?;
        }
        Ok(())
    }
}

/// The powers of ten around values, at least `least` of them apart.
fn decades(values: impl Iterator<Item = f64> + Clone, least: i32) -> (i32, i32) {
    let low = values.clone().fold(f64::INFINITY, f64::min).log10().floor() as i32;
    let high = values.fold(0.0, f64::max).log10().ceil() as i32;
    (low, high.max(low + least))
}

fn power_of_ten(power: i32) -> String {
    match power {
        ..0 => format!("{}", 10_f64.powi(power)),
        0..3 => 10_i32.pow(power.unsigned_abs()).to_string(),
        3..6 => format!("{}k", 10_i32.pow(power.unsigned_abs() - 3)),
        _ => format!("{}M", 10_i32.pow(power.unsigned_abs() - 6)),
    }
}

/// Three digits.
fn short(value: f64) -> String {
    let digits = (2 - value.abs().log10().floor() as i32).clamp(0, 3) as usize;
    format!("{value:.digits$}")
}
