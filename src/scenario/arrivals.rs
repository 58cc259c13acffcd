//! `[[queues.arrivals]]`: who sends how many messages when. Several sources of one queue add up.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::api::decode::{Decode, Documented, FieldDoc, Problems, Shape, decode_choice};
use crate::api::rate::Rate;
use crate::api::tree::{Node, Span};
use crate::engine::Distribution;
use crate::object;
use crate::time::Duration;
use crate::units::Memory;

/// A file named in a scenario, whose text the loader fills in.
#[derive(Clone, Debug, PartialEq)]
pub struct TextFile {
    /// Path as written.
    pub path: String,
    /// Where it is written, for messages about it.
    pub span: Span,
    /// Its text; empty until it is read.
    pub text: Arc<str>,
}

impl Decode for TextFile {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let path = String::decode(node, problems)?;
        Some(TextFile { path, span: node.span, text: Arc::from("") })
    }
    fn describe() -> String {
        "the path of a file".to_owned()
    }
}

/// Declares one pattern: its own fields, then those which all patterns have.
macro_rules! pattern {
    ($(#[doc = $doc:literal])* pub struct $name:ident { $($body:tt)* }) => {
        object! {
            $(#[doc = $doc])*
            pub struct $name {
                $($body)*
                /// When the source begins.
                pub start: Duration = Duration::ZERO,
                /// When it ends; absent = never.
                pub end: Option<Duration>,
                /// MessageGroupIds over which the messages are spread at random; 0 = no group id (FIFO queues: 1 group).
                pub groups: u32 = 0,
                /// Skew of the groups: the share of group k is proportional to 1/k^skew (Zipf); 0 = equal shares.
                pub group_skew: f64 = 0.0,
                /// Number of the first group, to keep the groups of two sources apart.
                pub first_group: u32 = 0,
                /// DelaySeconds of each message; absent = the queue's. Not for FIFO queues.
                pub delay: Option<Duration>,
                /// Size of a message; absent = the queue's.
                pub size: Option<Memory>,
                /// Messages per SendMessageBatch call (1 to 10), for throttling and price.
                pub send_batch: u32 = 1,
                /// Processing time of these messages, as a multiple of the consumer's.
                pub work: f64 = 1.0,
                /// Probability that a message can never be processed: each attempt fails.
                pub poison: f64 = 0.0,
            }
            ignore ["pattern"]
        }

        impl $name {
            fn common(&self) -> Common {
                Common {
                    start: self.start,
                    end: self.end,
                    groups: self.groups,
                    group_skew: self.group_skew,
                    first_group: self.first_group,
                    delay: self.delay,
                    size: self.size,
                    send_batch: self.send_batch,
                    work: self.work,
                    poison: self.poison,
                }
            }
        }
    };
}

/// What all patterns have (see the fields of any of them).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Common {
    /// When the source begins.
    pub start: Duration,
    /// When it ends.
    pub end: Option<Duration>,
    /// Number of groups.
    pub groups: u32,
    /// Zipf exponent of the groups.
    pub group_skew: f64,
    /// Number of the first group.
    pub first_group: u32,
    /// Delay of each message.
    pub delay: Option<Duration>,
    /// Size of each message.
    pub size: Option<Memory>,
    /// Messages per send call.
    pub send_batch: u32,
    /// Multiple of the consumer's processing time.
    pub work: f64,
    /// Probability of a poison pill.
    pub poison: f64,
}

pattern! {
    /// `poisson`: independent arrivals at a constant mean rate.
    pub struct Poisson {
        /// Mean rate.
        pub rate: Rate,
    }
}

pattern! {
    /// `constant`: evenly spaced arrivals; the first one interval after `start`, or at `start` with `atStart`.
    pub struct Constant {
        /// Rate.
        pub rate: Rate,
        /// Whether the first message is sent at `start` itself.
        pub at_start: bool = false,
    }
}

pattern! {
    /// `ramp`: Poisson arrivals whose rate goes linearly from one value to another, then stays.
    pub struct Ramp {
        /// Rate at `start`.
        pub from: Rate,
        /// Rate at the end of the ramp and after it.
        pub to: Rate,
        /// How long the ramp takes.
        pub over: Duration,
    }
}

pattern! {
    /// `steps`: Poisson arrivals whose rate is given at instants after `start` and holds until the next.
    pub struct Steps {
        /// Instants and rates, in order of time.
        pub steps: Vec<Step>,
        /// Whether the rate goes linearly from one instant to the next instead of holding.
        pub linear: bool = false,
        /// The whole sequence repeats after this long; absent = never.
        pub every: Option<Duration>,
    }
}

object! {
    /// A rate that holds from an instant on.
    pub struct Step {
        /// After the source's `start`.
        pub at: Duration,
        /// The rate.
        pub rate: Rate,
    }
}

pattern! {
    /// `sine`: Poisson arrivals at `rate + amplitude · sin(2π (t − phase) / period)`, cut at 0: days and weeks.
    pub struct Sine {
        /// Mean rate.
        pub rate: Rate,
        /// Swing around the mean.
        pub amplitude: Rate,
        /// Length of a cycle.
        pub period: Duration = Duration::from_hours(24),
        /// When the rate first rises through its mean, after `start`.
        pub phase: Duration = Duration::ZERO,
    }
}

pattern! {
    /// `burst`: a number of messages evenly over a span, once or again and again.
    pub struct Burst {
        /// When it begins, after `start`.
        pub at: Duration = Duration::ZERO,
        /// How many messages.
        pub messages: u64,
        /// Over which span; 0 = all at once.
        pub over: Duration = Duration::ZERO,
        /// The burst comes again after this long; absent = once.
        pub every: Option<Duration>,
    }
}

pattern! {
    /// `onOff`: Poisson arrivals during on-times, silence during off-times.
    pub struct OnOff {
        /// Mean rate while on.
        pub rate: Rate,
        /// Lengths of the on-times.
        pub on: Distribution,
        /// Lengths of the off-times.
        pub off: Distribution,
        /// Whether it begins with an off-time.
        pub starts_off: bool = false,
    }
}

pattern! {
    /// `mmpp`: Markov-modulated Poisson process: the states follow each other in a circle, each for an exponential time.
    pub struct Mmpp {
        /// The states, in order.
        pub states: Vec<MmppState>,
    }
}

object! {
    /// A state of a Markov-modulated Poisson process.
    pub struct MmppState {
        /// Mean rate in this state.
        pub rate: Rate,
        /// Mean time in this state.
        pub mean: Duration,
    }
}

pattern! {
    /// `batch`: groups of messages that arrive together.
    pub struct Batch {
        /// Messages per group.
        pub messages: u64,
        /// Mean rate of groups (Poisson).
        pub rate: Option<Rate>,
        /// Time between groups, for evenly spaced or otherwise distributed groups.
        pub every: Option<Distribution>,
    }
}

pattern! {
    /// `spike`: a flash crowd: the rate rises linearly to a peak and then decays exponentially (Poisson).
    pub struct Spike {
        /// When the rise begins, after `start`.
        pub at: Duration = Duration::ZERO,
        /// Rate at the peak.
        pub peak: Rate,
        /// Length of the rise.
        pub rise: Duration,
        /// Time in which the rate halves after the peak.
        pub half_life: Duration,
        /// The source ends when the rate is below this fraction of the peak.
        pub until: f64 = 0.001,
    }
}

pattern! {
    /// `trace`: recorded arrivals from a CSV file, either one row an event or one row a count per bucket.
    pub struct Trace {
        /// The file.
        pub file: TextFile,
        /// Heading (or number from 1) of the column of time stamps or seconds; absent = the first column.
        pub time_column: Option<String>,
        /// Heading (or number) of the column of counts; absent = each row is one event.
        pub count_column: Option<String>,
        /// Length of a bucket of counts; absent = the gap to the next row.
        pub step: Option<Duration>,
        /// Rate is multiplied by this: events: gaps are divided by it; counts: counts are multiplied.
        pub scale: f64 = 1.0,
        /// Time is multiplied by this: 0.1 plays ten times as fast.
        pub stretch: f64 = 1.0,
        /// Skips this much of the trace.
        pub offset: Duration = Duration::ZERO,
        /// Whether the trace begins again at its end.
        pub repeat: bool = false,
        /// Processing time of a message: fixed part; with `workPer` it replaces the consumer's distribution.
        pub work_base: Duration = Duration::ZERO,
        /// Processing time added per unit of a column, as `{ GeneratedTokens = "30ms" }`.
        pub work_per: BTreeMap<String, Duration>,
    }
}

pattern! {
    /// `list`: messages at given instants.
    pub struct List {
        /// The sends, in any order.
        pub sends: Vec<Send>,
    }
}

object! {
    /// One send of a list.
    pub struct Send {
        /// When the first message is sent, after the source's `start`.
        pub at: Duration,
        /// How many messages.
        pub messages: u64 = 1,
        /// The messages are evenly spaced from `at` to `at + over`, both included.
        pub over: Duration = Duration::ZERO,
        /// DelaySeconds of these messages; absent = the source's.
        pub delay: Option<Duration>,
    }
}

/// One source of messages.
#[derive(Clone, Debug, PartialEq)]
pub enum Arrivals {
    /// `pattern = "poisson"`.
    Poisson(Poisson),
    /// `pattern = "constant"`.
    Constant(Constant),
    /// `pattern = "ramp"`.
    Ramp(Ramp),
    /// `pattern = "steps"`.
    Steps(Steps),
    /// `pattern = "sine"`.
    Sine(Sine),
    /// `pattern = "burst"`.
    Burst(Burst),
    /// `pattern = "onOff"`.
    OnOff(OnOff),
    /// `pattern = "mmpp"`.
    Mmpp(Mmpp),
    /// `pattern = "batch"`.
    Batch(Batch),
    /// `pattern = "spike"`.
    Spike(Spike),
    /// `pattern = "trace"`.
    Trace(Trace),
    /// `pattern = "list"`.
    List(List),
}

#[derive(Clone, Copy)]
enum Kind {
    Poisson,
    Constant,
    Ramp,
    Steps,
    Sine,
    Burst,
    OnOff,
    Mmpp,
    Batch,
    Spike,
    Trace,
    List,
}

const KINDS: [(&str, Kind); 12] = [
    ("poisson", Kind::Poisson),
    ("constant", Kind::Constant),
    ("ramp", Kind::Ramp),
    ("steps", Kind::Steps),
    ("sine", Kind::Sine),
    ("burst", Kind::Burst),
    ("onOff", Kind::OnOff),
    ("mmpp", Kind::Mmpp),
    ("batch", Kind::Batch),
    ("spike", Kind::Spike),
    ("trace", Kind::Trace),
    ("list", Kind::List),
];

/// The patterns with their meanings and fields, for the reference.
#[must_use]
pub fn documented() -> Vec<(&'static str, String, Vec<FieldDoc>)> {
    fn of<T: Documented>() -> (String, Vec<FieldDoc>) {
        (T::doc(), T::fields())
    }
    KINDS
        .into_iter()
        .map(|(name, kind)| {
            let (doc, fields) = match kind {
                Kind::Poisson => of::<Poisson>(),
                Kind::Constant => of::<Constant>(),
                Kind::Ramp => of::<Ramp>(),
                Kind::Steps => of::<Steps>(),
                Kind::Sine => of::<Sine>(),
                Kind::Burst => of::<Burst>(),
                Kind::OnOff => of::<OnOff>(),
                Kind::Mmpp => of::<Mmpp>(),
                Kind::Batch => of::<Batch>(),
                Kind::Spike => of::<Spike>(),
                Kind::Trace => of::<Trace>(),
                Kind::List => of::<List>(),
            };
            (name, doc, fields)
        })
        .collect()
}

impl Arrivals {
    /// What all patterns have.
    #[must_use]
    pub fn common(&self) -> Common {
        match self {
            Arrivals::Poisson(p) => p.common(),
            Arrivals::Constant(p) => p.common(),
            Arrivals::Ramp(p) => p.common(),
            Arrivals::Steps(p) => p.common(),
            Arrivals::Sine(p) => p.common(),
            Arrivals::Burst(p) => p.common(),
            Arrivals::OnOff(p) => p.common(),
            Arrivals::Mmpp(p) => p.common(),
            Arrivals::Batch(p) => p.common(),
            Arrivals::Spike(p) => p.common(),
            Arrivals::Trace(p) => p.common(),
            Arrivals::List(p) => p.common(),
        }
    }

    /// The file that the loader must read, if the pattern has one.
    pub fn file_mut(&mut self) -> Option<&mut TextFile> {
        match self {
            Arrivals::Trace(trace) => Some(&mut trace.file),
            _ => None,
        }
    }
}

impl Decode for Arrivals {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let names = KINDS.map(|(name, _)| name).join(", ");
        let Some(pattern) = node.get("pattern") else {
            problems.error_with_help(
                node.span,
                "arrivals need a `pattern`",
                "no `pattern` here",
                format!("one of {names}"),
            );
            return None;
        };
        Some(match decode_choice(pattern, &KINDS, problems)? {
            Kind::Poisson => Arrivals::Poisson(Poisson::decode(node, problems)?),
            Kind::Constant => Arrivals::Constant(Constant::decode(node, problems)?),
            Kind::Ramp => Arrivals::Ramp(Ramp::decode(node, problems)?),
            Kind::Steps => Arrivals::Steps(Steps::decode(node, problems)?),
            Kind::Sine => Arrivals::Sine(Sine::decode(node, problems)?),
            Kind::Burst => Arrivals::Burst(Burst::decode(node, problems)?),
            Kind::OnOff => Arrivals::OnOff(OnOff::decode(node, problems)?),
            Kind::Mmpp => Arrivals::Mmpp(Mmpp::decode(node, problems)?),
            Kind::Batch => Arrivals::Batch(Batch::decode(node, problems)?),
            Kind::Spike => Arrivals::Spike(Spike::decode(node, problems)?),
            Kind::Trace => Arrivals::Trace(Trace::decode(node, problems)?),
            Kind::List => Arrivals::List(List::decode(node, problems)?),
        })
    }
    fn describe() -> String {
        "a table with a `pattern`, such as { pattern = \"poisson\", rate = \"10/s\" }".to_owned()
    }
    fn shape() -> Shape {
        Shape::Object {
            name: "Arrivals",
            doc: || "One source of messages; which fields it has depends on its `pattern`.".to_owned(),
            fields: all_fields,
        }
    }
}

