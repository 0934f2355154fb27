//! Where a subschema stands, and what its references lead to: resolved as the library does it, and never fetched.

use std::error::Error;
use std::rc::Rc;

use jsonschema::{Draft, ReferencingError, Registry, Retrieve, Uri, uri};
use serde_json::Value;

use crate::text;
use crate::work::Unbounded;

/// Where a subschema stands: what its references are resolved against, and what its keywords mean.
#[derive(Clone)]
pub(crate) struct Scope {
    pub(crate) base: Rc<Uri<String>>,
    pub(crate) draft: Draft,
}

impl Scope {
    /// Of the root: as the library starts.
    pub(crate) fn of(schema: &Value, draft: Draft) -> Result<Scope, Unbounded> {
        let resource = draft.create_resource_ref(schema);
        let base = resource.id().unwrap_or(BASE);
        let uri = uri::from_str(base).map_err(|_| Unbounded::Id(brief(base)))?;
        Ok(Scope { base: Rc::new(uri), draft })
    }

    /// Of a subschema inside: it may be a resource of its own (2020-12, core, section 8.2.1), with a dialect of its own.
    pub(crate) fn enter(&self, at: &Value) -> Result<Scope, Unbounded> {
        let inner = Scope { base: Rc::clone(&self.base), draft: self.draft }.speaking(at)?;
        let resource = inner.draft.create_resource_ref(at);
        let Some(id) = resource.id() else { return Ok(inner) };
        let base = uri::resolve_against(&self.base.borrow(), id).map_err(|_| Unbounded::Id(brief(id)))?;
        Ok(Scope { base: Rc::new(base), ..inner })
    }

    /// With the dialect that `at` declares, if it does.
    pub(crate) fn speaking(self, at: &Value) -> Result<Scope, Unbounded> {
        let Some(dialect) = at.get("$schema") else { return Ok(self) };
        let dialect = dialect.as_str().unwrap_or("(not a string)");
        let draft = known_dialect(dialect).ok_or_else(|| Unbounded::Dialect(brief(dialect)))?;
        Ok(Scope { draft, ..self })
    }

    /// All that references are looked up in, from the root `root`. What is elsewhere is `true` in it, at a place that is not inside:
    /// nothing is fetched.
    pub(crate) fn registry<'s>(&self, root: &'s Value) -> Result<Registry<'s>, ReferencingError> {
        Registry::new()
            .retriever(Elsewhere)
            .draft(self.draft)
            .retrieve_known_draft_meta_schemas(false)
            .add(self.base.as_str(), self.draft.create_resource_ref(root))?
            .prepare()
    }
}

/// The dialects whose keywords are known (JS-01).
pub(crate) fn known_dialect(uri: &str) -> Option<Draft> {
    let uri = uri.trim_end_matches('#');
    match uri.strip_prefix("https://").or_else(|| uri.strip_prefix("http://")).unwrap_or_default() {
        "json-schema.org/draft/2020-12/schema" => Some(Draft::Draft202012),
        "json-schema.org/draft/2019-09/schema" => Some(Draft::Draft201909),
        "json-schema.org/draft-07/schema" => Some(Draft::Draft7),
        _ => None,
    }
}

pub(crate) fn brief(text: &str) -> Box<str> {
    text::brief(text, QUOTED_CHARS_MAX)
}

/// Stands for all that is not in the schema.
struct Elsewhere;

impl Retrieve for Elsewhere {
    fn retrieve(&self, _: &Uri<String>) -> Result<Value, Box<dyn Error + Send + Sync>> {
        Ok(Value::Bool(true))
    }
}

/// The base of a schema that names none.
const BASE: &str = "json-schema:///";
/// How much of a name is quoted, in characters.
const QUOTED_CHARS_MAX: usize = 200;
