//! What a search chooses from: values of settings, the present one of each among them.

use crate::api::tree::Node;
use crate::scenario::axes::Axis;
use crate::scenario::document::Document;

use super::effects::number;
use super::plan::value_text;

/// The settings of a search and their values. A point holds the index of a value for each.
#[derive(Clone, Debug)]
pub struct Space {
    /// Settings, with the values to try.
    pub axes: Vec<Axis>,
    /// Values of each setting; `None` = nothing is written, the default holds.
    values: Vec<Vec<Option<Node>>>,
    /// The point of the scenario as it is.
    pub present: Vec<usize>,
}

impl Space {
    /// The values of some axes, and the present value of each where it is not among them.
    ///
    /// # Errors
    /// When a path names no setting.
    pub fn new(axes: Vec<Axis>, document: &Document) -> Result<Space, String> {
        let mut values: Vec<Vec<Option<Node>>> = Vec::new();
        let mut present = Vec::new();
        for axis in &axes {
            let found = document.get(&axis.path).map_err(|error| format!("{}: {}", axis.path, error.message))?.cloned();
            let mut all: Vec<Option<Node>> = axis.values.iter().cloned().map(Some).collect();
            let text = |value: &Option<Node>| value.as_ref().map(value_text);
            let known = all.iter().position(|value| text(value) == text(&found));
            present.push(known.unwrap_or_else(|| {
                let at = place(&axis.values, found.as_ref());
                all.insert(at, found);
                at
            }));
            values.push(all);
        }
        Ok(Space { axes, values, present })
    }

    /// Number of values of each setting.
    #[must_use]
    pub fn lengths(&self) -> Vec<usize> {
        self.values.iter().map(Vec::len).collect()
    }

    /// A value for people.
    #[must_use]
    pub fn label(&self, axis: usize, value: usize) -> String {
        self.values[axis][value].as_ref().map_or_else(|| "(default)".to_owned(), value_text)
    }

    /// The values of a point for people.
    #[must_use]
    pub fn labels(&self, point: &[usize]) -> Vec<String> {
        point.iter().enumerate().map(|(axis, value)| self.label(axis, *value)).collect()
    }

    /// What has to be written for a point: paths and values.
    #[must_use]
    pub fn settings(&self, point: &[usize]) -> Vec<(String, Node)> {
        let written =
            |(axis, value): (usize, &usize)| Some((self.axes[axis].path.clone(), self.values[axis][*value].clone()?));
        point.iter().enumerate().filter_map(written).collect()
    }

    /// What a point changes of the present settings: paths and values.
    #[must_use]
    pub fn changes(&self, point: &[usize]) -> Vec<(String, Node)> {
        let changed = point.iter().enumerate().filter(|(axis, value)| self.present[*axis] != **value);
        changed
            .filter_map(|(axis, value)| Some((self.axes[axis].path.clone(), self.values[axis][*value].clone()?)))
            .collect()
    }
}

/// Where a value belongs among numbers in order; at the end of all else.
fn place(values: &[Node], value: Option<&Node>) -> usize {
    let numbers: Option<Vec<f64>> = values.iter().map(number).collect();
    match (numbers, value.and_then(number)) {
        (Some(numbers), Some(number)) => numbers.partition_point(|other| *other < number),
        _ => values.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::decode::Problems;
    use crate::scenario::axes::parse_axis;
    use crate::scenario::files::Files;

    #[test]
    fn the_present_value_is_one_of_those_to_choose_from() -> Result<(), String> {
        let toml =
            "[[queues]]\nname = \"q\"\nvisibilityTimeout = \"60s\"\n[[consumers]]\nqueue = \"q\"\nbatchSize = 5\n";
        let mut files = Files::in_memory([("s.toml".to_owned(), toml.to_owned())].into_iter().collect());
        let file = files.read("s.toml").map_err(|error| error.to_string())?;
        let document = Document::read(files, file, &mut Problems::default());
        let axes = ["consumers.q.batchSize=1,10", "queues.q.visibilityTimeout=30s,60s", "queues.q.retention=1d,4d"];
        let axes = axes.into_iter().map(parse_axis).collect::<Result<Vec<_>, _>>();
        let axes = axes.map(|mut axes| {
            axes[0].path = "consumers[0].batchSize".to_owned();
            axes
        })?;
        let space = Space::new(axes, &document)?;
        assert_eq!((space.lengths(), &space.present), (vec![3, 2, 3], &vec![1, 1, 2]));
        assert_eq!(space.labels(&space.present), ["5", "60s", "(default)"]);
        assert_eq!(space.settings(&space.present).len(), 2);
        assert_eq!(space.changes(&space.present), []);
        let changes = space.changes(&[2, 1, 0]);
        let texts: Vec<String> = changes.iter().map(|(path, value)| format!("{path}={}", value_text(value))).collect();
        assert_eq!(texts, ["consumers[0].batchSize=10", "queues.q.retention=1d"]);
        Ok(())
    }
}
