//! What servers ask of clients, and what clients answer (MCP, Client Features).

use std::borrow::Cow;
use std::net::IpAddr;

use sekisho_catalog::Asked;
use sekisho_wire::json::Kind;
use sekisho_wire::sampling::may_be_said;
use sekisho_wire::{InputKind, InputRequest, Json, uri};
use url::{Host, Url};

use crate::inspect::hidden;
use crate::schema::{Role, Schemas};
use crate::{FINDINGS_MAX, Finding, Rule, secrets, value};

/// What there is to find in a question. `at`: where it stands.
pub(crate) fn of_question(schemas: &Schemas, at: &str, request: &InputRequest) -> Vec<Finding> {
    let mut found = match &request.kind {
        InputKind::Form => of_form(schemas, at, &request.params),
        InputKind::Url { url } => Vec::from_iter(of_link(at, url)),
        InputKind::Sampling { .. } | InputKind::Roots => Vec::new(),
    };
    found.extend(hidden(at, &request.params));
    found
}

/// EL-01: a form may not ask for secrets; they would pass through the client and its model. It is flat, so that it can be shown.
fn of_form(schemas: &Schemas, at: &str, params: &Json) -> Vec<Finding> {
    let Some(schema) = params.get("requestedSchema") else { return Vec::new() };
    let at_schema = format!("{at}/requestedSchema");
    let asked = Asked { kind: InputKind::Form, form: Some(sekisho_catalog::Declared::of(schema.clone())) };
    if let Some(declared) = &asked.form
        && let Err(why) = schemas.usable_as(Role::Form, Some(declared))
    {
        return vec![Finding::new(Rule::Form, &at_schema, &why)];
    }
    let mut free = false;
    let mut found = Vec::new();
    if let Some(keyword) = NESTING.iter().find(|keyword| schema.get(keyword).is_some_and(|value| !is_flag(&value))) {
        found.push(Finding::new(Rule::Form, &at_schema, &format!("a form has plain fields and no `{keyword}`")));
    }
    for (name, field) in schema.get("properties").iter().flat_map(Json::members) {
        if !is_flat(&field) {
            found.push(Finding::new(Rule::Form, &at_schema, &format!("the field `{name}` is not a plain one")));
        }
        if let Some(text) = secret_of(&name, &field).filter(|_| is_written_freely(&field)) {
            found.push(Finding::new(Rule::AsksForSecret, &at_schema, &format!("the form asks for a secret: {text}")));
        }
        free |= is_written_freely(&field);
    }
    let around = [params.get("message"), schema.get("title"), schema.get("description")];
    let mut around = around.iter().flatten().filter_map(Json::string);
    if let Some(text) = around.find(|text| free && secrets::are_asked_for(text)) {
        let words = format!("the form asks for a secret: {text}");
        found.push(Finding::new(Rule::AsksForSecret, &format!("{at}/message"), &words));
    }
    found.truncate(FINDINGS_MAX);
    found
}

/// What of a field speaks of a secret: its name, its title, or any other text in it.
fn secret_of(name: &str, field: &Json) -> Option<String> {
    let title = field.get("title");
    let labels = [Some(name.into()), title.as_ref().and_then(Json::string)];
    let named = labels.into_iter().flatten().find(|label| secrets::are_named(label)).map(Cow::into_owned);
    let kind = field.get("type");
    let is_number = matches!(kind.as_ref().and_then(Json::string).as_deref(), Some("integer" | "number"));
    let asked_for = if is_number { secrets::are_asked_for_in_numbers } else { secrets::are_asked_for };
    named.or_else(|| {
        let mut found = None;
        // Only looked at: nothing is changed.
        let _ = field.map_strings(&mut |text| {
            if found.is_none() && asked_for(text) {
                found = Some(text.to_owned());
            }
            None
        });
        found
    })
}

