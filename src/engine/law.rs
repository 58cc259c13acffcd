//! Laws that hold between any two events of a run, and their violations.

use std::fmt;

/// A law that every run keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Law {
    /// A letter for what it is about, and a number.
    pub number: &'static str,
    /// What holds, in a few words.
    pub name: &'static str,
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "law {} ({})", self.number, self.name)
    }
}

/// A law that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The law.
    pub law: Law,
    /// What is wrong.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.law, self.detail)
    }
}

/// What a check has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Violations(pub Vec<Violation>);

impl Violations {
    /// The law must hold; `detail` tells what is wrong when it does not.
    pub fn must(&mut self, law: Law, holds: bool, detail: impl FnOnce() -> String) {
        if !holds {
            self.0.push(Violation { law, detail: detail() });
        }
    }

    /// The laws that do not hold, each once, in order.
    #[must_use]
    pub fn laws(&self) -> Vec<Law> {
        let mut laws: Vec<Law> = self.0.iter().map(|violation| violation.law).collect();
        laws.sort_unstable();
        laws.dedup();
        laws
    }
}

/// Names the laws of a module: a constant for each, and `LAWS`, all of them in order.
macro_rules! laws {
    ($( $number:ident $name:literal; )*) => {
        $( const $number: crate::engine::law::Law =
            crate::engine::law::Law { number: stringify!($number), name: $name }; )*
        /// The laws that are checked here.
        pub const LAWS: &[crate::engine::law::Law] = &[$($number),*];
    };
}
pub(crate) use laws;
