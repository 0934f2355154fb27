//! The way in: arguments against schemas, mirrored headers, hidden characters.

use sekisho_catalog::{Addressed, Addressee, Answered, Asked, Declared, Pinned, Target};
use sekisho_wire::message::Mirrored;
use sekisho_wire::{Answer, Call, Era, Inbound, Json, headers};

use crate::questions::of_answer;
use crate::schema::{Role, Schemas};
use crate::{FINDINGS_MAX, Finding, Rule, schema, text, value};

/// What there is to find in a request.
pub(crate) fn findings(schemas: &Schemas, addressed: &Addressed) -> Vec<Finding> {
    let mut found = match addressed.target() {
        Target::One(route) => {
            let mut found = of_call(schemas, route.call(), route.addressee(), mirrored(addressed));
            found.extend(route.input().iter().flat_map(|input| of_input(schemas, input)));
            found
        }
        Target::Reply(reply) => match reply.answer() {
            Answer::Result(result) => of_answer(schemas, "", reply.question().asked(), result),
            Answer::Error(_) => Vec::new(),
        },
        Target::Gateway | Target::Many { .. } | Target::Listen(_) => Vec::new(),
    };
    // One more than the others may be: the words for the model come first.
    found.truncate(FINDINGS_MAX + 1);
    found
}

/// What a client brings that the server asked for.
fn of_input(schemas: &Schemas, input: &Answered) -> Vec<Finding> {
    let of_one = |(key, asked, answer): &(Box<str>, Asked, Json)| {
        let mut at = String::from("/inputResponses");
        value::push(&mut at, key);
        of_answer(schemas, &at, asked, answer)
    };
    input.answers().iter().flat_map(of_one).collect()
}

/// The mirrored headers of a modern request; in the legacy era they mean nothing.
fn mirrored(addressed: &Addressed) -> Option<&[Mirrored]> {
    match addressed.message().message() {
        Inbound::Request(request) => match request.spoken().era() {
            Era::Modern => Some(request.mirrored()),
            Era::Legacy => None,
        },
        Inbound::Notice(_) | Inbound::Reply(_) => None,
    }
}

fn of_call(schemas: &Schemas, call: &Call, addressee: &Addressee, mirrored: Option<&[Mirrored]>) -> Vec<Finding> {
    match (call, addressee) {
        (Call::CallTool { arguments, .. }, Addressee::Tool(tool)) => {
            let declared = [Role::Input, Role::Output].map(|role| role.pinned_by(tool));
            let mut found = of_tool(schemas, declared, arguments, mirrored);
            found.extend(hidden("", arguments));
            found
        }
        (Call::GetPrompt { arguments, .. }, Addressee::Prompt(prompt)) => {
            let mut found = of_prompt(prompt, arguments);
            found.extend(hidden("", arguments));
            found
        }
        (Call::Complete { argument, context, .. }, _) => {
            let mut found = Vec::from_iter(hidden("/argument", argument));
            found.extend(context.as_ref().and_then(|context| hidden("/context", context)));
            found
        }
        // No arguments, or a pair that the catalog never makes.
        (
            Call::CallTool { .. }
            | Call::GetPrompt { .. }
            | Call::ReadResource { .. }
            | Call::SetLogLevel { .. }
            | Call::Listen { .. }
            | Call::Subscribe { .. }
            | Call::Unsubscribe { .. }
            | Call::Task { .. }
            | Call::Initialize(_)
            | Call::Discover
            | Call::Ping
            | Call::List { .. },
            _,
        ) => Vec::new(),
    }
}

/// Arguments of a tool, as the definition that was approved has them.
pub(crate) fn of_tool(
    schemas: &Schemas,
    [input, output]: [Option<&Declared>; 2],
    arguments: &Json,
    mirrored: Option<&[Mirrored]>,
) -> Vec<Finding> {
    let Some(input) = input else {
        return vec![Finding::new(Rule::SchemaUnusable, "", "the tool declares no `inputSchema`")];
    };
    // Its answer could not be examined, and then the effect is there.
    if let Err(why) = schemas.usable_as(Role::Output, output) {
        return vec![Finding::new(Rule::SchemaUnusable, "", &why)];
    }
    let compiled = schemas.compiled(Role::Input, input);
    let compiled = match &*compiled {
        Ok(compiled) => compiled,
        Err(why) => return vec![Finding::new(Rule::SchemaUnusable, "", &schema::why(Role::Input, why))],
    };
    let mut found = Vec::new();
    if let Some(mirrored) = mirrored
        && let Err(mismatch) = headers::check_mirrored(mirrored, input.schema(), arguments)
    {
        found.push(Finding::new(Rule::HeaderMismatch, "", &mismatch.to_string()));
    }
    match value::tree(arguments) {
        Ok(tree) => found.extend(compiled.check(Rule::InputSchema, "", &tree)),
        Err(unfaithful) => found.push(Finding::new(Rule::Arguments, "", &unfaithful.to_string())),
    }
    found
}

