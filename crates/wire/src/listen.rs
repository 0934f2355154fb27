//! Listening: what a client wants to hear of, and what servers tell without being asked (2026-07-28, Subscriptions; 2025-11-25,
//! the GET stream).

use crate::id::Id;
use crate::json::{Array, Json, Object};

/// What a client wants to hear of, or a server says that it will tell (SU-01).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// That the list of tools has changed.
    pub tools: bool,
    /// That the list of prompts has changed.
    pub prompts: bool,
    /// That the list of resources has changed.
    pub resources: bool,
    /// Resources whose changes are wanted, each as the client's door or the server writes it. At most [`URIS_MAX`].
    pub uris: Vec<Box<str>>,
    /// Whatever the server tells the session beside: log messages, and changes of what was subscribed to by
    /// `resources/subscribe` (legacy).
    pub session: bool,
    /// How tasks go on (`taskIds`). A wish alone: clients ask about tasks, and are not told.
    pub tasks: bool,
}

/// What a server tells without being asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// A list has changed.
    Changed(Listed),
    /// A resource has changed.
    Updated {
        /// Which, as the server writes it.
        uri: Box<str>,
    },
    /// What of the filter it will tell (modern).
    Acknowledged(Filter),
}

/// A list that may change. Templates change with resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    /// `tools/list`
    Tools,
    /// `prompts/list`
    Prompts,
    /// `resources/list` and `resources/templates/list`
    Resources,
}

impl Listed {
    /// All of them.
    pub const ALL: [Listed; 3] = [Listed::Tools, Listed::Prompts, Listed::Resources];

    /// The notification that says so.
    #[must_use]
    pub fn notice(self) -> &'static str {
        match self {
            Listed::Tools => TOOLS,
            Listed::Prompts => PROMPTS,
            Listed::Resources => RESOURCES,
        }
    }

    /// The method that lists it, which is also the Cedar action that decides who may hear of a change.
    #[must_use]
    pub fn method(self) -> &'static str {
        match self {
            Listed::Tools => "tools/list",
            Listed::Prompts => "prompts/list",
            Listed::Resources => "resources/list",
        }
    }
}

impl Filter {
    /// Whether nothing is wanted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Filter::default()
    }

    /// Whether a change of this list is wanted.
    #[must_use]
    pub fn wants(&self, list: Listed) -> bool {
        match list {
            Listed::Tools => self.tools,
            Listed::Prompts => self.prompts,
            Listed::Resources => self.resources,
        }
    }

    /// What both want.
    #[must_use]
    pub fn and(&self, other: &Filter) -> Filter {
        Filter {
            tools: self.tools && other.tools,
            prompts: self.prompts && other.prompts,
            resources: self.resources && other.resources,
            uris: self.uris.iter().filter(|uri| other.uris.contains(uri)).cloned().collect(),
            session: self.session && other.session,
            tasks: self.tasks && other.tasks,
        }
    }

    /// What either wants.
    #[must_use]
    pub fn or(mut self, other: Filter) -> Filter {
        for uri in other.uris {
            if !self.uris.contains(&uri) {
                self.uris.push(uri);
            }
        }
        Filter {
            tools: self.tools || other.tools,
            prompts: self.prompts || other.prompts,
            resources: self.resources || other.resources,
            session: self.session || other.session,
            tasks: self.tasks || other.tasks,
            uris: self.uris,
        }
    }

    /// Reads `notifications` of a filter or of an acknowledgement; members without a meaning here are dropped.
    ///
    /// # Errors
    /// One clause: it has the wrong shape, or names too many resources.
    pub fn read(of: &Json) -> Result<Filter, &'static str> {
        if !of.is_object() {
            return Err("`notifications` is not an object");
        }
        let flag = |key: &str| match of.get(key) {
            None => Ok(false),
            Some(flag) => flag.boolean().ok_or("a member of `notifications` is no boolean"),
        };
        let mut uris: Vec<Box<str>> = Vec::new();
        if let Some(list) = of.get(SUBSCRIPTIONS) {
            if list.kind() != crate::json::Kind::Array {
                return Err("`resourceSubscriptions` is not an array");
            }
            for uri in list.elements() {
                let uri = uri.string().ok_or("`resourceSubscriptions` has an element that is no string")?;
                if uris.len() == URIS_MAX {
                    return Err("`resourceSubscriptions` is too long");
                }
                if !uris.iter().any(|known| **known == *uri) {
                    uris.push(uri.into());
                }
            }
        }
        let (tools, prompts, resources) =
            (flag("toolsListChanged")?, flag("promptsListChanged")?, flag("resourcesListChanged")?);
        Ok(Filter { tools, prompts, resources, uris, session: false, tasks: of.get(TASKS).is_some() })
    }

    /// Writes it as it is read. What is not wanted is left out.
    #[must_use]
    pub fn written(&self) -> Json {
        let flags = [
            ("toolsListChanged", self.tools),
            ("promptsListChanged", self.prompts),
            ("resourcesListChanged", self.resources),
        ];
        let set = flags.into_iter().filter(|(_, set)| *set);
        let written = set.fold(Object::new(), |object, (key, set)| object.bool(key, set));
        if self.uris.is_empty() {
            return written.finish();
        }
        let mut list = Array::new();
        self.uris.iter().for_each(|uri| list.push(&Json::text(uri)));
        written.json(SUBSCRIPTIONS, &list.finish()).finish()
    }
}

