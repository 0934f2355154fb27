//! The way back: results against output schemas, definitions that cannot be used, hidden characters.

use std::sync::{Arc, PoisonError, RwLock};

use sekisho_catalog::Declared;
use sekisho_wire::{Answer, FromServer, InputRequest, Items, Json, ListKind, Remembered, Told, input};

use crate::inspect::hidden;
use crate::questions::of_question;
use crate::schema::{Role, Schemas};
use crate::{Finding, Rule, Subject, text, value};

/// What there is to find in what a server says.
pub(crate) fn findings(schemas: &Schemas, pages: &Pages, of: &Subject, message: &FromServer) -> Vec<Finding> {
    match message {
        FromServer::Notice { notice, .. } => Vec::from_iter(hidden("", &notice.params)),
        FromServer::Page(items) => pages.findings(schemas, items),
        FromServer::End(answer) => of_end(schemas, of, answer),
        FromServer::Task(task) => {
            let mut found = task.outcome.as_ref().map_or_else(Vec::new, |answer| of_end(schemas, of, answer));
            found.extend(of_questions(schemas, &task.requests));
            found.extend(hidden("", &task.said));
            found.extend(task.meta.as_ref().and_then(|meta| hidden("/_meta", meta)));
            found
        }
        FromServer::Told { told: Told::Updated { uri }, .. } => Vec::from_iter(hidden("/uri", &Json::text(uri))),
        FromServer::Listening(_) | FromServer::Told { .. } | FromServer::Withdrawn { .. } => Vec::new(),
        FromServer::Ask(asked) => of_question(schemas, "", &asked.request),
        FromServer::Park(required) => {
            let meta = required.meta.as_ref().and_then(|meta| hidden("/_meta", meta));
            of_questions(schemas, &required.requests).into_iter().chain(meta).collect()
        }
    }
}

fn of_end(schemas: &Schemas, of: &Subject, answer: &Answer) -> Vec<Finding> {
    match answer {
        Answer::Result(result) => {
            let schema = of.pinned.as_ref().and_then(|pinned| Role::Output.pinned_by(pinned));
            let mut found = schema.map_or_else(Vec::new, |schema| of_result(schemas, schema, result));
            found.extend(hidden("", result));
            found
        }
        Answer::Error(error) => {
            let data = error.data.as_ref().and_then(|data| hidden("/data", data));
            let pages = input::asked_by(error).and_then(Result::ok).unwrap_or_default();
            let asked = pages.iter().flat_map(|page| of_question(schemas, "/data/elicitations", page));
            hidden("/message", &Json::text(&error.message)).into_iter().chain(data).chain(asked).collect()
        }
    }
}

fn of_questions(schemas: &Schemas, requests: &[(Box<str>, InputRequest)]) -> Vec<Finding> {
    let of_one = |(key, request): &(Box<str>, _)| {
        let mut at = String::from("/inputRequests");
        value::push(&mut at, key);
        of_question(schemas, &at, request)
    };
    requests.iter().flat_map(of_one).collect()
}

/// JS-06: a tool that declares an output schema answers with `structuredContent` that fits it, or with an error.
fn of_result(schemas: &Schemas, schema: &Declared, result: &Json) -> Vec<Finding> {
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

/// What was found on whole pages: it follows from their bytes and the schemas' bounds alone, and these live as long. What is longer
/// than its page is found anew each time.
#[derive(Default)]
pub(crate) struct Pages(RwLock<Remembered<Arc<[Finding]>>>);

impl Pages {
    fn findings(&self, schemas: &Schemas, items: &Items) -> Vec<Finding> {
        let Some(sheet) = items.whole() else { return of_page(schemas, items) };
        if let Some(found) = self.0.read().unwrap_or_else(PoisonError::into_inner).of(sheet) {
            return found.to_vec();
        }
        let found = of_page(schemas, items);
        let bytes: usize = found.iter().map(|found| size_of::<Finding>() + found.at.len() + found.words.len()).sum();
        if bytes > sheet.bytes() {
            return found;
        }
        self.0.write().unwrap_or_else(PoisonError::into_inner).put(sheet, found.as_slice().into());
        found
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
    use sekisho_wire::json::Limits;
    use sekisho_wire::server::Item;
    use sekisho_wire::{ServerId, Sheets, back};
    use serde_json::json;

    fn wire(value: serde_json::Value) -> Json {
        Json::decode(value.to_string().into(), &Limits::default()).unwrap()
    }

    fn schemas() -> Schemas {
        Schemas::new(&Config::default())
    }

    #[test]
    fn a_declared_output_schema_is_held() {
        let schema =
            Declared::of(wire(json!({"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}})));
        let found = |result: serde_json::Value| of_result(&schemas(), &schema, &wire(result));
        assert!(found(json!({"content": [], "structuredContent": {"n": 1}})).is_empty());
        assert_eq!(&*found(json!({"content": [], "structuredContent": {"n": "1"}}))[0].at, "/structuredContent/n");
        assert_eq!(found(json!({"content": []}))[0].rule, Rule::OutputSchema);
        assert_eq!(found(json!({"content": [], "isError": "yes"}))[0].rule, Rule::OutputSchema);
        assert!(found(json!({"content": [], "isError": true})).is_empty());
    }

    #[test]
    fn what_was_found_on_a_page_is_found_again_and_another_page_is_looked_into() {
        let (schemas, pages, sheets) = (schemas(), Pages::default(), Sheets::default());
        let read = |tools: serde_json::Value| {
            back::items(&sheets, ListKind::Tools, &ServerId::parse("notes").unwrap(), &wire(json!({"tools": tools})))
                .unwrap()
        };
        let bad = json!({"name": "a", "inputSchema": {"type": "array"}});
        let good = json!({"name": "a", "inputSchema": {"type": "object"}});
        let hiding = json!({"name": "b", "inputSchema": {"type": "object"}, "description": "a\u{200b}"});
        for _ in 0..2 {
            for (tools, count) in
                [(json!([bad]), 1), (json!([good]), 0), (json!([bad, hiding]), 2), (json!([good, hiding]), 1)]
            {
                let page = read(tools);
                for _ in 0..2 {
                    let found = pages.findings(&schemas, &page);
                    assert_eq!(found, of_page(&schemas, &page));
                    assert_eq!(found.len(), count);
                }
            }
        }
        let mut part = read(json!([bad, hiding]));
        part.entries.remove(0);
        assert_eq!(pages.findings(&schemas, &part).len(), 1, "a part of a page is not the page");
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
            sheet: None,
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
