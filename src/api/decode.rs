//! From a [`Node`] to a typed object, collecting every problem on the way instead of stopping at the first.

use std::collections::BTreeMap;

use super::tree::{Node, Span, Value};

/// How bad a [`Problem`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The scenario cannot run.
    Error,
    /// The scenario runs, but look at this before trusting the results.
    Warning,
    /// Worth knowing (a deprecated form that was converted, for example).
    Note,
}

impl Severity {
    /// The name in messages and files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        }
    }
}

/// Something wrong, or unwise, at a place of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// One sentence fragment, lower case, no full stop.
    pub message: String,
    /// The place.
    pub span: Span,
    /// Text under the marked place; empty for none.
    pub label: String,
    /// What to do about it, if known.
    pub help: Option<String>,
    /// A second place that explains the first, with its text.
    pub related: Option<(Span, String)>,
    /// The key, when the problem is a field that its object does not have: it may belong elsewhere.
    pub unknown_field: Option<String>,
    /// Id of the rule that found it (docs/lints.md); `None` = it is plainly wrong.
    pub rule: Option<&'static str>,
}

/// The problems found so far, in the order of discovery.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Problems {
    /// All of them.
    pub list: Vec<Problem>,
}

impl Problems {
    /// Adds an error.
    pub fn error(&mut self, span: Span, message: impl Into<String>, label: impl Into<String>) {
        self.add(Severity::Error, span, message, label, None);
    }

    /// Adds an error with advice.
    pub fn error_with_help(
        &mut self,
        span: Span,
        message: impl Into<String>,
        label: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.add(Severity::Error, span, message, label, Some(help.into()));
    }

    /// Adds a problem.
    pub fn add(
        &mut self,
        severity: Severity,
        span: Span,
        message: impl Into<String>,
        label: impl Into<String>,
        help: Option<String>,
    ) {
        self.list.push(Problem {
            severity,
            message: message.into(),
            span,
            label: label.into(),
            help,
            related: None,
            unknown_field: None,
            rule: None,
        });
    }

    /// Gives the problem added last a second place.
    pub fn relate(&mut self, span: Span, label: impl Into<String>) {
        if let Some(problem) = self.list.last_mut() {
            problem.related = Some((span, label.into()));
        }
    }

    /// Whether any problem is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|problem| problem.severity == Severity::Error)
    }
}

/// A type that can be read from a [`Node`].
pub trait Decode: Sized {
    /// Reads it; `None` when a problem was added that makes it unusable.
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self>;

    /// What a field of this type means when it is absent and has no default; `None` = the field is required.
    #[must_use]
    fn absent() -> Option<Self> {
        None
    }

    /// What to write, for messages and the reference: `a duration such as "30s"`.
    #[must_use]
    fn describe() -> String;

    /// What may be written inside.
    #[must_use]
    fn shape() -> Shape {
        Shape::Scalar
    }

    /// The value as one writes it, for defaults in the reference; empty for values that are shown elsewhere.
    #[must_use]
    fn show(&self) -> String {
        String::new()
    }
}

/// What may be written inside a value, one level at a time (types may contain themselves).
#[derive(Clone, Copy)]
pub enum Shape {
    /// Nothing: a text, a number, a truth value.
    Scalar,
    /// Known fields.
    Object {
        /// Name of the type.
        name: &'static str,
        /// Meaning of the type.
        doc: fn() -> String,
        /// The fields in order.
        fields: fn() -> Vec<FieldDoc>,
    },
    /// Elements of one shape.
    List(fn() -> Shape),
    /// Any keys, values of one shape.
    Map(fn() -> Shape),
}

/// One field of an object, for the generated reference.
#[derive(Clone, Debug)]
pub struct FieldDoc {
    /// Key in the file.
    pub key: String,
    /// What to write.
    pub kind: String,
    /// Default as one writes it; `None` = required unless the kind is optional.
    pub default: Option<String>,
    /// Whether the file must have it.
    pub required: bool,
    /// Meaning.
    pub doc: String,
    /// What may be written inside.
    pub shape: fn() -> Shape,
}