/// Text, a number, a choice or several: nothing that holds fields of its own (MCP, Elicitation, "Requested Schema").
fn is_flat(field: &Json) -> bool {
    let kind = field.get("type");
    let kind = kind.as_ref().and_then(Json::string);
    let choices = || ["oneOf", "anyOf"].iter().filter_map(|key| field.get(key));
    let is_choice = |choice: Json| is_plain(&choice) && CHOOSING.iter().all(|key| choice.get(key).is_none());
    is_plain(field)
        && kind.as_deref() != Some("object")
        && choices().all(|list| list.elements().all(is_choice))
        && field.get("items").is_none_or(|items| is_flat(&items) && items.get("items").is_none())
}

/// Whether nothing in it applies another schema, choices and elements aside.
fn is_plain(schema: &Json) -> bool {
    schema.is_object()
        && schema.get("properties").is_none()
        && NESTING.iter().filter(|key| !CHOOSING.contains(key)).all(|key| schema.get(key).is_none())
}

/// `additionalProperties: false` says that there are no others.
fn is_flag(value: &Json) -> bool {
    value.boolean().is_some()
}

/// Whether the user may write what they like there: a choice or a number of given ones hands over no secret.
fn is_written_freely(field: &Json) -> bool {
    let kind = field.get("type");
    let kind = kind.as_ref().and_then(Json::string);
    let fixed = |of: &Json| of.get("enum").is_some() || of.get("const").is_some();
    let all_fixed = |list: Json| list.elements().all(|choice| fixed(&choice));
    let chosen = fixed(field) || ["oneOf", "anyOf"].iter().any(|key| field.get(key).is_some_and(all_fixed));
    match kind.as_deref() {
        Some("boolean") => false,
        Some("array") => field.get("items").is_none_or(|items| is_written_freely(&items)),
        Some(_) | None => !chosen,
    }
}

/// EL-05, EL-06: the page is not fetched. It is on the web, over TLS, or on this very machine; and it says where it leads.
fn of_link(at: &str, url: &str) -> Option<Finding> {
    let at = format!("{at}/url");
    let wrong = |words: &str| Some(Finding::new(Rule::Link, &at, words));
    if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        return wrong("the URL has characters that URLs do not have (RFC 3986 section 2)");
    }
    let Ok(parsed) = Url::parse(url) else { return wrong("the URL cannot be read") };
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return wrong("the URL has a user name or a password in it");
    }
    match (parsed.scheme(), parsed.host()) {
        ("https", Some(_)) => None,
        ("http", Some(host)) if is_this_machine(&host) => None,
        ("http", Some(_)) => wrong("the page is not protected by TLS"),
        _ => wrong("the URL is none of the web (https)"),
    }
}

/// The host that a URL leads to, as a browser reads it: in lower case, other scripts as Punycode. None if it leads nowhere.
#[must_use]
pub fn host_of(url: &str) -> Option<String> {
    Url::parse(url).ok()?.host().map(|host| host.to_string())
}

fn is_this_machine(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => IpAddr::from(*address).is_loopback(),
        Host::Ipv6(address) => IpAddr::from(*address).is_loopback(),
    }
}

/// What of an answer does not fit what was asked (EL-09, RO-01).
pub(crate) fn of_answer(schemas: &Schemas, at: &str, asked: &Asked, answer: &Json) -> Vec<Finding> {
    let mut found = match &asked.kind {
        InputKind::Form | InputKind::Url { .. } => of_elicited(schemas, at, asked, answer),
        InputKind::Sampling { tools, .. } => Vec::from_iter(of_sampled(at, *tools, answer)),
        InputKind::Roots => Vec::from_iter(of_roots(at, answer)),
    };
    found.truncate(FINDINGS_MAX);
    found.extend(hidden(at, answer));
    found
}

