//! Every string of a definition, and where it stands.

use std::borrow::Cow;
use std::fmt::Write;

use sekisho_wire::Json;

/// Which of the two strings at a place of a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The name of the member.
    Name,
    /// Its value.
    Value,
}

/// Where a string stands.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    steps: Vec<Step<'a>>,
    part: Part,
}

#[derive(Debug)]
enum Step<'a> {
    Member(Cow<'a, str>),
    Element(usize),
}

impl Place<'_> {
    /// The value of a member of the definition itself.
    pub(crate) fn member(name: &str) -> Place<'_> {
        Place { steps: vec![Step::Member(name.into())], part: Part::Value }
    }

    pub(crate) fn part(&self) -> Part {
        self.part
    }

    /// The place as a JSON pointer (RFC 6901).
    pub(crate) fn pointer(&self) -> String {
        let mut pointer = String::new();
        for step in &self.steps {
            // Writing into a String cannot fail.
            let _ = match step {
                Step::Member(name) => write!(pointer, "/{}", name.replace('~', "~0").replace('/', "~1")),
                Step::Element(number) => write!(pointer, "/{number}"),
            };
        }
        pointer
    }

    /// Whether it is the name of an argument that the model is to fill in.
    pub(crate) fn is_argument(&self) -> bool {
        let is = |step: Option<&Step<'_>>, expected: &str| matches!(step, Some(Step::Member(name)) if name == expected);
        let of_tool = is(self.steps.first(), "inputSchema") && is(self.steps.iter().rev().nth(1), "properties");
        match self.part {
            Part::Name => of_tool,
            Part::Value => {
                is(self.steps.first(), "arguments") && self.steps.len() == 3 && is(self.steps.last(), "name")
            }
        }
    }
}

/// Shows every string of a definition to `visit`, names of members as well.
pub(crate) fn walk(definition: &Json, visit: &mut dyn FnMut(&Place<'_>, &str)) {
    let mut place = Place { steps: Vec::new(), part: Part::Value };
    below(definition, &mut place, DEPTH_MAX, visit);
}

fn below<'a>(json: &'a Json, place: &mut Place<'_>, depth_left: usize, visit: &mut dyn FnMut(&Place<'_>, &str)) {
    if let Some(string) = json.string() {
        place.part = Part::Value;
        visit(place, &string);
    }
    let Some(depth_left) = depth_left.checked_sub(1) else { return };
    for (name, value) in json.members() {
        place.steps.push(Step::Member(Cow::Owned(name.clone().into_owned())));
        place.part = Part::Name;
        visit(place, &name);
        below(&value, place, depth_left, visit);
        place.steps.pop();
    }
    for (number, element) in json.elements().enumerate() {
        place.steps.push(Step::Element(number));
        below(&element, place, depth_left, visit);
        place.steps.pop();
    }
}

/// The text in which words are looked for: in what is one name, not sentences, what joins words parts them.
pub(crate) fn spaced(text: &str) -> Cow<'_, str> {
    let is_name = text.chars().all(|char| char.is_alphanumeric() || matches!(char, '_' | '-' | '.'));
    if is_name && text.contains(['_', '-']) { text.replace(['_', '-'], " ").into() } else { text.into() }
}

/// LIMIT: a definition that nests deeper is withheld before any rule looks at it.
const DEPTH_MAX: usize = 256;