/// Arguments of a prompt: an object of strings that has the required ones (MCP, Server, Prompts).
fn of_prompt(prompt: &Pinned, arguments: &Json) -> Vec<Finding> {
    if !arguments.is_object() {
        return vec![Finding::new(Rule::Arguments, "", "the arguments of a prompt are an object of strings")];
    }
    let mut found = Vec::new();
    for (name, argument) in arguments.members() {
        if argument.string().is_none() {
            let mut at = String::new();
            value::push(&mut at, &name);
            found.push(Finding::new(Rule::Arguments, &at, "the argument of a prompt is a string"));
        }
    }
    for argument in prompt.prompt_arguments() {
        if argument.required && arguments.get(&argument.name).is_none() {
            let words = format!("the argument `{}` is required", argument.name);
            found.push(Finding::new(Rule::Arguments, "", &words));
        }
    }
    found.truncate(FINDINGS_MAX);
    found
}

/// A finding if any text in `json` has characters that a reader does not see.
pub(crate) fn hidden(at: &str, json: &Json) -> Option<Finding> {
    text::hides(json).then(|| {
        Finding::new(Rule::HiddenCharacters, at, "there are characters in the text that a reader does not see")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use sekisho_wire::json::Limits;
    use serde_json::json;

    fn wire(value: serde_json::Value) -> Json {
        Json::decode(value.to_string().into(), &Limits::default()).unwrap()
    }

    fn rules(definition: serde_json::Value, arguments: &Json, mirrored: Option<&[Mirrored]>) -> Vec<Rule> {
        let definition = wire(definition);
        let declared = [Role::Input, Role::Output].map(|role| role.declared_by(&definition));
        let declared = declared.each_ref().map(Option::as_ref);
        let found = of_tool(&Schemas::new(&Config::default()), declared, arguments, mirrored);
        found.iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn a_tool_without_a_usable_schema_has_one_finding_that_says_so() {
        let arguments = Json::empty_object();
        assert_eq!(rules(json!({"name": "a"}), &arguments, None), [Rule::SchemaUnusable]);
        assert_eq!(rules(json!({"name": "a", "inputSchema": null}), &arguments, None), [Rule::SchemaUnusable]);
        let output = json!({"name": "a", "inputSchema": {"type": "object"}, "outputSchema": {"$ref": "https://x/y"}});
        assert_eq!(rules(output, &arguments, None), [Rule::SchemaUnusable]);
        assert!(rules(json!({"name": "a", "inputSchema": {"type": "object"}}), &arguments, None).is_empty());
        let null = json!({"name": "a", "inputSchema": {"type": "object"}, "outputSchema": null});
        assert!(rules(null, &arguments, None).is_empty());
    }

    #[test]
    fn a_number_that_loses_digits_is_found_before_the_schema_sees_another_one() {
        let definition =
            json!({"name": "a", "inputSchema": {"type": "object", "properties": {"n": {"type": "number"}}}});
        let lossy = Json::decode(r#"{"n":0.10000000000000000001}"#.into(), &Limits::default()).unwrap();
        assert_eq!(rules(definition.clone(), &lossy, None), [Rule::Arguments]);
        assert!(rules(definition, &wire(json!({"n": 0.1})), None).is_empty());
    }

    #[test]
    fn mirrored_headers_are_checked_in_the_modern_era() {
        let definition = json!({"name": "a", "inputSchema": {"type": "object", "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"}}}});
        let arguments = wire(json!({"region": "eu"}));
        let says = |value: &str| [Mirrored { name: "region".into(), value: value.into() }];
        assert!(rules(definition.clone(), &arguments, Some(&says("eu"))).is_empty());
        assert_eq!(rules(definition.clone(), &arguments, Some(&says("us"))), [Rule::HeaderMismatch]);
        assert_eq!(rules(definition.clone(), &arguments, Some(&[])), [Rule::HeaderMismatch]);
        assert!(rules(definition, &arguments, None).is_empty());
    }
}
