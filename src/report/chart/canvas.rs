//! The drawing surface: pixels, texts and shapes, the same for SVG and PNG.

use std::sync::Once;

use plotters::backend::DrawingBackend;
use plotters::coord::Shift;
use plotters::drawing::DrawingArea;
use plotters::element::{Circle, PathElement, Polygon, Rectangle, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontDesc, FontFamily, FontStyle, IntoTextStyle, RGBColor, register_font};

/// Font families in order of preference; the bundled font is drawn into PNGs, SVG viewers look for the first they have.
const FAMILY: &str = "DejaVu Sans, Verdana, sans-serif";

/// Failure of a drawing, as text: file systems and encoders fail in too many ways to tell apart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot draw the chart: {0}")]
pub struct ChartError(pub String);

/// Where a text stands relative to its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// To the right of the point.
    Left,
    /// Around it.
    Center,
    /// To the left of it.
    Right,
}

/// A surface in pixels, with all its lengths multiplied by a scale.
pub struct Canvas<'a, B: DrawingBackend> {
    area: &'a DrawingArea<B, Shift>,
    scale: f64,
}

impl<'a, B: DrawingBackend> Canvas<'a, B> {
    /// A surface on which one unit is `scale` pixels.
    pub fn new(area: &'a DrawingArea<B, Shift>, scale: f64) -> Self {
        static FONT: Once = Once::new();
        FONT.call_once(|| {
            let bytes = include_bytes!("../../../assets/fonts/DejaVuSans.ttf");
            assert!(register_font(FAMILY, FontStyle::Normal, bytes).is_ok(), "the bundled font is a font");
        });
        Canvas { area, scale }
    }

    fn pixel(&self, (x, y): (f64, f64)) -> (i32, i32) {
        ((x * self.scale).round() as i32, (y * self.scale).round() as i32)
    }

    fn done<E: std::fmt::Debug>(result: Result<(), E>) -> Result<(), ChartError> {
        result.map_err(|error| ChartError(format!("{error:?}")))
    }

    /// Fills everything.
    pub fn clear(&self, color: RGBColor) -> Result<(), ChartError> {
        Self::done(self.area.fill(&color))
    }

    /// A text of `size`, vertically centered on the point.
    pub fn text(&self, text: &str, at: (f64, f64), size: f64, color: RGBColor, align: Align) -> Result<(), ChartError> {
        let horizontal = match align {
            Align::Left => HPos::Left,
            Align::Center => HPos::Center,
            Align::Right => HPos::Right,
        };
        let style = self.font(size).into_text_style(self.area).color(&color).pos(Pos::new(horizontal, VPos::Center));
        Self::done(self.area.draw(&Text::new(text.to_owned(), self.pixel(at), style)))
    }

    fn font(&self, size: f64) -> FontDesc<'static> {
        FontDesc::new(FontFamily::Name(FAMILY), size * self.scale, FontStyle::Normal)
    }

    /// Width of a text in units.
    pub fn width(&self, text: &str, size: f64) -> f64 {
        self.font(size).box_size(text).map_or(0.0, |(width, _)| f64::from(width) / self.scale)
    }

    /// The text cut to a width, with an ellipsis where it was cut.
    pub fn fitted(&self, text: &str, size: f64, width: f64) -> String {
        if self.width(text, size) <= width {
            return text.to_owned();
        }
        let room = width - self.width("…", size);
        let mut shown = text.to_owned();
        while !shown.is_empty() && self.width(&shown, size) > room {
            shown.pop();
        }
        format!("{}…", shown.trim_end())
    }

    /// A filled rectangle from one corner to the opposite one.
    pub fn rectangle(&self, from: (f64, f64), to: (f64, f64), color: RGBColor, opacity: f64) -> Result<(), ChartError> {
        let (from, mut to) = (self.pixel(from), self.pixel(to));
        // At least a pixel: short things do not vanish.
        to.0 = to.0.max(from.0 + 1);
        Self::done(self.area.draw(&Rectangle::new([from, to], color.mix(opacity).filled())))
    }

    /// The outline of a rectangle.
    pub fn frame(&self, from: (f64, f64), to: (f64, f64), color: RGBColor) -> Result<(), ChartError> {
        Self::done(self.area.draw(&Rectangle::new([self.pixel(from), self.pixel(to)], color.stroke_width(1))))
    }

    /// A filled polygon.
    pub fn polygon(&self, points: &[(f64, f64)], color: RGBColor, opacity: f64) -> Result<(), ChartError> {
        let points: Vec<_> = points.iter().map(|&point| self.pixel(point)).collect();
        Self::done(self.area.draw(&Polygon::new(points, color.mix(opacity).filled())))
    }

    /// A line through points.
    pub fn line(&self, points: &[(f64, f64)], color: RGBColor, width: f64) -> Result<(), ChartError> {
        let mut points: Vec<_> = points.iter().map(|&point| self.pixel(point)).collect();
        points.dedup();
        let width = (width * self.scale).round().max(1.0) as u32;
        Self::done(self.area.draw(&PathElement::new(points, color.stroke_width(width))))
    }

    /// A filled dot.
    pub fn dot(&self, at: (f64, f64), radius: f64, color: RGBColor) -> Result<(), ChartError> {
        Self::done(self.area.draw(&Circle::new(self.pixel(at), (radius * self.scale).round() as i32, color.filled())))
    }

    /// A dashed vertical line.
    pub fn dashes(&self, x: f64, top: f64, bottom: f64, color: RGBColor) -> Result<(), ChartError> {
        let mut y = top;
        while y < bottom {
            self.line(&[(x, y), (x, (y + 4.0).min(bottom))], color, 1.0)?;
            y += 8.0;
        }
        Ok(())
    }
}