fn of_elicited(schemas: &Schemas, at: &str, asked: &Asked, answer: &Json) -> Vec<Finding> {
    let wrong = |words: &str| vec![Finding::new(Rule::Answer, at, words)];
    let action = answer.get("action");
    match (action.as_ref().and_then(Json::string).as_deref(), &asked.form, answer.get("content")) {
        (Some("decline" | "cancel"), _, None) => Vec::new(),
        (Some("decline" | "cancel"), _, Some(_)) => wrong("`content` is there though nothing was accepted"),
        (Some("accept"), Some(form), Some(content)) => {
            let at = format!("{at}/content");
            let fields = form.schema().get("properties");
            let asked = |name: &str| fields.as_ref().is_some_and(|fields| fields.get(name).is_some());
            if let Some((name, _)) = content.members().find(|(name, _)| !asked(name)) {
                return vec![Finding::new(Rule::Answer, &at, &format!("the form has no field `{name}`"))];
            }
            match (value::tree(&content), &*schemas.compiled(Role::Form, form)) {
                (Ok(tree), Ok(schema)) => schema.check(Rule::Answer, &at, &tree),
                (Err(unfaithful), _) => vec![Finding::new(Rule::Answer, &at, &unfaithful.to_string())],
                (Ok(_), Err(why)) => vec![Finding::new(Rule::Answer, &at, &why.to_string())],
            }
        }
        (Some("accept"), Some(_), None) => wrong("`content` is missing"),
        (Some("accept"), None, None) => Vec::new(),
        (Some("accept"), None, Some(_)) => wrong("`content` is there though a page was shown, and no form"),
        (Some(_) | None, _, _) => wrong("`action` is none of `accept`, `decline` and `cancel`"),
    }
}

fn of_sampled(at: &str, tools: bool, answer: &Json) -> Option<Finding> {
    let text = |key: &str| answer.get(key).is_some_and(|value| value.string().is_some());
    let content = answer.get("content").is_some_and(|content| may_be_said(&content, tools));
    let shaped = text("role") && text("model") && content;
    (!shaped).then(|| {
        Finding::new(Rule::Answer, at, "`role`, `model` or `content` is missing or of the wrong kind (SA-02, SA-03)")
    })
}

fn of_roots(at: &str, answer: &Json) -> Option<Finding> {
    let roots = answer.get("roots").filter(|roots| roots.kind() == Kind::Array);
    let Some(roots) = roots else { return Some(Finding::new(Rule::Answer, at, "`roots` is not an array")) };
    let is_root = |root: Json| {
        let uri = root.get("uri");
        uri.as_ref().and_then(Json::string).is_some_and(|uri| is_folder(&uri))
    };
    let wrong = roots.elements().position(|root| !is_root(root))?;
    let words = "a root is a `file://` URI without `..` in it";
    Some(Finding::new(Rule::Answer, &format!("{at}/roots/{wrong}"), words))
}

fn is_folder(uri: &str) -> bool {
    let path = uri.strip_prefix("file://").unwrap_or_default();
    !path.is_empty() && uri::is_plain(uri)
}

