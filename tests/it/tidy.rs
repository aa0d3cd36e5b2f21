//! The rules of the source tree: who may know whom, how long a file may be, how things are named.
//!
//! Each rule is a function from sources to what breaks it. It is run over the tree, and its own test shows it an
//! offending source.

mod comments;
mod imports;
mod named_tests;
mod names;
mod size;
mod source;

use source::{Source, lua_scripts, sources};

fn assert_kept(broken: &[String]) {
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn no_module_knows_more_than_it_may() {
    assert_kept(&imports::forbidden(&sources("src")));
}

#[test]
fn features_know_only_features_before_them() {
    assert_kept(&imports::out_of_order(&sources("src")));
}

#[test]
fn authentication_and_platform_meet_in_the_api_alone() {
    assert_kept(&imports::meets_both(&sources("src")));
}

#[test]
fn what_belongs_to_one_module_is_touched_nowhere_else() {
    assert_kept(&imports::touched_elsewhere(&sources("src")));
}

#[test]
fn no_file_is_longer_than_500_lines_and_each_says_why_it_exists() {
    for folder in ["src", "load/src", "tests/it", "benches"] {
        assert_kept(&size::long_files(&sources(folder)));
    }
    for folder in ["src", "tests/it"] {
        assert_kept(&size::without_purpose(&sources(folder)));
    }
}

#[test]
fn no_function_is_longer_than_60_lines() {
    for folder in ["src", "load/src"] {
        assert_kept(&size::long_functions(&sources(folder)));
    }
}

#[test]
fn no_name_is_empty_of_meaning() {
    for folder in ["src", "load/src", "tests/it", "benches"] {
        assert_kept(&names::empty_of_meaning(&sources(folder)));
    }
}

#[test]
fn no_identifier_is_a_metaphor() {
    assert_kept(&names::metaphors(&sources("src")));
    assert_kept(&names::metaphors(&sources("tests/it")));
}

#[test]
fn no_comment_opens_with_a_riddle() {
    assert_kept(&comments::riddles(&sources("src")));
}

#[test]
fn no_example_in_the_documentation_goes_unrun() {
    for folder in ["src", "load/src"] {
        assert_kept(&comments::examples(&sources(folder)));
    }
}

#[test]
fn every_script_tells_its_keys_arguments_and_answer() {
    let scripts = lua_scripts();
    assert!(!scripts.is_empty());
    for script in scripts {
        for part in ["-- KEYS", "-- ARGV", "-- Returns"] {
            assert!(script.text.contains(part), "{}: {part}", script.path);
        }
    }
}

#[test]
fn every_test_that_the_page_on_security_names_exists() {
    let page = include_str!("../../docs/security.md");
    let both = ["src", "tests/it"].map(sources).concat();
    assert_kept(&named_tests::missing(page, &both));
}
