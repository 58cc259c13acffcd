//! Asks the sources of triggers for their state.

use jiff::Timestamp;

use super::scaler::series::CloudWatch;
use super::scaler::{Partition, QueueCounts, Scaler, Source};
use super::state::{QueryError, QueryResult};
use crate::cluster::{QueueId, ScaledJobId, ScaledObjectId, World};
use crate::scenario::series::SeriesSpec;
use crate::time::Time;

/// The object whose trigger is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// A ScaledObject.
    ScaledObject(ScaledObjectId),
    /// A ScaledJob.
    ScaledJob(ScaledJobId),
}

/// One query of a trigger, the `index`-th of its object.
pub fn query(world: &mut World<'_>, asker: Asker, index: usize, scaler: &Scaler) -> QueryResult {
    let source = match scaler {
        Scaler::Sqs(sqs) => queue(world, &sqs.queue),
        Scaler::Cron(_) => clock(world),
        Scaler::Series(scaler) => {
            Ok(Source::Series(series(world, asker, index).and_then(|series| match &scaler.cloud_watch {
                Some(window) => datapoint(world, series, window),
                None => series.known_at(world.now),
            })))
        }
        Scaler::Kafka(_) => series(world, asker, index)
            .and_then(|series| series.known_at(world.now).map(|lag| Source::Partitions(spread(lag, series.partitions))))
            .ok_or_else(|| "no lag is known for this topic".to_owned()),
        Scaler::Resource(_) => Ok(Source::Series(None)),
    };
    source.and_then(|source| scaler.evaluate(&source)).map_err(QueryError::Failed)
}

fn queue(world: &mut World<'_>, name: &str) -> Result<Source, String> {
    let index = world.scenario.queues.iter().position(|queue| queue.name == name);
    let index = index.ok_or_else(|| format!("queue {name} does not exist"))?;
    let now = world.now;
    let answer = world.queues.attributes(QueueId(index as u32), now);
    let attributes = answer.ok_or_else(|| format!("GetQueueAttributes of {name} failed"))?;
    Ok(Source::Queue(QueueCounts {
        visible: attributes.visible,
        in_flight: attributes.not_visible,
        delayed: attributes.delayed,
    }))
}

fn clock(world: &World<'_>) -> Result<Source, String> {
    let micros = i64::try_from(world.now.as_micros()).unwrap_or(i64::MAX);
    let start = world.scenario.simulation.start.unix_seconds.saturating_mul(1_000_000);
    Timestamp::from_microsecond(start.saturating_add(micros)).map(Source::Clock).map_err(|error| error.to_string())
}

/// What CloudWatch answers.
fn datapoint(world: &World<'_>, series: &SeriesSpec, window: &CloudWatch) -> Option<f64> {
    let start = world.scenario.simulation.start.unix_seconds as f64;
    let value = |second: f64| (second >= start).then(|| series.value_at(Time::from_secs_f64(second - start))).flatten();
    window.newest(start + world.now.as_secs_f64(), series.delay.as_secs_f64(), value)
}

/// A trigger's series.
fn series<'a>(world: &World<'a>, asker: Asker, index: usize) -> Option<&'a SeriesSpec> {
    let cluster = &*world.cluster;
    world.scenario.series.iter().find(|series| {
        let named = match asker {
            Asker::ScaledObject(id) => series.scaled_object.as_ref() == Some(&cluster.scaled_objects[id.index()].name),
            Asker::ScaledJob(id) => series.scaled_job.as_ref() == Some(&cluster.scaled_jobs[id.index()].name),
        };
        named && series.trigger == index
    })
}

/// A topic's lag spread evenly over its partitions, the first ones getting the rest.
fn spread(lag: f64, partitions: u32) -> Vec<Partition> {
    let (lag, count) = (lag.max(0.0) as i64, i64::from(partitions.max(1)));
    let share = |index: i64| lag / count + i64::from(index < lag % count);
    (0..count).map(|index| Partition { lag: share(index), lag_with_persistent: share(index) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lags(lag: f64, partitions: u32) -> Vec<i64> {
        let all = spread(lag, partitions);
        assert!(all.iter().all(|partition| partition.lag_with_persistent == partition.lag));
        all.iter().map(|partition| partition.lag).collect()
    }

    #[test]
    fn a_lag_is_spread_evenly_and_nothing_of_it_is_lost() {
        assert_eq!(lags(7.0, 3), [3, 2, 2]);
        assert_eq!(lags(9.0, 3), [3, 3, 3]);
        assert_eq!(lags(2.9, 4), [1, 1, 0, 0]);
        assert_eq!(lags(-5.0, 2), [0, 0]);
        assert_eq!(lags(5.0, 0), [5], "a topic has a partition");
    }
}
