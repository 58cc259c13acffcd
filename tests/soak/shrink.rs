//! Makes a failing scenario small: leaves out sections, then lines, as long as it fails in the same way.

use super::check::{Verdict, check};

/// Most attempts: some failures take long.
const ATTEMPTS: usize = 100;

pub fn shrink(mut parts: Vec<String>, why: &str) -> String {
    let mut attempts = 0;
    let mut index = parts.len();
    while index > 0 && attempts < ATTEMPTS {
        index -= 1;
        let mut fewer = parts.clone();
        fewer.remove(index);
        attempts += 1;
        if fails_alike(&fewer.join("\n"), why) {
            parts = fewer;
            index = index.min(parts.len());
        }
    }
    let mut lines: Vec<String> = parts.join("\n").lines().map(str::to_owned).collect();
    let mut index = lines.len();
    while index > 0 && attempts < ATTEMPTS {
        index -= 1;
        let mut fewer = lines.clone();
        fewer.remove(index);
        attempts += 1;
        if fails_alike(&fewer.join("\n"), why) {
            lines = fewer;
        }
    }
    lines.join("\n")
}

fn fails_alike(text: &str, why: &str) -> bool {
    matches!(check(text), Verdict::Wrong(other) if kind(&other) == kind(why))
}

/// What a failure is about, without its numbers.
fn kind(why: &str) -> String {
    let line = why.lines().next().unwrap_or_default();
    let law = why.lines().find(|line| line.starts_with("law ")).and_then(|line| line.split(':').next());
    let start: String = line.chars().take(60).collect();
    format!("{}{}", start.replace(|c: char| c.is_ascii_digit(), ""), law.unwrap_or_default())
}
