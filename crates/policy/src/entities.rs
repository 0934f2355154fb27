//! Principals, actions, resources and context as Cedar sees them, built from typed parts and never from text.

use std::borrow::Cow;
use std::collections::HashMap;
use std::str::FromStr;
use std::time::SystemTime;

use cedar_policy::{Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression, Schema};
use sekisho_catalog::{Confidentiality, Impact, Server, Trust};
use sekisho_flow::Labels;
use sekisho_identity::Principal;
use sekisho_sandbox::Tier;
use sekisho_wire::{Endpoint, Era, Json, ListKind, ServerId};

use crate::arguments::Tags;
use crate::inputs::{Inputs, Time};
use crate::load::LoadError;
use crate::reads::Forms;

/// Cedar refused something that was built for it. Nothing is decided then.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    #[error("the action is not one of the schema's")]
    Action,
    #[error("the clock, or the time of a login, is one that cannot be written")]
    Time(#[source] jiff::Error),
    #[error("an entity cannot be built")]
    Entity(#[source] Box<cedar_policy::EntityAttrEvaluationError>),
    #[error("the context cannot be built")]
    Context(#[source] Box<cedar_policy::ContextCreationError>),
    #[error("the entities cannot be put together")]
    Entities(#[source] Box<cedar_policy::entities_errors::EntitiesError>),
    #[error("the policies that can match cannot be put together")]
    Slice(#[source] Box<cedar_policy::PolicySetError>),
    #[error("the request cannot be put together")]
    Request(#[source] Box<cedar_policy::RequestValidationError>),
}

/// A server as far as policies read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Its name.
    pub id: ServerId,
    /// How far it is trusted.
    pub trust: Trust,
    /// How confidential its data is.
    pub confidentiality: Confidentiality,
    /// How well its processes are confined; none where it is reached over HTTP.
    pub tier: Option<Tier>,
}

impl Origin {
    pub(crate) fn of(server: &Server) -> Origin {
        let config = server.config();
        Origin {
            id: server.id().clone(),
            trust: config.trust,
            confidentiality: config.confidentiality,
            tier: server.tier(),
        }
    }

    /// The id of what has this name there.
    fn id_of(&self, name: &str) -> String {
        [self.id.as_str(), "/", name].concat()
    }

    /// The word for how well it is confined.
    fn confinement(&self) -> &'static str {
        self.tier.map_or("remote", Tier::as_str)
    }

    /// The labels of what this server alone is sent and says.
    pub(crate) fn labels(&self) -> Labels {
        Labels { trust: self.trust, confidentiality: self.confidentiality }
    }
}

/// What is acted upon.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Object<'a> {
    Gateway,
    Server(&'a Origin),
    Tool {
        server: &'a Origin,
        name: &'a str,
        impact: Impact,
    },
    Prompt {
        server: &'a Origin,
        name: &'a str,
    },
    Resource {
        server: &'a Origin,
        uri: &'a str,
    },
    /// Any resource of the server: a template stands for URIs that are not known yet.
    Template {
        server: &'a Origin,
    },
}

impl<'a> Object<'a> {
    /// An item of a list.
    pub(crate) fn item(kind: ListKind, server: &'a Origin, name: &'a str, definition: &Json) -> Object<'a> {
        match kind {
            ListKind::Tools => Object::Tool { server, name, impact: Impact::of(definition) },
            ListKind::Prompts => Object::Prompt { server, name },
            ListKind::Resources => Object::Resource { server, uri: name },
            ListKind::Templates => Object::Template { server },
        }
    }

    /// The name of its type.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Object::Gateway => "Gateway",
            Object::Server(_) => "Server",
            Object::Tool { .. } => "Tool",
            Object::Prompt { .. } => "Prompt",
            Object::Resource { .. } | Object::Template { .. } => "Resource",
        }
    }

    /// Its id among those of its type.
    pub(crate) fn id(self) -> Cow<'a, str> {
        match self {
            Object::Gateway => "gateway".into(),
            Object::Server(server) => server.id.as_str().into(),
            Object::Tool { server, name, .. } | Object::Prompt { server, name } => server.id_of(name).into(),
            Object::Resource { server, uri } => server.id_of(uri).into(),
            // No URI is empty, so no policy means this one by name.
            Object::Template { server } => server.id_of("").into(),
        }
    }

    pub(crate) fn server(self) -> Option<&'a Origin> {
        match self {
            Object::Gateway => None,
            Object::Server(server)
            | Object::Tool { server, .. }
            | Object::Prompt { server, .. }
            | Object::Resource { server, .. }
            | Object::Template { server } => Some(server),
        }
    }
}

/// Under what circumstances.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Circumstances<'a> {
    pub(crate) era: Era,
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) client: &'a str,
    pub(crate) labels: Labels,
    pub(crate) now: SystemTime,
    pub(crate) asking: Asking<'a>,
}

