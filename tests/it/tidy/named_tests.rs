//! Tests that documents name: each row of a table of `docs/security.md` names at least one, and each exists.

use super::Source;

/// Rows without a test, and names of tests that no source has. A name is `path::function`.
pub fn missing(document: &str, sources: &[Source]) -> Vec<String> {
    let rows = document.lines().filter(|line| line.starts_with("| "));
    let rows = rows.filter(|line| !line.starts_with("| class "));
    let mut broken = Vec::new();
    for row in rows {
        let names: Vec<&str> = row.split('`').filter(|part| part.contains("::")).collect();
        if names.is_empty() {
            broken.push(format!("no test: {row}"));
        }
        let unknown = names.into_iter().filter(|name| !exists(name, sources));
        broken.extend(unknown.map(|name| format!("no such test: {name}")));
    }
    broken
}

/// Whether the source of that path has that function, under an attribute that makes it a test.
fn exists(name: &str, sources: &[Source]) -> bool {
    let Some((path, function)) = name.rsplit_once("::") else {
        return false;
    };
    let begin = format!("fn {function}(");
    sources
        .iter()
        .filter(|source| source.path == path)
        .any(|source| {
            let lines: Vec<&str> = source.text.lines().map(str::trim_start).collect();
            let at = lines.iter().position(|line| line.contains(&begin));
            let above = lines[..at.unwrap_or(0)].iter().rev();
            let mut attributes = above.take_while(|line| line.starts_with("#["));
            attributes.any(|attribute| attribute.contains("test"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_without_a_test_or_with_one_that_is_gone_is_seen() {
        let source = Source::new(
            "a/b",
            "#[tokio::test]\nasync fn it_holds() {}\nfn it_is_none() {}\n",
        );
        let broken = |row: &str| missing(row, std::slice::from_ref(&source));
        assert!(broken("| fault | answer | `a/b::it_holds` |").is_empty());
        assert_eq!(broken("| fault | answer | |").len(), 1);
        for name in ["a/b::it_is_none", "a/b::it_is_gone", "a/c::it_holds"] {
            let row = format!("| fault | answer | `a/b::it_holds` `{name}` |");
            assert_eq!(broken(&row), [format!("no such test: {name}")]);
        }
    }
}