/// Keywords by which a schema applies another one, or leads to one: what they hold could not be shown as a field, and would be looked
/// at by nobody.
const NESTING: [&str; 20] = [
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "items",
    "prefixItems",
    "contains",
    "additionalItems",
    "patternProperties",
    "additionalProperties",
    "unevaluatedProperties",
    "propertyNames",
    "dependentSchemas",
    "dependencies",
    "$ref",
    "$dynamicRef",
    "$recursiveRef",
];
/// Those of them that a field may have: a choice of given values, and the elements of several.
const CHOOSING: [&str; 3] = ["anyOf", "oneOf", "items"];
#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use sekisho_catalog::Declared;
    use sekisho_wire::input;
    use sekisho_wire::json::Limits;
    use serde_json::json;

    fn wire(value: &serde_json::Value) -> Json {
        Json::decode(value.to_string().into(), &Limits::default()).unwrap()
    }

    fn schemas() -> Schemas {
        Schemas::new(&Config::default())
    }

    fn asked(message: &str, properties: &serde_json::Value) -> Vec<Rule> {
        of_params(&json!({"message": message, "requestedSchema": {"type": "object", "properties": properties}}))
    }

    fn of_schema(schema: serde_json::Value) -> Vec<Rule> {
        of_params(&json!({"message": "m", "requestedSchema": schema}))
    }

    fn of_params(params: &serde_json::Value) -> Vec<Rule> {
        let params = wire(params);
        let request = input::request("elicitation/create", Some(params)).unwrap();
        of_question(&schemas(), "", &request).iter().map(|found| found.rule).collect()
    }

    #[test]
    fn a_form_that_asks_for_a_secret_is_found_however_it_is_spelled() {
        let text = json!({"type": "string"});
        for name in [
            "password",
            "userPassword",
            "PASS_WORD",
            "pass\u{200b}word",
            "apiKey",
            "api-key",
            "access token",
            "secret",
            "PIN",
            "card_number",
            "cvv",
            "otp",
            "mfa code",
            "seedPhrase",
            "パスワード",
            "Contraseña",
        ] {
            let found = asked("Please fill in.", &json!({ name: text }));
            assert!(found.contains(&Rule::AsksForSecret), "{name}");
        }
        let titled = json!({"value": {"type": "string", "title": "Your API key"}});
        assert!(asked("Please fill in.", &titled).contains(&Rule::AsksForSecret));
        for said in ["description", "default", "x-hint"] {
            let described = json!({"value": {"type": "string", said: "the token of your account"}});
            assert!(asked("Please fill in.", &described).contains(&Rule::AsksForSecret), "{said}");
        }
        for said in ["examples", "enumNames"] {
            let described = json!({"value": {"type": "string", said: ["x", "your ｐａｓｓｗｏｒｄ"]}});
            assert!(asked("Please fill in.", &described).contains(&Rule::AsksForSecret), "{said}");
        }
        assert!(asked("Type your password", &json!({ "value": text })).contains(&Rule::AsksForSecret));
        let optional = json!({"password": {"anyOf": [{"type": "string"}, {"type": "null"}]}});
        assert!(asked("Please fill in.", &optional).contains(&Rule::AsksForSecret), "no choice of given values");
        let formatted = json!({"value": {"type": "string", "format": "password"}});
        assert!(asked("Please fill in.", &formatted).contains(&Rule::AsksForSecret));
        let schema = json!({"type": "object", "title": "Your password", "properties": {"value": text}});
        assert!(of_schema(schema).contains(&Rule::AsksForSecret));
        let number = json!({"code": {"type": "integer", "title": "PIN"}});
        assert!(asked("Please fill in.", &number).contains(&Rule::AsksForSecret));
    }

    #[test]
    fn ordinary_forms_and_choices_about_secrets_are_none() {
        let fields = json!({
            "name": {"type": "string"}, "email": {"type": "string", "format": "email"}, "spinning": {"type": "string"},
            "tokens_max": {"type": "integer"}, "keyboard": {"type": "string", "enum": ["a", "b"]},
            "tags": {"type": "array", "items": {"type": "string", "enum": ["x"]}},
            "color": {"type": "string", "oneOf": [{"const": "r", "title": "Red"}]},
            "favourite": {"type": "integer", "description": "A number (do not give us your pin or other sensitive info)"},
        });
        assert!(asked("Who are you?", &fields).is_empty());
        let choice = json!({"sure": {"type": "boolean", "title": "Reset the password?"}});
        assert!(asked("Reset the password of alice?", &choice).is_empty());
    }

    #[test]
    fn a_form_is_flat_and_its_schema_can_be_used() {
        for field in [
            json!({"type": "object"}),
            json!({"properties": {"a": {}}}),
            json!({"type": "array", "items": {"type": "object"}}),
            json!({"type": "array", "items": {"type": "array", "items": {"type": "string"}}}),
            json!({"$ref": "#/$defs/a"}),
            json!({"type": "string", "allOf": [{"type": "string"}]}),
            json!({"oneOf": [{"type": "array", "items": {}}]}),
            json!({"anyOf": [{"properties": {}}]}),
        ] {
            assert_eq!(asked("m", &json!({ "a": field })), [Rule::Form], "{field}");
        }
        for schema in [
            json!({}),
            json!({"type": "object", "$schema": "https://x/y"}),
            json!({"type": "string"}),
            json!({"type": "object", "allOf": [{"properties": {"password": {"type": "string"}}}]}),
            json!({"type": "object", "additionalProperties": {"type": "string"}}),
            json!({"type": "object", "patternProperties": {"a": {"type": "string"}}}),
        ] {
            assert_eq!(of_schema(schema.clone()), [Rule::Form], "{schema}");
        }
        assert!(of_schema(json!({"type": "object", "additionalProperties": false})).is_empty());
    }

    #[test]
    fn a_page_is_on_the_web_over_tls_or_on_this_machine() {
        for good in [
            "https://login.example.com/a?b=c#d",
            "http://localhost:3000/x",
            "http://127.0.0.1/",
            "http://[::1]:8080/",
            "https://xn--bcher-kva.example/",
        ] {
            assert!(of_link("", good).is_none(), "{good}");
        }
        for bad in [
            "http://login.example.com/",
            "http://localhost.example.com/",
            "javascript:alert(1)",
            "file:///etc/passwd",
            "data:text/html,x",
            "vscode://x/y",
            "https://",
            "https://user@example.com/",
            "https://user:pass@example.com/",
            "https://bücher.example/",
            "https://example.com/\u{202e}",
            "https://exa mple.com/",
            "/relative",
            "",
        ] {
            assert_eq!(of_link("", bad).map(|found| found.rule), Some(Rule::Link), "{bad}");
        }
        assert_eq!(host_of("https://LOGIN.example.com:8443/x").as_deref(), Some("login.example.com"));
        assert_eq!(host_of("https://bücher.example/").as_deref(), Some("xn--bcher-kva.example"));
        assert_eq!(host_of("mailto:a@b.example"), None);
    }

    #[test]
    fn an_answer_fits_what_was_asked() {
        let form = json!({"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}});
        let form = Asked { kind: InputKind::Form, form: Some(Declared::of(wire(&form))) };
        let page = Asked { kind: InputKind::Url { url: "https://a.example/".into() }, form: None };
        let model = Asked { kind: InputKind::Sampling { tools: false, context: false }, form: None };
        let roots = Asked { kind: InputKind::Roots, form: None };
        let said = json!({"role": "assistant", "model": "m", "content": {"type": "text", "text": "t"}});
        for (asked, good) in [
            (&form, json!({"action": "accept", "content": {"n": 1}})),
            (&form, json!({"action": "decline"})),
            (&form, json!({"action": "cancel"})),
            (&page, json!({"action": "accept"})),
            (&model, said.clone()),
            (&roots, json!({"roots": []})),
            (&roots, json!({"roots": [{"uri": "file:///home/a..b", "name": "a"}]})),
        ] {
            assert_eq!(of_answer(&schemas(), "", asked, &wire(&good)), [], "{good}");
        }
        for (asked, bad) in [
            (&form, json!({"action": "accept", "content": {"n": "1"}})),
            (&form, json!({"action": "accept", "content": {}})),
            (&form, json!({"action": "accept"})),
            (&form, json!({"action": "accept", "content": {"n": 1, "more": 2}})),
            (&form, json!({"action": "maybe", "content": {"n": 1}})),
            (&form, json!({"content": {"n": 1}})),
            (&form, json!({"action": "decline", "content": {"n": 1}})),
            (&page, json!({"action": "accept", "content": {"password": "x"}})),
            (&model, json!({"role": "assistant", "content": {}})),
            (&model, json!({"role": "assistant", "model": "m", "content": "t"})),
            (&model, json!({"role": "assistant", "model": "m", "content": [{"type": "tool_use", "id": "1"}]})),
            (&roots, json!({})),
            (&roots, json!({"roots": [{"uri": "https://example.com/"}]})),
            (&roots, json!({"roots": [{"uri": "file:///srv/../etc"}]})),
            (&roots, json!({"roots": [{"uri": "file:///srv/%2e%2E/etc"}]})),
        ] {
            assert_eq!(of_answer(&schemas(), "", asked, &wire(&bad))[0].rule, Rule::Answer, "{bad}");
        }
    }
}
