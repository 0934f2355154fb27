//! YAML, by the events of a parser that tells where everything stands. Nothing is written out again from the tree: only bytes of single
//! values are exchanged, so comments and layout stay.

use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, StructureStyle, options};

use super::tree::{Member, Node, Style, Value};

/// Reads a text of one document.
///
/// # Errors
/// What is wrong, and in which line.
pub(crate) fn read(text: &str) -> Result<Node, String> {
    let options = options! {
        emit_comments: false,
        disallow_directives: true,
        flow_nesting_limit: DEPTH_MAX,
        block_nesting_limit: DEPTH_MAX,
    };
    let mut builder = Builder { text, open: Vec::new(), root: None };
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| format!("it is no YAML ({error})"))?;
        let at = span.byte_range().ok_or("it is no YAML")?;
        builder.take(event, at)?;
    }
    builder.root.ok_or_else(|| "it is empty".to_owned())
}

/// What is open while events come.
struct Builder<'a> {
    text: &'a str,
    open: Vec<Open>,
    root: Option<Node>,
}

struct Open {
    start: usize,
    style: Style,
    is_odd: bool,
    what: What,
}

enum What {
    List(Vec<Node>),
    Map(Vec<Member>, Option<Node>),
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, at: Range<usize>) -> Result<(), String> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_odd = anchor != 0 || tag.is_some();
                self.close(self.scalar(&text, style, is_odd, at))
            }
            Event::Alias(_) => {
                let written = self.text.get(at.clone()).unwrap_or_default().to_owned();
                self.close(Node { value: Value::Odd(written), at, style: Style::Plain })
            }
            Event::SequenceStart(style, anchor, tag) => {
                let is_odd = anchor != 0 || tag.is_some();
                self.open.push(Open { start: at.start, style: of(style), is_odd, what: What::List(Vec::new()) });
                Ok(())
            }
            Event::MappingStart(style, anchor, tag) => {
                let is_odd = anchor != 0 || tag.is_some();
                self.open.push(Open { start: at.start, style: of(style), is_odd, what: What::Map(Vec::new(), None) });
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let open = self.open.pop().ok_or("it is no YAML")?;
                let node = self.closed(open, at.end);
                self.close(node)
            }
            Event::DocumentStart(..) if self.root.is_some() => Err("it has more than one document".to_owned()),
            Event::StreamStart | Event::StreamEnd | Event::DocumentStart(..) | Event::DocumentEnd => Ok(()),
            Event::Anchor(..) | Event::UnresolvedAlias(_) | _ => {
                Err("it has something that is not known here".to_owned())
            }
        }
    }

    fn scalar(&self, text: &str, style: ScalarStyle, is_odd: bool, at: Range<usize>) -> Node {
        let written = self.text.get(at.clone()).unwrap_or_default();
        let end = at.start.saturating_add(written.trim_end().len());
        let style_of = match style {
            ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
            ScalarStyle::Plain | ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted if written.contains('\n') => {
                Style::Block
            }
            ScalarStyle::Plain | ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Plain,
        };
        let value = if is_odd {
            Value::Odd(format!("{text:?}"))
        } else if style == ScalarStyle::Plain {
            plain(text)
        } else {
            Value::Text(text.to_owned())
        };
        Node { value, at: at.start..end, style: style_of }
    }

    /// A list or map whose end was seen. A block has no end of its own: it ends with what is last in it.
    fn closed(&self, open: Open, end: usize) -> Node {
        let (value, last) = match open.what {
            What::List(elements) => {
                let last = elements.last().map(|element| element.at.end);
                (Value::List(elements), last)
            }
            What::Map(members, _) => {
                let last = members.last().map(|member| member.node.at.end.max(member.key_at.end));
                (Value::Map(members), last)
            }
        };
        let end = if open.style == Style::Block { last.unwrap_or(open.start) } else { end };
        let value =
            if open.is_odd { Value::Odd(self.text.get(open.start..end).unwrap_or_default().to_owned()) } else { value };
        Node { value, at: open.start..end, style: open.style }
    }

    /// A whole node goes where it belongs.
    fn close(&mut self, node: Node) -> Result<(), String> {
        match self.open.last_mut().map(|open| &mut open.what) {
            None => self.root = Some(node),
            Some(What::List(elements)) => elements.push(node),
            Some(What::Map(members, key)) => match key.take() {
                None => *key = Some(node),
                Some(name) => {
                    let (text, is_key) = match name.value {
                        Value::Text(text) | Value::Number(text) => (text, true),
                        Value::Bool(bool) => (bool.to_string(), true),
                        Value::Null => ("null".to_owned(), true),
                        Value::Odd(_) | Value::List(_) | Value::Map(_) => (format!("? {}", name.at.start), false),
                    };
                    if members.iter().any(|member| member.key == text) {
                        return Err(format!("`{text}` stands twice in one map"));
                    }
                    let node = if is_key { node } else { Node { value: Value::Odd(node.canonical()), ..node } };
                    members.push(Member { key: text, key_at: name.at, node });
                }
            },
        }
        Ok(())
    }
}

