//! What a client's file says, whatever it is written in.

use std::fmt::Write as _;
use std::ops::Range;

use sekisho_wire::Json;

/// A value, and where it stands.
#[derive(Clone, PartialEq)]
pub(crate) struct Node {
    /// What it is.
    pub(crate) value: Value,
    /// Its bytes in the text; empty where it has no place of its own (tables of TOML).
    pub(crate) at: Range<usize>,
    /// How it is written.
    pub(crate) style: Style,
}

/// What a value is.
#[derive(Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    /// A number or date, as written.
    Number(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Member>),
    /// What this program does not edit: anchors, aliases, tags, keys that are no text. As written.
    Odd(String),
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Between brackets or quotes, or on one line.
    Plain,
    /// By indentation (YAML): blocks of members, entries or lines.
    Block,
}

/// A member of a map.
#[derive(Clone, PartialEq)]
pub(crate) struct Member {
    pub(crate) key: String,
    pub(crate) key_at: Range<usize>,
    pub(crate) node: Node,
}

impl std::fmt::Debug for Node {
    // Never the content: clients' files hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Node({:?})", self.at)
    }
}

impl Node {
    /// A value without a place.
    #[must_use]
    pub(crate) fn new(value: Value) -> Node {
        Node { value, at: 0..0, style: Style::Plain }
    }

    #[must_use]
    pub(crate) fn text(text: &str) -> Node {
        Node::new(Value::Text(text.to_owned()))
    }

    #[must_use]
    pub(crate) fn texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Node {
        Node::new(Value::List(texts.into_iter().map(Node::text).collect()))
    }

    #[must_use]
    pub(crate) fn members(&self) -> &[Member] {
        if let Value::Map(members) = &self.value { members } else { &[] }
    }

    pub(crate) fn members_mut(&mut self) -> Option<&mut Vec<Member>> {
        if let Value::Map(members) = &mut self.value { Some(members) } else { None }
    }

    #[must_use]
    pub(crate) fn elements(&self) -> &[Node] {
        if let Value::List(elements) = &self.value { elements } else { &[] }
    }

    #[must_use]
    pub(crate) fn member(&self, key: &str) -> Option<&Member> {
        self.members().iter().find(|member| member.key == key)
    }

    #[must_use]
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.member(key).map(|member| &member.node)
    }

    #[must_use]
    pub(crate) fn as_text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value { Some(text) } else { None }
    }

    /// The value at the end of these keys.
    #[must_use]
    pub(crate) fn find<'a>(&self, keys: impl IntoIterator<Item = &'a str>) -> Option<&Node> {
        keys.into_iter().try_fold(self, |node, key| node.get(key))
    }

    /// The value at the end of these keys.
    pub(crate) fn find_mut<'a>(&mut self, keys: impl IntoIterator<Item = &'a str>) -> Option<&mut Node> {
        keys.into_iter().try_fold(self, |node, key| {
            node.members_mut()?.iter_mut().find(|member| member.key == key).map(|member| &mut member.node)
        })
    }

    /// The entry called `key`: a member of a map, or an element of a list whose `name` it is.
    #[must_use]
    pub(crate) fn entry(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(_) => self.get(key),
            Value::List(elements) => elements.iter().find(|element| element.is_called(key)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::Odd(_) => None,
        }
    }

    /// The entry called `key`.
    pub(crate) fn entry_mut(&mut self, key: &str) -> Option<&mut Node> {
        match &mut self.value {
            Value::Map(members) => members.iter_mut().find(|member| member.key == key).map(|member| &mut member.node),
            Value::List(elements) => elements.iter_mut().find(|element| element.is_called(key)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::Odd(_) => None,
        }
    }

    fn is_called(&self, key: &str) -> bool {
        self.get("name").and_then(Node::as_text) == Some(key)
    }

    /// Puts a member in the place of the one of that name, or at the end.
    pub(crate) fn set(&mut self, key: &str, node: Node) {
        let Some(members) = self.members_mut() else { return };
        match members.iter_mut().find(|member| member.key == key) {
            Some(member) => member.node = node,
            None => members.push(Member { key: key.to_owned(), key_at: 0..0, node }),
        }
    }

    /// Whether something in it is not edited by this program.
    #[must_use]
    pub(crate) fn is_odd(&self) -> bool {
        match &self.value {
            Value::Odd(_) => true,
            Value::List(elements) => elements.iter().any(Node::is_odd),
            Value::Map(members) => members.iter().any(|member| member.key == "<<" || member.node.is_odd()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => false,
        }
    }

    /// The same meaning has the same text, however it is written and in whatever order its members are.
    #[must_use]
    pub(crate) fn canonical(&self) -> String {
        let mut text = String::new();
        self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) {
        match &self.value {
            Value::Null => text.push_str("null"),
            Value::Bool(true) => text.push_str("true"),
            Value::Bool(false) => text.push_str("false"),
            Value::Number(number) => text.push_str(number),
            Value::Text(content) => text.push_str(Json::text(content).as_str()),
            Value::Odd(written) => {
                // Writing into a String cannot fail.
                let _ = write!(text, "!{}", Json::text(written).as_str());
            }
            Value::List(elements) => {
                text.push('[');
                for (at, element) in elements.iter().enumerate() {
                    text.push_str(if at == 0 { "" } else { "," });
                    element.write(text);
                }
                text.push(']');
            }
            Value::Map(members) => {
                let mut sorted: Vec<&Member> = members.iter().collect();
                sorted.sort_by(|one, other| one.key.cmp(&other.key));
                text.push('{');
                for (at, member) in sorted.iter().enumerate() {
                    text.push_str(if at == 0 { "" } else { "," });
                    text.push_str(Json::text(&member.key).as_str());
                    text.push(':');
                    member.node.write(text);
                }
                text.push('}');
            }
        }
    }

    /// Every text in it with its place and the key that it stands under; those of a list stand under the key of the list.
    pub(crate) fn each_text<'a>(&'a self, key: &'a str, see: &mut dyn FnMut(&'a str, &'a Node, &'a str)) {
        match &self.value {
            Value::Text(text) => see(key, self, text),
            Value::List(elements) => elements.iter().for_each(|element| element.each_text(key, see)),
            Value::Map(members) => members.iter().for_each(|member| member.node.each_text(&member.key, see)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Odd(_) => {}
        }
    }
}