impl std::fmt::Debug for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Shape::Scalar => f.write_str("a scalar"),
            Shape::Object { name, .. } => write!(f, "a `{name}`"),
            Shape::List(inner) => write!(f, "a list of {:?}", inner()),
            Shape::Map(inner) => write!(f, "a table of {:?}", inner()),
        }
    }
}

/// An object whose fields are known to the generated reference.
pub trait Documented {
    /// Name of the type.
    const NAME: &'static str;
    /// Meaning.
    fn doc() -> String;
    /// Fields in order.
    fn fields() -> Vec<FieldDoc>;
}

/// The object that an empty table stands for.
///
/// # Panics
/// If the type has required fields: a mistake of the caller.
#[must_use]
pub fn defaults<T: Decode>() -> T {
    let mut problems = Problems::default();
    let value = T::decode(&Node::empty_map(), &mut problems);
    value.unwrap_or_else(|| panic!("this type has no defaults: {:?}", problems.list))
}

/// Reads the fields of one map. Made by [`object!`](crate::object).
pub struct ObjectReader<'a> {
    node: &'a Node,
}

impl<'a> ObjectReader<'a> {
    /// Opens a map and reports unknown keys; `None` if it is no map.
    pub fn open(
        node: &'a Node,
        type_name: &str,
        keys: &[String],
        ignored: &[&str],
        problems: &mut Problems,
    ) -> Option<Self> {
        let Some(entries) = node.entries() else {
            problems.error(
                node.span,
                format!("expected a table for `{type_name}`"),
                format!("this is {}", node.value.kind()),
            );
            return None;
        };
        for (key, _) in entries {
            if keys.contains(&key.name) || ignored.contains(&key.name.as_str()) {
                continue;
            }
            let help = match closest(&key.name, keys.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("`{type_name}` has {}", list_of(keys)),
            };
            problems.error_with_help(
                key.span,
                format!("unknown field `{}` in `{type_name}`", key.name),
                "not a field here",
                help,
            );
            if let Some(problem) = problems.list.last_mut() {
                problem.unknown_field = Some(key.name.clone());
            }
        }
        Some(ObjectReader { node })
    }

    /// Reads one field; a problem is added when it is missing without a default, or wrong.
    pub fn field<T: Decode>(&self, key: &str, default: Option<T>, problems: &mut Problems) -> Option<T> {
        match self.node.get(key) {
            Some(Node { value: Value::Null, .. }) | None => {
                let value = default.or_else(T::absent);
                if value.is_none() {
                    problems.error(
                        self.node.span,
                        format!("missing field `{key}`"),
                        format!("needs `{key}`: {}", T::describe()),
                    );
                }
                value
            }
            Some(node) => T::decode(node, problems),
        }
    }
}

/// The first names, and how many there are more.
fn list_of(keys: &[String]) -> String {
    const SHOWN: usize = 16;
    let first = keys.iter().take(SHOWN).map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
    if keys.len() > SHOWN { format!("{first} and {} others", keys.len() - SHOWN) } else { first }
}

/// The candidate nearest to a misspelt word, if one is near enough to be meant: few letters differ, or letters are left out.
pub fn closest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).max(1);
    let word = word.to_lowercase();
    candidates
        .map(|candidate| (edit_distance(&word, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= limit || is_abridged(&word, &candidate.to_lowercase()))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Whether a word is a candidate with less than half of its letters left out.
fn is_abridged(word: &str, candidate: &str) -> bool {
    let mut letters = candidate.chars();
    word.chars().count() * 2 > candidate.chars().count() && word.chars().all(|c| letters.any(|letter| letter == c))
}

/// Number of insertions, deletions, replacements and swaps of neighbours between two words.
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    (0..=a.len()).for_each(|i| rows[i][0] = i);
    (0..=b.len()).for_each(|j| rows[0][j] = j);
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replace = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            rows[i][j] = replace.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                rows[i][j] = rows[i][j].min(rows[i - 2][j - 2] + 1);
            }
        }
    }
    rows[a.len()][b.len()]
}