/// What a server asks of the client, where that is the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asking<'a> {
    /// Nothing that policies read more of.
    Nothing,
    Form,
    Url {
        /// None: whichever it will be.
        host: Option<&'a str>,
    },
    Sampling {
        tools: bool,
        context: bool,
    },
}

/// The names of the schema, parsed once.
pub(crate) struct Vocabulary {
    types: HashMap<&'static str, EntityTypeName>,
    /// By method: the action, and the store that holds it and its groups.
    actions: HashMap<String, (EntityUid, Entities)>,
}

/// Which actions a store holds beside the one that is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Actions {
    /// Its groups: all that policies can reach from `action`.
    Reached,
    /// Every one: a condition names actions, and may ask about any of them.
    Every,
}

impl Vocabulary {
    pub(crate) fn of(schema: &Schema, held: Actions) -> Result<Vocabulary, LoadError> {
        let every = schema.action_entities().map_err(|e| LoadError::Actions(Box::new(e)))?;
        let mut types = HashMap::new();
        for name in TYPES {
            let parsed = EntityTypeName::from_str(&format!("Sekisho::{name}")).map_err(|_| LoadError::Name(name))?;
            types.insert(name, parsed);
        }
        let mut actions = HashMap::new();
        for uid in schema.actions() {
            let store = match held {
                Actions::Every => every.clone(),
                Actions::Reached => {
                    let reached =
                        every.iter().filter(|entity| entity.uid() == *uid || every.is_ancestor_of(&entity.uid(), uid));
                    Entities::from_entities(reached.cloned(), None).map_err(|e| LoadError::Actions(Box::new(e)))?
                }
            };
            actions.insert(uid.id().unescaped().to_owned(), (uid.clone(), store));
        }
        Ok(Vocabulary { types, actions })
    }

    /// The uid of an entity. A type that the schema lacks never loads, so it cannot be missing here.
    fn uid(&self, kind: &'static str, id: &str) -> Result<EntityUid, BuildError> {
        let name = self.types.get(kind).ok_or(BuildError::Action)?;
        Ok(EntityUid::from_type_name_and_id(name.clone(), EntityId::new(id)))
    }

    pub(crate) fn resource_type(&self) -> Result<EntityTypeName, BuildError> {
        self.types.get("Resource").cloned().ok_or(BuildError::Action)
    }

    pub(crate) fn action(&self, method: &str) -> Result<EntityUid, BuildError> {
        self.actions.get(method).map(|(uid, _)| uid.clone()).ok_or(BuildError::Action)
    }

    /// A store of these, and of the action and its groups if they are read.
    pub(crate) fn store(&self, method: &str, read: &Inputs, entities: Vec<Entity>) -> Result<Entities, BuildError> {
        let store = if read.action_groups {
            let (_, held) = self.actions.get(method).ok_or(BuildError::Action)?;
            held.clone().add_entities(entities, None)
        } else {
            Entities::from_entities(entities, None)
        };
        store.map_err(|e| BuildError::Entities(Box::new(e)))
    }

    pub(crate) fn principal(&self, who: &Principal) -> Result<EntityUid, BuildError> {
        self.uid("User", &format!("{}#{}", who.issuer(), who.subject()))
    }

    pub(crate) fn resource(&self, object: Object<'_>) -> Result<EntityUid, BuildError> {
        self.uid(object.kind(), &object.id())
    }

    /// The resource and its server.
    pub(crate) fn object(&self, object: Object<'_>) -> Result<Vec<Entity>, BuildError> {
        let mut entities = Vec::new();
        if let Some(server) = object.server() {
            entities.push(self.server(server)?);
        }
        let name = |name: &str| vec![("name".to_owned(), text(name))];
        let of_server = |attributes: Vec<(String, RestrictedExpression)>, server: &Origin| {
            let parent = self.uid("Server", server.id.as_str())?;
            let link = ("server".to_owned(), RestrictedExpression::new_entity_uid(parent.clone()));
            let attributes = attributes.into_iter().chain([link]);
            Entity::new_with_tags(self.resource(object)?, attributes, [parent], [])
                .map_err(|e| BuildError::Entity(Box::new(e)))
        };
        match object {
            Object::Gateway => entities.push(Entity::with_uid(self.resource(object)?)),
            Object::Server(_) => {}
            Object::Tool { server, name: n, impact } => {
                let attributes = name(n).into_iter().chain([("impact".to_owned(), text(impact.as_str()))]);
                entities.push(of_server(attributes.collect(), server)?);
            }
            Object::Prompt { server, name: n } => entities.push(of_server(name(n), server)?),
            Object::Resource { server, uri } => {
                let attributes = vec![("uri".to_owned(), text(uri)), ("scheme".to_owned(), text(&scheme(uri)))];
                entities.push(of_server(attributes, server)?);
            }
            Object::Template { server } => {
                let unknown = |name: &str| (name.to_owned(), RestrictedExpression::new_unknown(name));
                entities.push(of_server(vec![unknown("uri"), unknown("scheme")], server)?);
            }
        }
        Ok(entities)
    }

