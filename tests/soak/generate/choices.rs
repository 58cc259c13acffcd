//! Random choices.

use forescale::engine::Stream;

/// Random choices.
pub struct Choices(pub(super) Stream);

impl Choices {
    pub fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.0.below(of.len())]
    }

    /// From `from` to `to`, both included.
    pub fn number(&mut self, from: usize, to: usize) -> usize {
        from + self.0.below(to - from + 1)
    }

    /// True once in `n` times.
    pub fn once_in(&mut self, n: usize) -> bool {
        self.0.below(n) == 0
    }

    /// A setting, once in `n` times.
    pub(super) fn maybe(&mut self, n: usize, name: &str, values: &[&str]) -> String {
        if self.once_in(n) { format!("{name} = {}\n", self.one(values)) } else { String::new() }
    }

    pub(super) fn maybe_text(&mut self, n: usize, name: &str, values: &[&str]) -> String {
        if self.once_in(n) { format!("{name} = \"{}\"\n", self.one(values)) } else { String::new() }
    }

    pub(super) fn processing(&mut self) -> &'static str {
        self.one(&[
            "\"200ms\"",
            "\"0s\"",
            "{ exponential = { mean = \"1s\" } }",
            "{ lognormal = { p50 = \"2s\", p99 = \"20s\" } }",
            "{ uniform = { min = \"1s\", max = \"3s\" } }",
            "{ gamma = { mean = \"2s\", shape = 2.0 } }",
            "{ lognormal = { p50 = \"15s\", p99 = \"90s\" } }",
        ])
    }
}