fn of(style: StructureStyle) -> Style {
    if style == StructureStyle::Block { Style::Block } else { Style::Plain }
}

/// The core schema (YAML 1.2.2, section 10.3.2).
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ if is_number(text) => Value::Number(text.to_owned()),
        _ => Value::Text(text.to_owned()),
    }
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let special = [".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN"];
    let is_radix = text.strip_prefix("0x").is_some_and(|rest| i64::from_str_radix(rest, 16).is_ok())
        || text.strip_prefix("0o").is_some_and(|rest| i64::from_str_radix(rest, 8).is_ok());
    let starts = digits.starts_with(|first: char| first.is_ascii_digit() || first == '.');
    let is_decimal = starts && digits.parse::<f64>().is_ok() && digits.contains(|c: char| c.is_ascii_digit());
    is_radix || is_decimal || special.contains(&digits)
}

/// LIMIT: how deep lists and maps nest.
const DEPTH_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_the_values_alone() {
        let text = "# top é\nextensions:\n  fs: # about\n    enabled: true\n    cmd: npx # run\n    args:\n      - -y # yes\n      - \"@x\"   # last\n\n    # after\n    envs:\n      # inner\n      TOKEN: abc é\n  other: {a: [1, 2], b: }\n";
        let tree = read(text).unwrap();
        let at = |keys: &[&str]| text.get(tree.find(keys.iter().copied()).unwrap().at.clone()).unwrap();
        assert_eq!(at(&["extensions", "fs", "cmd"]), "npx");
        assert_eq!(at(&["extensions", "fs", "args"]), "- -y # yes\n      - \"@x\"");
        assert_eq!(at(&["extensions", "fs", "envs"]), "TOKEN: abc é");
        assert_eq!(at(&["extensions", "other"]), "{a: [1, 2], b: }");
        let canonical = tree.find(["extensions"]).unwrap().canonical();
        let expected = r#"{"fs":{"args":["-y","@x"],"cmd":"npx","enabled":true,"envs":{"TOKEN":"abc é"}},"other":{"a":[1,2],"b":null}}"#;
        assert_eq!(canonical, expected);
    }

    #[test]
    fn anchors_aliases_tags_and_merges_are_odd() {
        for text in ["a: &x 1", "a: &x {b: 1}\nc: *x\n", "a: !t 1", "? [a]\n: 1\n", "b: &b {}\na: {<<: *b}"] {
            assert!(read(text).unwrap().is_odd(), "{text}");
        }
        assert!(!read("a: {b: [1, x, '*y', \"&z\"]}").unwrap().is_odd());
    }

    #[test]
    fn what_is_no_single_document_is_refused() {
        for text in ["a: 1\na: 2\n", "--- 1\n--- 2\n", "a: [", "", "%YAML 1.2\n--- 1\n", "a: \"b"] {
            read(text).unwrap_err();
        }
        read(&"[".repeat(100)).unwrap_err();
    }
}
