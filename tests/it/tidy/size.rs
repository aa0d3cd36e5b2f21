//! Sizes of files and functions.

use super::Source;

const LONGEST_FILE: usize = 500;
const LONGEST_FUNCTION: usize = 60;

pub fn long_files(sources: &[Source]) -> Vec<String> {
    let lengths = sources
        .iter()
        .map(|source| (source, source.text.lines().count()));
    let long = lengths.filter(|(_, length)| *length > LONGEST_FILE);
    long.map(|(source, length)| format!("{}: {length} lines", source.path))
        .collect()
}

/// Files that do not begin by saying why they exist.
pub fn without_purpose(sources: &[Source]) -> Vec<String> {
    let silent = sources
        .iter()
        .filter(|source| !source.text.starts_with("//!"));
    silent.map(|source| source.path.clone()).collect()
}

pub fn long_functions(sources: &[Source]) -> Vec<String> {
    let mut broken = Vec::new();
    for source in sources {
        let functions = functions(&source.text).into_iter();
        let long = functions.filter(|(_, length)| *length > LONGEST_FUNCTION);
        broken
            .extend(long.map(|(name, length)| format!("{}: {name}, {length} lines", source.path)));
    }
    broken
}

/// Name and length of every function with a body of its own lines; comments and blank lines do not count. Relies
/// on rustfmt: the end has the indentation of the beginning.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let begin = |(at, line): (usize, &&str)| {
        let name = name_of(line)?;
        let indent = &line[..line.len() - line.trim_start().len()];
        let end = lines[at..].iter().position(|line| {
            let rest = line.strip_prefix(indent);
            rest.is_some_and(|rest| rest == "}" || rest.ends_with(';') && !rest.starts_with(' '))
        })?;
        let code = lines[at..=at + end].iter().map(|line| line.trim_start());
        let code = code.filter(|line| !line.is_empty() && !line.starts_with("//"));
        Some((name, code.count()))
    };
    lines.iter().enumerate().filter_map(begin).collect()
}

/// The name of the function that begins on a line.
fn name_of(line: &str) -> Option<String> {
    let (before, after) = line.trim_start().split_once("fn ")?;
    let is_declaration = before.split_whitespace().all(|word| {
        ["async", "const", "extern"].contains(&word)
            || word.starts_with("pub")
            || word.ends_with(')')
    });
    let name: String = after
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect();
    (is_declaration && !name.is_empty() && !line.ends_with('}')).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_is_seen() {
        let lines = |number| vec![Source::new("a", &"x\n".repeat(number))];
        assert_eq!(long_files(&lines(501)), ["a: 501 lines"]);
        assert_eq!(long_files(&lines(500)), [""; 0]);
    }

    #[test]
    fn a_file_without_a_purpose_is_seen() {
        let sources = [Source::new("a", "use b;"), Source::new("b", "//! Why.")];
        assert_eq!(without_purpose(&sources), ["a"]);
    }

    #[test]
    fn a_long_function_is_seen() {
        let body = |lines| {
            format!(
                "impl A {{\n    pub(in crate::x) async fn f(\n        a: u8,\n    ) {{\n{}    }}\n}}\n",
                "        // Why.\n\n        x;\n".repeat(lines)
            )
        };
        let long = |lines| long_functions(&[Source::new("a/b", &body(lines))]);
        assert_eq!(long(57), ["a/b: f, 61 lines"]);
        assert_eq!(long(56), [""; 0]);
        let short = "trait A {\n    fn f(&self);\n    fn g(&self) {}\n}\n";
        assert_eq!(functions(short), [("f".to_owned(), 1)]);
    }
}