/// Reads a notification that belongs to no call; none if it is another one.
pub(crate) fn told(method: &str, params: Option<&Json>) -> Option<Result<Told, &'static str>> {
    Some(match method {
        TOOLS => Ok(Told::Changed(Listed::Tools)),
        PROMPTS => Ok(Told::Changed(Listed::Prompts)),
        RESOURCES => Ok(Told::Changed(Listed::Resources)),
        UPDATED => {
            let uri = params.and_then(|params| params.get("uri"));
            let uri = uri.as_ref().and_then(Json::string).map(|uri| Told::Updated { uri: uri.into() });
            uri.ok_or("`uri` is not a string")
        }
        ACKNOWLEDGED => match params.and_then(|params| params.get("notifications")) {
            Some(filter) => Filter::read(&filter).map(Told::Acknowledged),
            None => Err("`notifications` is missing"),
        },
        _ => return None,
    })
}

/// The listening that a notification belongs to, as the server says (modern).
pub(crate) fn subscription(params: Option<&Json>) -> Option<Id> {
    Id::read(&params?.get("_meta")?.get(SUBSCRIPTION)?).ok()
}

const TOOLS: &str = "notifications/tools/list_changed";
const PROMPTS: &str = "notifications/prompts/list_changed";
const RESOURCES: &str = "notifications/resources/list_changed";
/// `notifications/resources/updated`
pub const UPDATED: &str = "notifications/resources/updated";
/// `notifications/subscriptions/acknowledged`
pub const ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";
/// The member of `_meta` that names the listening a message belongs to.
pub const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";
const SUBSCRIPTIONS: &str = "resourceSubscriptions";
const TASKS: &str = "taskIds";

/// Most resources that one listening names.
pub const URIS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::json::Limits;

    fn json(text: &str) -> Json {
        Json::decode(Bytes::copy_from_slice(text.as_bytes()), &Limits::default()).expect("strict JSON")
    }

    #[test]
    fn a_filter_is_written_as_it_is_read() {
        let text = r#"{"toolsListChanged":true,"resourcesListChanged":true,"resourceSubscriptions":["a:1","a:2"]}"#;
        let filter = Filter::read(&json(text)).expect("a filter");
        assert_eq!(filter.written().as_str(), text);
        assert!(filter.wants(Listed::Tools) && !filter.wants(Listed::Prompts) && filter.wants(Listed::Resources));
        let tasks = Filter::read(&json(r#"{"promptsListChanged":false,"taskIds":["x"]}"#)).expect("a filter");
        assert_eq!((tasks.tasks, tasks.written().as_str()), (true, "{}"), "a wish, and no more");
        let twice = Filter::read(&json(r#"{"resourceSubscriptions":["a:1","a:1"]}"#)).expect("a filter");
        assert_eq!(twice.uris.len(), 1);
    }

    #[test]
    fn a_filter_of_the_wrong_shape_or_too_long_is_refused() {
        for bad in [
            "[]",
            r#"{"toolsListChanged":1}"#,
            r#"{"toolsListChanged":null}"#,
            r#"{"resourceSubscriptions":"a:1"}"#,
            r#"{"resourceSubscriptions":[1]}"#,
        ] {
            assert!(Filter::read(&json(bad)).is_err(), "{bad}");
        }
        let of = |count: usize| {
            let uris: Vec<String> = (0..count).map(|n| format!("\"a:{n}\"")).collect();
            Filter::read(&json(&format!(r#"{{"resourceSubscriptions":[{}]}}"#, uris.join(","))))
        };
        assert!(of(URIS_MAX).is_ok() && of(URIS_MAX + 1).is_err());
    }

    #[test]
    fn filters_are_joined_and_met() {
        let one = Filter { tools: true, uris: vec!["a".into(), "b".into()], ..Filter::default() };
        let other = Filter { tools: true, prompts: true, uris: vec!["b".into(), "c".into()], ..Filter::default() };
        let met = one.and(&other);
        assert_eq!(met, Filter { tools: true, uris: vec!["b".into()], ..Filter::default() });
        let joined = one.or(other);
        assert!(joined.tools && joined.prompts && joined.uris.len() == 3);
    }

    #[test]
    fn what_is_told_is_read_with_the_listening_it_belongs_to() {
        let read = |method: &str, params: &str| told(method, Some(&json(params)));
        assert_eq!(told(TOOLS, None), Some(Ok(Told::Changed(Listed::Tools))));
        assert_eq!(read(UPDATED, r#"{"uri":"a:1"}"#), Some(Ok(Told::Updated { uri: "a:1".into() })));
        assert!(matches!(read(UPDATED, "{}"), Some(Err(_))));
        assert!(matches!(read(ACKNOWLEDGED, "{}"), Some(Err(_))));
        assert_eq!(
            read(ACKNOWLEDGED, r#"{"notifications":{"toolsListChanged":true}}"#),
            Some(Ok(Told::Acknowledged(Filter { tools: true, ..Filter::default() })))
        );
        assert!(told("notifications/elicitation/complete", None).is_none());
        let params = json(r#"{"_meta":{"io.modelcontextprotocol/subscriptionId":7}}"#);
        assert_eq!(subscription(Some(&params)), Some(Id::Integer(7)));
        assert_eq!(subscription(Some(&json("{}"))), None);
    }
}