/// `polling_interval` -> `pollingInterval`.
#[must_use]
pub fn camel_case(snake: &str) -> String {
    let mut out = String::with_capacity(snake.len());
    let mut upper = false;
    for c in snake.trim_start_matches("r#").chars() {
        match c {
            '_' => upper = true,
            c if upper => {
                out.extend(c.to_uppercase());
                upper = false;
            }
            c => out.push(c),
        }
    }
    out
}

impl<T: Decode> Decode for Option<T> {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        T::decode(node, problems).map(Some)
    }
    fn absent() -> Option<Self> {
        Some(None)
    }
    fn shape() -> Shape {
        T::shape()
    }
    fn show(&self) -> String {
        self.as_ref().map(T::show).unwrap_or_default()
    }
    fn describe() -> String {
        T::describe()
    }
}

impl<T: Decode> Decode for Box<T> {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        T::decode(node, problems).map(Box::new)
    }
    fn absent() -> Option<Self> {
        T::absent().map(Box::new)
    }
    fn shape() -> Shape {
        T::shape()
    }
    fn show(&self) -> String {
        self.as_ref().show()
    }
    fn describe() -> String {
        T::describe()
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let Value::List(items) = &node.value else {
            let label = format!("this is {}", node.value.kind());
            let help = format!("in brackets, each element {}", T::describe());
            problems.error_with_help(node.span, "expected a list", label, help);
            return None;
        };
        let decoded: Vec<Option<T>> = items.iter().map(|item| T::decode(item, problems)).collect();
        decoded.into_iter().collect()
    }
    fn absent() -> Option<Self> {
        Some(Vec::new())
    }
    fn shape() -> Shape {
        Shape::List(T::shape)
    }
    fn show(&self) -> String {
        format!("[{}]", self.iter().map(T::show).collect::<Vec<_>>().join(", "))
    }
    fn describe() -> String {
        format!("a list, each element {}", T::describe())
    }
}

impl<T: Decode> Decode for BTreeMap<String, T> {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let Some(entries) = node.entries() else {
            problems.error(node.span, "expected a table", format!("this is {}", node.value.kind()));
            return None;
        };
        let decoded: Vec<Option<(String, T)>> =
            entries.iter().map(|(key, value)| T::decode(value, problems).map(|v| (key.name.clone(), v))).collect();
        decoded.into_iter().collect()
    }
    fn absent() -> Option<Self> {
        Some(BTreeMap::new())
    }
    fn shape() -> Shape {
        Shape::Map(T::shape)
    }
    fn describe() -> String {
        format!("a table, each value {}", T::describe())
    }
}

