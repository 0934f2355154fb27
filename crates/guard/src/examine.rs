//! The way back: results against output schemas, definitions that cannot be used, hidden characters.

use sekisho_wire::{Answer, FromServer, Items, Json, ListKind};

use crate::inspect::hidden;
use crate::schema::{Role, Schemas, declared};
use crate::{Finding, Rule, Subject, text, value};

/// What there is to find in what a server says.
pub(crate) fn findings(schemas: &Schemas, of: &Subject, message: &FromServer) -> Vec<Finding> {
    match message {
        FromServer::Notice(notice) => Vec::from_iter(hidden("", &notice.params)),
        FromServer::Page(items) => of_page(schemas, items),
        FromServer::End(Answer::Result(result)) => {
            let schema = of.pinned.as_ref().and_then(|pinned| declared(pinned.json(), Role::Output));
            let mut found = schema.map_or_else(Vec::new, |schema| of_result(schemas, &schema, result));
            found.extend(hidden("", result));
            found
        }
        FromServer::End(Answer::Error(error)) => {
            let data = error.data.as_ref().and_then(|data| hidden("/data", data));
            Vec::from_iter(hidden("/message", &Json::text(&error.message)).into_iter().chain(data))
        }
        FromServer::Ask(_) | FromServer::Park => Vec::new(),
    }
}

/// JS-06: a tool that declares an output schema answers with `structuredContent` that fits it, or with an error.
fn of_result(schemas: &Schemas, schema: &Json, result: &Json) -> Vec<Finding> {
    let is_error = result.get("isError").and_then(|is_error| is_error.boolean()) == Some(true);
    if is_error {
        return Vec::new();
    }
    let Some(content) = result.get("structuredContent") else {
        let words = "the tool declares an `outputSchema` but its result has no `structuredContent`";
        return vec![Finding::new(Rule::OutputSchema, "", words)];
    };
    match (value::tree(&content), &*schemas.compiled(Role::Output, schema)) {
        (Ok(tree), Ok(schema)) => schema.check(Rule::OutputSchema, AT, &tree),
        (Err(unfaithful), _) => vec![Finding::new(Rule::OutputSchema, AT, &unfaithful.to_string())],
        (Ok(_), Err(why)) => vec![Finding::new(Rule::OutputSchema, AT, &why.to_string())],
    }
}

/// One finding for each item, at `<server>/<name>`: whoever decides withholds by it, so none is left out.
fn of_page(schemas: &Schemas, items: &Items) -> Vec<Finding> {
    let mut found = Vec::new();
    for item in &items.entries {
        let name = item.definition.get(items.kind.key());
        let name = name.as_ref().and_then(Json::string).unwrap_or_default();
        let at = format!("{}/{name}", item.server);
        let unusable = match items.kind {
            ListKind::Tools if item.definition.get("inputSchema").is_none() => {
                Some("the tool declares no `inputSchema`".into())
            }
            ListKind::Tools => schemas.usable(&item.definition).err(),
            ListKind::Prompts | ListKind::Resources | ListKind::Templates => None,
        };
        if let Some(why) = unusable {
            found.push(Finding {
                rule: Rule::SchemaUnusable,
                at: at.as_str().into(),
                words: text::brief(&why, crate::WORDS_CHARS_MAX),
            });
        }
        found.extend(hidden(&at, &item.definition));
    }
    found
}

const AT: &str = "/structuredContent";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use sekisho_wire::ServerId;
    use sekisho_wire::json::Limits;
    use sekisho_wire::server::Item;
    use serde_json::json;

    fn wire(value: serde_json::Value) -> Json {
        Json::decode(value.to_string().into(), &Limits::default()).unwrap()
    }

    fn schemas() -> Schemas {
        Schemas::new(&Config::default())
    }

    #[test]
    fn a_declared_output_schema_is_held() {
        let schema = wire(json!({"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}));
        let found = |result: serde_json::Value| of_result(&schemas(), &schema, &wire(result));
        assert!(found(json!({"content": [], "structuredContent": {"n": 1}})).is_empty());
        assert_eq!(&*found(json!({"content": [], "structuredContent": {"n": "1"}}))[0].at, "/structuredContent/n");
        assert_eq!(found(json!({"content": []}))[0].rule, Rule::OutputSchema);
        assert_eq!(found(json!({"content": [], "isError": "yes"}))[0].rule, Rule::OutputSchema);
        assert!(found(json!({"content": [], "isError": true})).is_empty());
    }

    #[test]
    fn unusable_items_of_a_page_are_named_by_server_and_name() {
        let entry = |definition: serde_json::Value| Item {
            server: ServerId::parse("notes").unwrap(),
            definition: wire(definition),
        };
        let items = Items {
            kind: ListKind::Tools,
            entries: vec![
                entry(json!({"name": "good", "inputSchema": {"type": "object"}})),
                entry(json!({"name": "remote", "inputSchema": {"type": "object", "allOf": [{"$ref": "https://x/y"}]}})),
                entry(json!({"name": "none"})),
                entry(json!({"name": "null", "inputSchema": {"type": "object"}, "outputSchema": null})),
                entry(json!({"name": "hiding", "inputSchema": {"type": "object"}, "description": "a\u{200b}"})),
            ],
            next: Vec::new(),
            missing: Vec::new(),
            ttl_ms: None,
            meta: None,
        };
        let found = of_page(&schemas(), &items);
        let found: Vec<(Rule, &str)> = found.iter().map(|f| (f.rule, &*f.at)).collect();
        assert_eq!(
            found,
            [
                (Rule::SchemaUnusable, "notes/remote"),
                (Rule::SchemaUnusable, "notes/none"),
                (Rule::HiddenCharacters, "notes/hiding"),
            ]
        );
    }
}
