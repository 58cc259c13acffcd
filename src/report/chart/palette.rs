//! Colors: the palette of Okabe and Ito, which readers with any color vision can tell apart, and greys.

use plotters::style::RGBColor;

use crate::telemetry::{Factor, MarkKind};

/// Text and lines.
pub const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
/// Secondary text.
pub const MUTED: RGBColor = RGBColor(0x66, 0x66, 0x66);
/// Grid.
pub const GRID: RGBColor = RGBColor(0xe6, 0xe6, 0xe6);
/// Frame of a plot.
pub const FRAME: RGBColor = RGBColor(0xb0, 0xb0, 0xb0);
/// Background of a band without a backlog.
pub const EMPTY: RGBColor = RGBColor(0xf4, 0xf4, 0xf4);
/// Orange.
pub const ORANGE: RGBColor = RGBColor(0xe6, 0x9f, 0x00);
/// Sky blue.
pub const SKY: RGBColor = RGBColor(0x56, 0xb4, 0xe9);
/// Bluish green.
pub const GREEN: RGBColor = RGBColor(0x00, 0x9e, 0x73);
/// Yellow.
pub const YELLOW: RGBColor = RGBColor(0xf0, 0xe4, 0x42);
/// Blue.
pub const BLUE: RGBColor = RGBColor(0x00, 0x72, 0xb2);
/// Vermillion.
pub const VERMILLION: RGBColor = RGBColor(0xd5, 0x5e, 0x00);
/// Reddish purple.
pub const PURPLE: RGBColor = RGBColor(0xcc, 0x79, 0xa7);
/// Grey.
pub const GREY: RGBColor = RGBColor(0x99, 0x99, 0x99);
/// Light grey.
pub const LIGHT: RGBColor = RGBColor(0xcc, 0xcc, 0xcc);

/// Colors of instance types, the most used first; what is left over is [`LIGHT`].
pub const TYPES: [RGBColor; 7] = [BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILLION, YELLOW];

/// Color of a factor in the blame band.
#[must_use]
pub const fn factor(factor: Factor) -> RGBColor {
    match factor {
        Factor::KedaPoll => YELLOW,
        Factor::HpaSync => SKY,
        Factor::HpaPolicy => BLUE,
        Factor::MaxReplicas => PURPLE,
        Factor::Scheduler => RGBColor(0x7a, 0x5c, 0x3e),
        Factor::KarpenterBatch => RGBColor(0xff, 0xd0, 0x8a),
        Factor::NodePoolLimit => VERMILLION,
        Factor::NoCapacity => INK,
        Factor::NodeBoot => ORANGE,
        Factor::PodStart => GREEN,
        Factor::VisibilityTimeout => RGBColor(0x77, 0x77, 0x77),
        Factor::FifoGroup => RGBColor(0x8a, 0x2b, 0x5f),
        Factor::ConsumersSaturated => RGBColor(0xc4, 0xcf, 0xda),
    }
}

/// Color of a mark.
#[must_use]
pub const fn mark(kind: MarkKind) -> RGBColor {
    match kind {
        MarkKind::Limit => PURPLE,
        MarkKind::Interruption => VERMILLION,
        MarkKind::LaunchFailed | MarkKind::Scenario => INK,
        MarkKind::Disruption => BLUE,
    }
}
