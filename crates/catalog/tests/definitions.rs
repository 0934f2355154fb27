//! What real descriptions of tools are marked for, and how many of poisoned ones are: `tests/data/definitions`.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use sekisho_catalog::{Effect, Mark, Neighbours, Rules};
use sekisho_wire::json::Limits;
use sekisho_wire::{Json, ListKind, ServerId};

/// The marks of every description of a file.
fn marks_of(file: &str) -> Vec<(String, Vec<Mark>)> {
    let alone = Neighbours::new(&ServerId::parse("own").unwrap(), std::iter::empty());
    let look = |line: &str| {
        let row = Json::decode(line.to_owned().into(), &Limits::default()).expect("a row");
        let text = row.get("text").expect("a text");
        let definition = Json::empty_object().with("name", &Json::text("tool")).with("description", &text);
        let marks = Rules::standard().look(ListKind::Tools, &definition, &alone);
        (text.string().expect("a string").into_owned(), marks)
    };
    file.lines().map(look).collect()
}

fn is_withheld(marks: &[Mark]) -> bool {
    marks.iter().any(|mark| mark.effect == Effect::Withhold)
}

#[test]
fn at_most_one_honest_description_in_a_hundred_is_withheld() {
    let all = marks_of(include_str!("data/definitions/benign.jsonl"));
    for (text, marks) in all.iter().filter(|(_, marks)| !marks.is_empty()) {
        println!("{}", text.chars().take(80).collect::<String>().replace('\n', " "));
        marks.iter().for_each(|mark| println!("    {} ({:?}): {}", mark.rule, mark.effect, mark.quote));
    }
    let withheld = all.iter().filter(|(_, marks)| is_withheld(marks)).count();
    let noticed = all.iter().filter(|(_, marks)| !marks.is_empty()).count();
    println!("{withheld} of {} are withheld, {noticed} are marked", all.len());
    assert_eq!(all.len(), 621);
    assert!(withheld * 100 <= all.len() && noticed * 20 <= all.len());
}

#[test]
fn at_least_nine_poisoned_descriptions_in_ten_are_withheld() {
    let all = marks_of(include_str!("data/definitions/poisoned.jsonl"));
    let withheld = all.iter().filter(|(_, marks)| is_withheld(marks)).count();
    println!("{withheld} of {} are withheld", all.len());
    assert_eq!(all.len(), 300);
    assert!(withheld * 10 >= all.len() * 9);
}