/// The fields of all patterns, each once; `doc` names the patterns which have it.
fn all_fields() -> Vec<FieldDoc> {
    let patterns: [(&str, Vec<FieldDoc>); 12] = [
        ("poisson", Poisson::fields()),
        ("constant", Constant::fields()),
        ("ramp", Ramp::fields()),
        ("steps", Steps::fields()),
        ("sine", Sine::fields()),
        ("burst", Burst::fields()),
        ("onOff", OnOff::fields()),
        ("mmpp", Mmpp::fields()),
        ("batch", Batch::fields()),
        ("spike", Spike::fields()),
        ("trace", Trace::fields()),
        ("list", List::fields()),
    ];
    let count = patterns.len();
    let mut all = vec![FieldDoc {
        key: "pattern".to_owned(),
        kind: KINDS.map(|(name, _)| format!("`{name}`")).join(" | "),
        default: None,
        required: true,
        doc: "How the messages are spread over time.".to_owned(),
        shape: String::shape,
    }];
    let mut owners: Vec<Vec<&str>> = vec![vec![""; count]];
    for (pattern, fields) in patterns {
        for field in fields {
            match all.iter().position(|known| known.key == field.key) {
                Some(known) => owners[known].push(pattern),
                None => {
                    all.push(field);
                    owners.push(vec![pattern]);
                }
            }
        }
    }
    for (field, owners) in all.iter_mut().zip(&owners) {
        if owners.len() < count {
            field.doc = format!("`{}`: {}", owners.join("`, `"), field.doc);
            field.required = false;
        }
    }
    all
}
