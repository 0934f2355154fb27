//! Results as the client's door shows them: the URIs in them are exposed, and nothing else is touched.

use sekisho_wire::json::{Array, Kind};
use sekisho_wire::{Endpoint, Json, Method, ServerId};

use crate::names::exposed_uri;

/// A result of `method` with the URIs that a client may read exposed: `contents[].uri` of `resources/read`, and resource links
/// and embedded resources in `content` of a tool's result or a prompt's messages.
pub(crate) fn expose(endpoint: &Endpoint, server: &ServerId, method: &str, result: &Json) -> Json {
    match endpoint {
        Endpoint::One(_) => return result.clone(),
        Endpoint::All => {}
    }
    let uri = |holder: &Json| expose_uri(server, holder);
    if method == Method::ReadResource.as_str() {
        each(result, "contents", &uri)
    } else if method == Method::CallTool.as_str() {
        each(result, "content", &|block| expose_block(server, block))
    } else if method == Method::GetPrompt.as_str() {
        each(result, "messages", &|message| {
            // One block; an array of them is taken as well.
            match message.get("content") {
                Some(content) if content.kind() == Kind::Array => {
                    each(message, "content", &|block| expose_block(server, block))
                }
                Some(content) => replaced(message, "content", &content, &expose_block(server, &content)),
                None => message.clone(),
            }
        })
    } else {
        result.clone()
    }
}

/// A content block: `resource_link` has a URI, `resource` an embedded resource that has one.
fn expose_block(server: &ServerId, block: &Json) -> Json {
    let kind = block.get("type");
    match kind.as_ref().and_then(Json::string).as_deref() {
        Some("resource_link") => expose_uri(server, block),
        Some("resource") => match block.get("resource") {
            Some(resource) => replaced(block, "resource", &resource, &expose_uri(server, &resource)),
            None => block.clone(),
        },
        // Text, pictures, sound, and kinds that no revision knows: they name no resource of the server.
        Some(_) | None => block.clone(),
    }
}

fn expose_uri(server: &ServerId, holder: &Json) -> Json {
    match holder.get("uri").as_ref().and_then(Json::string) {
        Some(uri) => holder.with("uri", &Json::text(&exposed_uri(&Endpoint::All, server, &uri))),
        None => holder.clone(),
    }
}

/// `holder` with `change` made to each element of its array `member`.
fn each(holder: &Json, member: &str, change: &dyn Fn(&Json) -> Json) -> Json {
    let Some(list) = holder.get(member).filter(|list| list.kind() == Kind::Array) else { return holder.clone() };
    let mut changed = false;
    let mut elements = Array::new();
    for element in list.elements() {
        let new = change(&element);
        changed |= new != element;
        elements.push(&new);
    }
    if changed { holder.with(member, &elements.finish()) } else { holder.clone() }
}

/// `holder` with `member` replaced, or the same bytes if it stays as it is.
fn replaced(holder: &Json, member: &str, old: &Json, new: &Json) -> Json {
    if old == new { holder.clone() } else { holder.with(member, new) }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use sekisho_wire::json::Limits;

    use super::*;

    fn exposed(method: &str, result: &str) -> String {
        let server = ServerId::parse("notes").expect("a server name");
        let json = Json::decode(Bytes::copy_from_slice(result.as_bytes()), &Limits::default()).expect("strict JSON");
        let at_one = expose(&Endpoint::One(server.clone()), &server, method, &json);
        assert_eq!(at_one, json, "untouched at the door of one server");
        expose(&Endpoint::All, &server, method, &json).as_str().to_owned()
    }

    #[test]
    fn contents_of_a_read_are_exposed() {
        assert_eq!(
            exposed("resources/read", r#"{"contents":[{"uri":"note://1","text":"note://2"},{"text":""}],"x":1.0}"#),
            r#"{"contents":[{"uri":"sekisho+notes:note://1","text":"note://2"},{"text":""}],"x":1.0}"#
        );
    }

    #[test]
    fn links_and_embedded_resources_of_a_tool_result_are_exposed() {
        let result = r#"{"content":[{"type":"text","text":"uri","uri":"a:b"},{"type":"resource_link","uri":"a:1","name":"n"},{"type":"resource","resource":{"uri":"a:2","text":"t"}}],"structuredContent":{"uri":"a:3"}}"#;
        let expected = r#"{"content":[{"type":"text","text":"uri","uri":"a:b"},{"type":"resource_link","uri":"sekisho+notes:a:1","name":"n"},{"type":"resource","resource":{"uri":"sekisho+notes:a:2","text":"t"}}],"structuredContent":{"uri":"a:3"}}"#;
        assert_eq!(exposed("tools/call", result), expected);
    }

    #[test]
    fn prompt_messages_are_exposed_with_one_block_or_several() {
        let result = r#"{"messages":[{"role":"user","content":{"type":"resource","resource":{"uri":"a:1"}}},{"role":"user","content":[{"type":"resource_link","uri":"a:2"}]},{"role":"user"}]}"#;
        let expected = r#"{"messages":[{"role":"user","content":{"type":"resource","resource":{"uri":"sekisho+notes:a:1"}}},{"role":"user","content":[{"type":"resource_link","uri":"sekisho+notes:a:2"}]},{"role":"user"}]}"#;
        assert_eq!(exposed("prompts/get", result), expected);
    }

    #[test]
    fn what_names_no_resource_keeps_its_very_bytes() {
        let result = r#"{ "content" : [ {"type": "text", "text": "x"} ] }"#;
        assert_eq!(exposed("tools/call", result), result);
        let result = r#"{"content":"a:1","contents":[{"uri":"a:1"}]}"#;
        assert_eq!(exposed("tools/call", result), result);
        assert_eq!(exposed("completion/complete", result), result);
    }
}