/// Declares a `pub struct` with documented fields, its [`Decode`] and its [`Documented`]. A field's key is its name in
/// camelCase unless `@"key"` stands before `pub`; `= expr` gives its default; without one it is required unless its type has a
/// meaning when absent (`Option`, `Vec`, maps). `ignore [..]` lists fields of upstream that have no effect here and are accepted.
#[macro_export]
macro_rules! object {
    (
        $(#[doc = $doc:literal])*
        pub struct $name:ident {
            $( $(#[doc = $fdoc:literal])* $(@$key:literal)? pub $field:ident : $ty:ty $(= $default:expr)? , )*
        }
        $(ignore [ $($ignored:literal),* $(,)? ])?
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name { $( $(#[doc = $fdoc])* pub $field: $ty, )* }

        impl $crate::api::decode::Decode for $name {
            fn decode(node: &$crate::api::tree::Node, problems: &mut $crate::api::decode::Problems) -> Option<Self> {
                let keys = [ $( $crate::object!(@key $field $($key)?) ),* ];
                let ignored: &[&str] = &[ $($($ignored),*)? ];
                #[allow(unused_variables, unused_mut, reason = "objects without fields")]
                let object = $crate::api::decode::ObjectReader::open(node, stringify!($name), &keys, ignored, problems)?;
                let mut keys = keys.into_iter();
                $( let $field: Option<$ty> = {
                    let key = keys.next().unwrap_or_default();
                    object.field(&key, $crate::object!(@default $($default)?), problems)
                }; )*
                Some($name { $( $field: $field? ),* })
            }
            fn describe() -> String {
                concat!("a `", stringify!($name), "` table").to_owned()
            }
            fn shape() -> $crate::api::decode::Shape {
                $crate::api::decode::Shape::Object {
                    name: stringify!($name),
                    doc: <$name as $crate::api::decode::Documented>::doc,
                    fields: <$name as $crate::api::decode::Documented>::fields,
                }
            }
        }

        impl $crate::api::decode::Documented for $name {
            const NAME: &'static str = stringify!($name);
            fn doc() -> String {
                [ $($doc),* ].concat().trim().to_owned()
            }
            fn fields() -> Vec<$crate::api::decode::FieldDoc> {
                vec![ $( $crate::api::decode::FieldDoc {
                    key: $crate::object!(@key $field $($key)?),
                    kind: <$ty as $crate::api::decode::Decode>::describe(),
                    default: $crate::object!(@show $ty $(, $default)?),
                    required: $crate::object!(@show $ty $(, $default)?).is_none()
                        && <$ty as $crate::api::decode::Decode>::absent().is_none(),
                    doc: [ $($fdoc),* ].concat().trim().to_owned(),
                    shape: <$ty as $crate::api::decode::Decode>::shape,
                } ),* ]
            }
        }
    };
    (@key $field:ident $key:literal) => { ($key).to_owned() };
    (@key $field:ident) => { $crate::api::decode::camel_case(stringify!($field)) };
    (@default $default:expr) => { Some($default) };
    (@default) => { None };
    (@show $ty:ty, $default:expr) => {{
        let value: $ty = $default;
        Some($crate::api::decode::Decode::show(&value))
    }};
    (@show $ty:ty) => { None::<String> };
}

/// Declares a `pub enum` of named values and its [`Decode`]: `choice! { pub enum X { A = "A", B = "b" } }`.
#[macro_export]
macro_rules! choice {
    (
        $(#[doc = $doc:literal])*
        pub enum $name:ident { $( $(#[doc = $vdoc:literal])* $variant:ident = $text:literal , )* }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $( $(#[doc = $vdoc])* $variant, )* }

        impl $name {
            /// All values, in order.
            pub const ALL: &'static [$name] = &[ $( $name::$variant ),* ];

            /// The value as it is written in files.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $( $name::$variant => $text ),* }
            }
        }

        impl $crate::api::decode::Decode for $name {
            fn decode(node: &$crate::api::tree::Node, problems: &mut $crate::api::decode::Problems) -> Option<Self> {
                $crate::api::decode::decode_choice(node, &[ $( ($text, $name::$variant) ),* ], problems)
            }
            fn describe() -> String {
                [ $( concat!("`", $text, "`") ),* ].join(" | ")
            }
            fn show(&self) -> String {
                format!("\"{}\"", self.as_str())
            }
        }
    };
}

/// One of several named values.
pub fn decode_choice<T: Copy>(node: &Node, choices: &[(&str, T)], problems: &mut Problems) -> Option<T> {
    let text = node.as_str();
    if let Some((_, value)) = choices.iter().find(|(name, _)| Some(*name) == text) {
        return Some(*value);
    }
    let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
    let all = || names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match text {
        Some(text) => {
            let help = match closest(text, names.iter().copied()) {
                Some(near) if names.len() > 4 => format!("did you mean `{near}`?"),
                Some(near) => format!("did you mean `{near}`? There is {}", all()),
                None => format!("there is {}", all()),
            };
            problems.error_with_help(node.span, format!("unknown value `{text}`"), "not one of the known values", help);
        }
        None => {
            let label = format!("this is {}", node.value.kind());
            problems.error_with_help(node.span, "expected one of several names", label, format!("there is {}", all()));
        }
    }
    None
}
