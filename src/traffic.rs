//! Sources of messages: when each of the arrival patterns of a scenario sends its next message, and what that message carries.

mod ahead;
mod generator;
mod groups;
mod rates;
mod sine;
mod trace;

use crate::engine::{Stream, Streams};
use crate::scenario::arrivals::{Arrivals, Common};
use crate::sqs::{QueueId, SendMessage};
use crate::time::{Duration, Time};
use ahead::Ahead;
use generator::Generator;
use groups::Groups;

/// One source of messages. Its instants are kept in nanoseconds, so that high rates do not suffer from rounding.
#[derive(Debug)]
pub struct Source {
    queue: QueueId,
    generator: Generator,
    ahead: Ahead,
    common: Common,
    groups: Groups,
    start_nanos: u64,
    end: Time,
    template: SendMessage,
    /// Whether messages differ from the template.
    differs: bool,
    /// The next one.
    message: SendMessage,
    next: Time,
    extra: Extra,
    arrivals_stream: Stream,
    groups_stream: Stream,
    poison_stream: Stream,
}

/// What is special about one message of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Extra {
    /// See [`SendMessage::work`]; `None` = the source's.
    pub work: Option<f32>,
    /// `None` = the source's.
    pub delay: Option<Duration>,
}

impl Source {
    /// The source that `arrivals` describes; `number` tells apart the sources of the queue called `name`.
    #[must_use]
    pub fn new(queue: QueueId, name: &str, number: usize, arrivals: &Arrivals, streams: &Streams) -> Self {
        let common = arrivals.common();
        let open = |label: &str| streams.open_named(label, &format!("{name}/{number}"));
        let generator = Generator::new(arrivals);
        let groups = Groups::new(common.first_group, common.groups, common.group_skew);
        let template = SendMessage {
            group: None,
            delay: common.delay,
            deduplication: None,
            size: common.size.map_or(0, |size| size.bytes().clamp(1, i64::from(u32::MAX)) as u32),
            batch: common.send_batch.clamp(1, 10),
            work: common.work as f32,
            poison: false,
        };
        let mut source = Source {
            queue,
            differs: generator.describes() || !matches!(groups, Groups::None) || common.poison > 0.0,
            generator,
            ahead: Ahead::default(),
            groups,
            start_nanos: nanos(common.start),
            end: common.end.map_or(Time::MAX, |end| Time::ZERO + end),
            template,
            message: template,
            common,
            next: Time::ZERO,
            extra: Extra::default(),
            arrivals_stream: open("traffic/arrivals"),
            groups_stream: open("traffic/groups"),
            poison_stream: open("traffic/poison"),
        };
        source.go_on();
        source
    }

    /// The queue it sends to.
    #[inline]
    #[must_use]
    pub fn queue(&self) -> QueueId {
        self.queue
    }

    /// When it sends next; `Time::MAX` = never again.
    #[inline]
    #[must_use]
    pub fn next(&self) -> Time {
        self.next
    }

    /// The message that it sends next.
    #[inline]
    #[must_use]
    pub fn message(&self) -> &SendMessage {
        &self.message
    }

    /// Goes on to the next message: the present one has been sent, or lost.
    #[inline(always)]
    pub fn go_on(&mut self) {
        let instant = match self.ahead.take() {
            Some(nanos) => Some(nanos),
            None => self.draw(),
        };
        let next = match instant {
            Some(nanos) => {
                let at = Time::from_micros(self.start_nanos.saturating_add(nanos) / 1000);
                if at < self.end { at } else { Time::MAX }
            }
            None => Time::MAX,
        };
        // Messages queue up behind one that was held back.
        self.next = next.max(self.next);
        if self.differs {
            self.describe();
        }
    }

    /// Sends the present message no earlier than at `again_at`: the service has refused it.
    pub fn hold_back(&mut self, again_at: Time) {
        self.next = again_at;
    }

    /// Draws what the next message is like.
    #[inline(never)]
    fn describe(&mut self) {
        self.message = SendMessage {
            work: self.extra.work.unwrap_or(self.template.work),
            delay: self.extra.delay.or(self.template.delay),
            group: self.groups.draw(&mut self.groups_stream),
            poison: self.poison_stream.chance(self.common.poison),
            ..self.template
        };
    }

    #[inline(never)]
    fn draw(&mut self) -> Option<u64> {
        self.generator.draw(&mut self.arrivals_stream, &mut self.extra, &mut self.ahead);
        self.ahead.take()
    }
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    duration.max_zero().as_micros() as u64 * 1000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::decode::{Decode, Problems};
    use crate::scenario::toml;

    fn source(text: &str) -> Source {
        let mut problems = Problems::default();
        let node = toml::parse(text, 0, &mut problems);
        let arrivals = Arrivals::decode(&node, &mut problems).unwrap_or_else(|| panic!("{problems:?}"));
        Source::new(QueueId(0), "q", 0, &arrivals, &Streams::new(1, 0))
    }

    /// The next messages: when they are sent, and what.
    fn next(source: &mut Source, count: usize) -> Vec<(u64, SendMessage)> {
        let mut take = || {
            let sent = (source.next().as_micros() / 1_000_000, *source.message());
            source.go_on();
            sent
        };
        (0..count).map(|_| take()).collect()
    }

    #[test]
    fn messages_queue_up_behind_one_that_is_held_back() {
        let mut source = source("pattern = 'constant'\nrate = '1/s'");
        let instants = |messages: Vec<(u64, SendMessage)>| messages.iter().map(|message| message.0).collect::<Vec<_>>();
        assert_eq!(instants(next(&mut source, 2)), [1, 2]);
        source.hold_back(Time::from_micros(6_000_000));
        // Those of 3, 4, 5 and 6 at once; then all is as it was.
        assert_eq!(instants(next(&mut source, 6)), [6, 6, 6, 6, 7, 8]);
    }

    #[test]
    fn each_message_is_what_is_said_of_it() {
        let mut listed = source("pattern = 'list'\nsize = '2Ki'\nsends = [{ at = '1s', delay = '5s' }, { at = '2s' }]");
        let messages = next(&mut listed, 2);
        assert_eq!(messages.iter().map(|message| message.0).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(messages[0].1.delay, Some(Duration::from_secs(5)));
        assert_eq!((messages[1].1.delay, messages[1].1.size), (None, 2048));
        assert_eq!(listed.next(), Time::MAX);
        let count = |text: &str, is: &dyn Fn(&SendMessage) -> bool| {
            next(&mut source(&format!("pattern = 'constant'\nrate = '100/s'\n{text}")), 1000)
                .iter()
                .filter(|(_, message)| is(message))
                .count()
        };
        assert_eq!(count("", &|message| message.group.is_some() || message.poison), 0);
        assert!((60..140).contains(&count("poison = 0.1", &|message| message.poison)));
        assert!((200..300).contains(&count("groups = 4", &|message| message.group == Some(3))));
    }
}
