//! What a sweep runs: points, replications, and the part of them that is one shard's.

use std::collections::BTreeMap;

use rayon::prelude::*;

use crate::api::decode::Problems;
use crate::api::tree::{Node, Value};
use crate::engine::stream::fnv1a;
use crate::scenario::Scenario;
use crate::scenario::axes::Axis;
use crate::scenario::document::Document;
use crate::scenario::load;
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

    /// The part that the environment of a batch job names: index from `JOB_COMPLETION_INDEX` (Kubernetes),
    /// `AWS_BATCH_JOB_ARRAY_INDEX` or `SLURM_ARRAY_TASK_ID`; the number of parts too where the environment knows it
    /// (`AWS_BATCH_JOB_ARRAY_SIZE`, `SLURM_ARRAY_TASK_COUNT`) and `count` does not say it.
    ///
    /// # Errors
    /// When the environment names no part, or not how many there are.
    pub fn from_environment(count: Option<usize>, variable: impl Fn(&str) -> Option<String>) -> Result<Shard, String> {
        let number = |name: &str| variable(name).and_then(|text| text.trim().parse::<usize>().ok());
        // Tasks of Slurm may begin at any number and go up in steps.
        let slurm = number("SLURM_ARRAY_TASK_ID").map(|task| {
            let first = number("SLURM_ARRAY_TASK_MIN").unwrap_or(0);
            task.saturating_sub(first) / number("SLURM_ARRAY_TASK_STEP").unwrap_or(1).max(1)
        });
        let index = number("JOB_COMPLETION_INDEX").or_else(|| number("AWS_BATCH_JOB_ARRAY_INDEX")).or(slurm).ok_or(
            "no shard in the environment: none of JOB_COMPLETION_INDEX, AWS_BATCH_JOB_ARRAY_INDEX and SLURM_ARRAY_TASK_ID is a number",
        )?;
        let known = || number("AWS_BATCH_JOB_ARRAY_SIZE").or_else(|| number("SLURM_ARRAY_TASK_COUNT"));
        let count =
            count.or_else(known).ok_or("the environment does not say how many shards there are: write auto/N")?;
        if index >= count {
            return Err(format!("the environment names shard {index}, but there are only {count} (from 0)"));
        }
        Ok(Shard { index, count })
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

    /// What makes two sweeps the same: everything but the texts of axes and the number of replications, which `points.csv`
    /// shows itself. A sweep is only continued and merged with what was run under the same fingerprint.
    #[must_use]
    pub fn fingerprint(&self, base: &Document) -> String {
        let mut text = format!("{} {:?}\n", env!("CARGO_PKG_VERSION"), self.points);
        let unread = ["sweep", "tune", "objectives"];
        let sections = base.root().entries().unwrap_or_default();
        for (key, value) in sections.iter().filter(|(key, _)| !unread.contains(&key.name.as_str())) {
            text.push_str(&format!("{} = {}\n", key.name, value_text(value)));
        }
        let is_tree = |path: &str| [".toml", ".yaml", ".yml"].iter().any(|ending| path.ends_with(ending));
        for file in base.files().list().iter().filter(|file| !file.path.is_empty() && !is_tree(&file.path)) {
            text.push_str(&format!("{} {}\n", file.path, file.text));
        }
        format!("{:016x}", fnv1a([&text]))
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
    ) -> Result<BTreeMap<usize, Scenario>, String> {
        let numbered: Vec<usize> = (0..self.points.len()).filter(|point| shard.has(*point)).collect();
        numbered
            .into_par_iter()
            .map(|point| {
                let shown = || self.axes.iter().zip(self.labels(point)).map(|(a, v)| format!("{} = {v}", a.path));
                let named = |message: String| format!("{}\n{message}", shown().collect::<Vec<_>>().join(", "));
                let document = self.document(base, point).map_err(|error| named(path_error(&error)))?;
                let loaded = load::finish(document, known, Problems::default());
                loaded.map(|loaded| (point, loaded.scenario)).map_err(|invalid| named(invalid.to_string()))
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
        let environment = |pairs: &'static [(&'static str, &'static str)]| {
            move |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        let kubernetes = environment(&[("JOB_COMPLETION_INDEX", "2")]);
        assert_eq!(Shard::from_environment(Some(4), kubernetes), Ok(Shard { index: 2, count: 4 }));
        assert!(
            Shard::from_environment(None, kubernetes).is_err() && Shard::from_environment(Some(2), kubernetes).is_err()
        );
        let batch = environment(&[("AWS_BATCH_JOB_ARRAY_INDEX", "3"), ("AWS_BATCH_JOB_ARRAY_SIZE", "8")]);
        assert_eq!(Shard::from_environment(None, batch), Ok(Shard { index: 3, count: 8 }));
        let slurm = environment(&[
            ("SLURM_ARRAY_TASK_ID", "5"),
            ("SLURM_ARRAY_TASK_MIN", "1"),
            ("SLURM_ARRAY_TASK_STEP", "2"),
            ("SLURM_ARRAY_TASK_COUNT", "3"),
        ]);
        assert_eq!(Shard::from_environment(None, slurm), Ok(Shard { index: 2, count: 3 }));
        assert!(Shard::from_environment(Some(1), environment(&[])).is_err());
        assert!(Shard::parse("3/3").is_err() && Shard::parse("x").is_err() && Shard::parse("1/0").is_err());
    }
}