    /// The argument entities, in the forms that are read; without them in a partial store, their tags are unknown.
    pub(crate) fn arguments(&self, read: Forms, tags: Tags) -> Result<Vec<Entity>, BuildError> {
        let kinds = [
            ("TextArguments", read.text, tags.text),
            ("NumberArguments", read.number, tags.number),
            ("DecimalArguments", read.decimal, tags.decimal),
            ("FlagArguments", read.flag, tags.flag),
        ];
        let mut entities = Vec::new();
        for (kind, _, tags) in kinds.into_iter().filter(|(_, read, _)| *read) {
            let entity = Entity::new_with_tags(self.uid(kind, CALL)?, [], [], tags)
                .map_err(|e| BuildError::Entity(Box::new(e)))?;
            entities.push(entity);
        }
        Ok(entities)
    }

    fn server(&self, server: &Origin) -> Result<Entity, BuildError> {
        let attributes = [
            ("id".to_owned(), text(server.id.as_str())),
            ("trust".to_owned(), text(server.trust.as_str())),
            ("confidentiality".to_owned(), text(server.confidentiality.as_str())),
            ("confinement".to_owned(), text(server.confinement())),
        ];
        Entity::new_with_tags(self.uid("Server", server.id.as_str())?, attributes, [], [])
            .map_err(|e| BuildError::Entity(Box::new(e)))
    }

    /// The context as far as it is read.
    pub(crate) fn context(&self, of: &Circumstances<'_>, action: Uses, read: &Inputs) -> Result<Context, BuildError> {
        let mut pairs = Vec::new();
        if read.circumstances {
            pairs.extend([
                ("era", text(of.era.as_str())),
                ("endpoint", text(&of.endpoint.path())),
                ("client_id", text(of.client)),
                ("trust", text(of.labels.trust.as_str())),
                ("confidentiality", text(of.labels.confidentiality.as_str())),
            ]);
        }
        if read.time != Time::Unread {
            pairs.push(("time", datetime(of.now)?));
        }
        if read.asking {
            pairs.extend(asking(of.asking));
        }
        if action == Uses::Arguments {
            for (name, kind, _) in [
                ("text", "TextArguments", read.arguments.text),
                ("number", "NumberArguments", read.arguments.number),
                ("decimal", "DecimalArguments", read.arguments.decimal),
                ("flag", "FlagArguments", read.arguments.flag),
            ]
            .into_iter()
            .filter(|(_, _, read)| *read)
            {
                pairs.push((name, RestrictedExpression::new_entity_uid(self.uid(kind, CALL)?)));
            }
        }
        Context::from_pairs(pairs.into_iter().map(|(name, value)| (name.to_owned(), value)))
            .map_err(|e| BuildError::Context(Box::new(e)))
    }
}

/// Whether an action has arguments in its context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Uses {
    Arguments,
    Nothing,
}

impl Uses {
    /// As the schema has it: the members of the group `use`.
    pub(crate) fn of(method: &str) -> Uses {
        if USES.contains(&method) { Uses::Arguments } else { Uses::Nothing }
    }
}

/// The members of the context that say what a server asks.
fn asking(asking: Asking<'_>) -> Vec<(&'static str, RestrictedExpression)> {
    let flag = RestrictedExpression::new_bool;
    match asking {
        Asking::Nothing => Vec::new(),
        Asking::Form => vec![("mode", text("form")), ("host", text(""))],
        Asking::Url { host } => {
            let host = host.map_or_else(|| RestrictedExpression::new_unknown("host"), text);
            vec![("mode", text("url")), ("host", host)]
        }
        Asking::Sampling { tools, context } => vec![("with_tools", flag(tools)), ("with_context", flag(context))],
    }
}

pub(crate) fn text(value: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(value.to_owned())
}

/// A time in whole milliseconds.
pub(crate) fn datetime(of: SystemTime) -> Result<RestrictedExpression, BuildError> {
    let time = jiff::Timestamp::try_from(of).map_err(BuildError::Time)?;
    Ok(RestrictedExpression::new_datetime(time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()))
}

/// The scheme of a URI in lower case (RFC 3986 section 3.1); empty if there is none.
fn scheme(uri: &str) -> String {
    uri.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase()).unwrap_or_default()
}

/// The name of an item of a list.
pub(crate) fn name_of(kind: ListKind, definition: &Json) -> String {
    let name = definition.get(kind.key());
    name.as_ref().and_then(Json::string).unwrap_or_default().into_owned()
}

const USES: [&str; 10] = [
    "tools/call",
    "prompts/get",
    "resources/read",
    "completion/complete",
    "resources/subscribe",
    "resources/unsubscribe",
    "tasks/get",
    "tasks/result",
    "tasks/update",
    "tasks/cancel",
];
/// The id of the argument entities: they last as long as one call.
const CALL: &str = "call";
const TYPES: [&str; 10] = [
    "User",
    "Gateway",
    "Server",
    "Tool",
    "Prompt",
    "Resource",
    "TextArguments",
    "NumberArguments",
    "DecimalArguments",
    "FlagArguments",
];
