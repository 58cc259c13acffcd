//! Unified diffs of texts.

use std::fmt::Write as _;

/// Lines around a change.
const CONTEXT: usize = 3;
/// Most pairs of lines that are compared; beyond, what differs is shown as one change.
const MOST_PAIRS: usize = 4_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line<'a> {
    Same(&'a str),
    Gone(&'a str),
    Come(&'a str),
}

/// The diff from one text to another as `patch -p1` and `git apply` take it; empty for equal texts.
#[must_use]
pub fn unified(path: &str, old: &str, new: &str) -> String {
    let lines = compared(&parts(old), &parts(new));
    let changed: Vec<usize> =
        lines.iter().enumerate().filter(|(_, line)| !matches!(line, Line::Same(_))).map(|(at, _)| at).collect();
    let (Some(first), Some(last)) = (changed.first(), changed.last()) else { return String::new() };
    let mut text = format!("--- a/{path}\n+++ b/{path}\n");
    let mut start = first.saturating_sub(CONTEXT);
    let mut previous = *first;
    for &at in changed.iter().skip(1).chain([last + 2 * CONTEXT + 2].iter()) {
        if at - previous > 2 * CONTEXT {
            hunk(&mut text, &lines, start, (previous + CONTEXT + 1).min(lines.len()));
            start = at.saturating_sub(CONTEXT);
        }
        previous = at;
    }
    text
}

/// Lines with their ends.
fn parts(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

fn hunk(text: &mut String, lines: &[Line<'_>], start: usize, end: usize) {
    let count = |lines: &[Line<'_>], old: bool| {
        lines.iter().filter(|line| !matches!((line, old), (Line::Come(_), true) | (Line::Gone(_), false))).count()
    };
    let range = |old: bool| {
        let (before, length) = (count(&lines[..start], old), count(&lines[start..end], old));
        // An empty range names the line before it.
        format!("{},{length}", if length == 0 { before } else { before + 1 })
    };
    let _ = writeln!(text, "@@ -{} +{} @@", range(true), range(false));
    for line in &lines[start..end] {
        let (mark, line) = match line {
            Line::Same(line) => (' ', line),
            Line::Gone(line) => ('-', line),
            Line::Come(line) => ('+', line),
        };
        let _ = write!(text, "{mark}{line}");
        if !line.ends_with('\n') {
            text.push_str("\n\\ No newline at end of file\n");
        }
    }
}

/// The lines of both in order, with as many in common as possible (longest common subsequence).
fn compared<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<Line<'a>> {
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let tail = old[head..].iter().rev().zip(new[head..].iter().rev()).take_while(|(a, b)| a == b).count();
    let (a, b) = (&old[head..old.len() - tail], &new[head..new.len() - tail]);
    let mut lines: Vec<Line<'a>> = old[..head].iter().map(|line| Line::Same(line)).collect();
    if a.len() * b.len() > MOST_PAIRS {
        lines.extend(a.iter().map(|line| Line::Gone(line)).chain(b.iter().map(|line| Line::Come(line))));
    } else {
        lines.extend(aligned(a, b));
    }
    lines.extend(old[old.len() - tail..].iter().map(|line| Line::Same(line)));
    lines
}

fn aligned<'a>(a: &[&'a str], b: &[&'a str]) -> Vec<Line<'a>> {
    // common[i][j] = lines in common of a[i..] and b[j..].
    let mut common = vec![vec![0_u32; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            common[i][j] = if a[i] == b[j] { common[i + 1][j + 1] + 1 } else { common[i + 1][j].max(common[i][j + 1]) };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut lines = Vec::new();
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            lines.push(Line::Same(a[i]));
            (i, j) = (i + 1, j + 1);
        } else if i < a.len() && (j == b.len() || common[i + 1][j] >= common[i][j + 1]) {
            lines.push(Line::Gone(a[i]));
            i += 1;
        } else {
            lines.push(Line::Come(b[j]));
            j += 1;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hunks_hold_three_lines_around_each_change() {
        let old: String = (1..=20).map(|n| format!("{n}\n")).collect();
        let new = old.replace("\n5\n", "\nfive\nand a half\n").replace("\n19\n", "\n");
        let diff = unified("a.yaml", &old, &new);
        assert_eq!(
            diff,
            "--- a/a.yaml\n+++ b/a.yaml\n@@ -2,7 +2,8 @@\n 2\n 3\n 4\n-5\n+five\n+and a half\n 6\n 7\n 8\n\
             @@ -16,5 +17,4 @@\n 16\n 17\n 18\n-19\n 20\n"
        );
        assert_eq!(unified("a.yaml", &old, &old), "");
    }

    #[test]
    fn changes_close_together_share_a_hunk_and_a_missing_end_of_line_is_marked() {
        let diff = unified("a", "1\n2\n3\n4", "one\n2\n3\nfour");
        assert_eq!(diff.matches("@@ -").count(), 1);
        assert!(diff.ends_with("-4\n\\ No newline at end of file\n+four\n\\ No newline at end of file\n"), "{diff}");
    }
}
