//! Names: of modules that say nothing, of getters, and metaphors where the field has a word.

use super::Source;

const EMPTY_MODULES: &[&str] = &[
    "utils", "util", "helpers", "common", "manager", "impl", "mod",
];

/// Words of identifiers for which the field has better ones. Those that also mean something plain (`line`, `post`,
/// `case`, `turn`, `holder`) are left to the reader.
const METAPHORS: &[&str] = &[
    "arrival", "books", "coming", "desk", "door", "era", "fate", "glance", "house", "knock", "lab",
    "place", "pulse", "room", "seat", "shares", "standing", "ticket", "vacate",
];

/// Modules and functions with names that say nothing.
pub fn empty_of_meaning(sources: &[Source]) -> Vec<String> {
    let mut broken = Vec::new();
    for source in sources {
        let parts = source
            .path
            .split('/')
            .filter(|part| EMPTY_MODULES.contains(part));
        broken.extend(parts.map(|part| format!("{}: {part}", source.path)));
        let code = bare(&source.code());
        for getter in code
            .match_indices("fn get_")
            .map(|(start, _)| &code[start..])
        {
            let name = getter.split('(').next().unwrap_or(getter);
            broken.push(format!("{}: {name}", source.path));
        }
    }
    broken
}

/// Identifiers with a metaphor among their words.
pub fn metaphors(sources: &[Source]) -> Vec<String> {
    let mut broken = Vec::new();
    for source in sources {
        let code = bare(&source.code());
        let mut identifiers: Vec<_> = code
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .filter(|identifier| {
                words(identifier)
                    .iter()
                    .any(|word| METAPHORS.contains(&&**word))
            })
            .collect();
        identifiers.sort_unstable();
        identifiers.dedup();
        broken.extend(
            identifiers
                .iter()
                .map(|name| format!("{}: {name}", source.path)),
        );
    }
    broken
}

/// Code without what stands in quotes, and in comments behind it, as far as one line shows.
fn bare(code: &str) -> String {
    let outside = |line: &str| {
        let outside = line.split('"').step_by(2).collect::<Vec<_>>().join(" ");
        let code = outside.split("//").next();
        code.unwrap_or_default().to_owned()
    };
    code.lines().map(outside).collect::<Vec<_>>().join("\n")
}

/// The words of an identifier: `HashPlace` and `hash_place` are `hash`, `place`.
fn words(identifier: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = '_';
    for letter in identifier.chars() {
        if letter == '_' || letter.is_uppercase() && before.is_lowercase() {
            words.push(String::new());
        }
        if letter != '_' {
            let word = words.last_mut().expect("one");
            word.extend(letter.to_lowercase());
        }
        before = letter;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_names_are_seen() {
        for module in EMPTY_MODULES {
            let sources = [Source::new(&format!("auth/{module}"), "")];
            assert_eq!(empty_of_meaning(&sources).len(), 1, "{module}");
            let sources = [Source::new(&format!("{module}/x"), "")];
            assert_eq!(empty_of_meaning(&sources).len(), 1, "{module}");
        }
        let getter = [Source::new(
            "a",
            "pub fn get_user(&self) {}\nfn budget_left() {}",
        )];
        assert_eq!(empty_of_meaning(&getter), ["a: fn get_user"]);
    }

    #[test]
    fn metaphors_are_seen() {
        let metaphors = |text: &str| metaphors(&[Source::new("a", text)]);
        assert_eq!(
            metaphors("let house: HashPlace = f();"),
            ["a: HashPlace", "a: house"]
        );
        assert_eq!(
            metaphors("let household = \"house\"; // house"),
            ["a: house"; 0]
        );
        assert_eq!(metaphors("// a house\nself.has_room()"), ["a: has_room"]);
        assert_eq!(
            metaphors("impl Placement {} const SEAT: u8 = 1;"),
            ["a: SEAT"]
        );
    }
}
