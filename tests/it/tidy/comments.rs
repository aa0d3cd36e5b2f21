//! Comments: their first words, and examples in them.

use super::Source;

/// Openings that make a riddle of a comment's subject.
const RIDDLES: &[&str] = &["What", "Who", "Where", "Whose", "Whom"];

/// Comments whose first sentence does not open with its subject.
pub fn riddles(sources: &[Source]) -> Vec<String> {
    let mut broken = Vec::new();
    for source in sources {
        let mut before = None;
        for line in source.text.lines() {
            let comment = comment(line);
            let first = comment.and_then(|text| text.split_whitespace().next());
            if before.is_none() && first.is_some_and(|word| RIDDLES.contains(&word)) {
                broken.push(format!("{}: {}", source.path, line.trim()));
            }
            before = comment;
        }
    }
    broken
}

/// Code blocks that would be examples to run: nobody runs them, so none may look as if somebody did.
pub fn examples(sources: &[Source]) -> Vec<String> {
    let mut broken = Vec::new();
    for source in sources {
        let fences = source.text.lines().filter_map(comment);
        let fences = fences.filter_map(|text| text.trim().strip_prefix("```"));
        // Every second one ends a block.
        let opening = fences.step_by(2);
        let runs = opening.filter(|kind| !["ignore", "text", "sql", "json"].contains(kind));
        broken.extend(runs.map(|kind| format!("{}: ```{kind}", source.path)));
    }
    broken
}

/// The text of a line that is a comment.
fn comment(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let text = line.strip_prefix("//")?;
    Some(text.strip_prefix(['/', '!']).unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn riddles_are_seen() {
        let riddles = |text: &str| riddles(&[Source::new("a", text)]).len();
        for word in RIDDLES {
            assert_eq!(riddles(&format!("//! {word} they are judged by.")), 1);
            assert_eq!(riddles(&format!("fn f() {{\n    // {word} it is.\n}}")), 1);
        }
        assert_eq!(
            riddles("/// Counters of failures.\n/// What they count: logins."),
            0
        );
        assert_eq!(riddles("/// Whatever is sent."), 0);
    }

    #[test]
    fn examples_are_seen() {
        let examples = |text: &str| examples(&[Source::new("a", text)]).len();
        assert_eq!(examples("/// ```\n/// f();\n/// ```"), 1);
        assert_eq!(examples("//! ```rust\n//! f();\n//! ```"), 1);
        assert_eq!(examples("//! ```ignore\n//! f();\n//! ```"), 0);
    }
}
