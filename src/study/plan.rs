//! What a sweep runs: points, replications, and the part of them that is one shard's.

use crate::api::decode::Problems;
use crate::api::tree::{Node, Value};
use crate::scenario::axes::Axis;
use crate::scenario::document::Document;
use crate::scenario::load::{self, Loaded};
use crate::scenario::path::PathError;
use crate::scenario::validate::KnownByRegion;

use super::design::{Design, DesignError, points};

/// The points of a sweep.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Settings that vary.
    pub axes: Vec<Axis>,
    /// Each point as indices into the axes' values.
    pub points: Vec<Vec<usize>>,
    /// Runs of each point; replication r has the same randomness at all points.
    pub replications: u32,
}

/// One run of a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Job {
    /// Number of the point, from 0.
    pub point: usize,
    /// Number of the replication, from 0.
    pub replication: u32,
}

/// Part `index` of `count` equal parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// From 0.
    pub index: usize,
    /// At least 1.
    pub count: usize,
}

impl Shard {
    /// Everything.
    pub const WHOLE: Shard = Shard { index: 0, count: 1 };

    /// `I/N`.
    ///
    /// # Errors
    /// When the text is not of that form, or I is not below N.
    pub fn parse(text: &str) -> Result<Shard, String> {
        let parts = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        match parts {
            Some((index, count)) if index < count => Ok(Shard { index, count }),
            _ => Err(format!("`{text}` is no shard: write I/N with I from 0 to N-1, such as 0/4")),
        }
    }

    /// Whether a point is in this part.
    #[must_use]
    pub const fn has(self, point: usize) -> bool {
        point % self.count == self.index
    }
}

impl Plan {
    /// The plan for some axes.
    ///
    /// # Errors
    /// When the axes do not suit the design.
    pub fn new(axes: Vec<Axis>, design: Design, replications: u32, seed: u64) -> Result<Plan, DesignError> {
        let lengths: Vec<usize> = axes.iter().map(|axis| axis.values.len()).collect();
        Ok(Plan { points: points(design, &lengths, seed)?, axes, replications })
    }

    /// The runs of one shard, in order.
    #[must_use]
    pub fn jobs(&self, shard: Shard) -> Vec<Job> {
        let replications = self.replications;
        (0..self.points.len())
            .filter(|point| shard.has(*point))
            .flat_map(|point| (0..replications).map(move |replication| Job { point, replication }))
            .collect()
    }

    /// The values of a point as texts, one per axis.
    #[must_use]
    pub fn labels(&self, point: usize) -> Vec<String> {
        self.axes.iter().zip(&self.points[point]).map(|(axis, index)| value_text(&axis.values[*index])).collect()
    }

    /// The scenario's document with the settings of a point.
    ///
    /// # Errors
    /// When an axis names no setting.
    pub fn document(&self, base: &Document, point: usize) -> Result<Document, PathError> {
        let mut document = base.clone();
        for (axis, index) in self.axes.iter().zip(&self.points[point]) {
            document.set(&axis.path, axis.values[*index].clone())?;
        }
        Ok(document)
    }

    /// The scenarios of all points of a shard, checked before anything runs.
    ///
    /// # Errors
    /// What is wrong with the first point that cannot run.
    pub fn scenarios(
        &self,
        base: &Document,
        shard: Shard,
        known: Option<KnownByRegion<'_>>,
    ) -> Result<Vec<(usize, Box<Loaded>)>, String> {
        let numbered = (0..self.points.len()).filter(|point| shard.has(*point));
        numbered
            .map(|point| {
                let shown = || self.axes.iter().zip(self.labels(point)).map(|(a, v)| format!("{} = {v}", a.path));
                let named = |message: String| format!("{}\n{message}", shown().collect::<Vec<_>>().join(", "));
                let document = self.document(base, point).map_err(|error| named(path_error(&error)))?;
                let loaded = load::finish(document, known, Problems::default());
                loaded.map(|loaded| (point, loaded)).map_err(|invalid| named(invalid.to_string()))
            })
            .collect()
    }
}

fn path_error(error: &PathError) -> String {
    match &error.help {
        Some(help) => format!("{}: {help}", error.message),
        None => error.message.clone(),
    }
}

/// A value as it would be written on a command line.
#[must_use]
pub fn value_text(node: &Node) -> String {
    match &node.value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::Str(text) => text.clone(),
        Value::List(items) => format!("[{}]", items.iter().map(value_text).collect::<Vec<_>>().join(" ")),
        Value::Map(entries) => {
            let fields: Vec<String> = entries.iter().map(|(k, v)| format!("{}={}", k.name, value_text(v))).collect();
            format!("{{{}}}", fields.join(" "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_part_the_points() {
        let plan = Plan { axes: Vec::new(), points: vec![Vec::new(); 7], replications: 2 };
        let mut all: Vec<Job> = (0..3).flat_map(|index| plan.jobs(Shard { index, count: 3 })).collect();
        all.sort_unstable();
        assert_eq!(all, plan.jobs(Shard::WHOLE));
        assert_eq!(Shard::parse("1/3"), Ok(Shard { index: 1, count: 3 }));
        assert!(Shard::parse("3/3").is_err() && Shard::parse("x").is_err() && Shard::parse("1/0").is_err());
    }
}
