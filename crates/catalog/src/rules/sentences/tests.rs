use super::*;

const WORDS: &str =
    "[any]\nmark = [\"!!\"]\n[en]\none = [\"one\", \"not one\"]\ntwo = [\"two*\"]\n[de]\none = [\"eins\"]\n";

fn rule(language: &str, pattern: &str) -> String {
    format!(
        "[[rules]]\nid = \"r\"\neffect = \"notice\"\nwhy = \"w\"\n[rules.languages.{language}]\npatterns = [\"{pattern}\"]\nmust_match = []\nmust_not_match = []\n"
    )
}

fn found(pattern: &str, text: &str) -> Vec<Range<usize>> {
    let sentences = Sentences::compile(WORDS, &[&rule("en", pattern)]).unwrap();
    let (found, _) = sentences.look(text, &Reading::of(text), &mut Scratch::default());
    found.into_iter().map(|found| found.span).collect()
}

#[test]
fn words_follow_each_other_in_order_and_within_one_sentence() {
    assert_eq!(found("one two", "one, two"), vec![0..8]);
    assert_eq!(found("one two", "Not ONE is twofold"), vec![0..14]);
    assert_eq!(found("one mark", "one!!"), vec![0..5]);
    for text in ["two one", "one. Two", "one\n\ntwo", "none two", "one-two", "one xtwo", "eins two"] {
        assert!(found("one two", text).is_empty(), "{text}");
    }
}

#[test]
fn words_stand_near_each_other_unless_the_pattern_says_otherwise() {
    let apart = |bytes: usize| format!("one{}two", " ,".repeat(bytes / 2));
    assert_eq!(found("one two", &apart(GAP_BYTES)).len(), 1);
    assert_eq!(found("one two", &apart(GAP_BYTES + 2)).len(), 0);
    assert_eq!(found("one .. two", &apart(GAP_BYTES_FAR)).len(), 1);
    assert_eq!(found("one .. two", &apart(GAP_BYTES_FAR + 2)).len(), 0);
}

#[test]
fn one_word_does_not_take_two_places_and_one_text_does_not_go_on_in_the_next() {
    assert!(found("one one", "one").is_empty());
    assert_eq!(found("one one", "one one"), vec![0..7]);
    let sentences = Sentences::compile(WORDS, &[&rule("en", "one two")]).unwrap();
    let mut scratch = Scratch::default();
    for text in ["one", "    two"] {
        assert!(sentences.look(text, &Reading::of(text), &mut scratch).0.is_empty());
    }
}

#[test]
fn rules_that_name_no_words_are_refused() {
    let compile = |language: &str, pattern: &str| Sentences::compile(WORDS, &[&rule(language, pattern)]).err();
    assert!(compile("en", "one mark").is_none() && compile("de", "one mark").is_none());
    assert!(matches!(compile("de", "one two"), Some(BadRules::NoWords { .. })));
    assert!(matches!(compile("en", ".."), Some(BadRules::EmptyPattern { .. })));
    let unknown = format!("{}severity = 1\n", rule("en", "one"));
    assert!(matches!(Sentences::compile(WORDS, &[&unknown]).err(), Some(BadRules::Form(_))));
}
