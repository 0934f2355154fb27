//! The tools: each has a real schema, and is as long as tools are.

use bytes::Bytes;
use serde_json::json;

/// The list as the inside of its array, in pages of `page` tools; 0: one page.
pub(super) fn pages(tools: usize, page: usize) -> Vec<Bytes> {
    let page = if page == 0 { tools.max(1) } else { page };
    let all: Vec<String> = (0..tools).map(definition).collect();
    let mut pages: Vec<Bytes> = all.chunks(page).map(|items| Bytes::from(items.join(","))).collect();
    if pages.is_empty() {
        pages.push(Bytes::new());
    }
    pages
}

/// The name of a tool.
pub(super) fn name(number: usize) -> String {
    if number == 0 { "echo".to_owned() } else { format!("tool-{number:04}") }
}

/// Which tool has this name.
pub(super) fn number(name: &str) -> Option<usize> {
    if name == "echo" { Some(0) } else { name.strip_prefix("tool-")?.parse().ok() }
}

fn definition(number: usize) -> String {
    json!({
        "name": name(number),
        "title": format!("Tool {number}"),
        "description": format!(
            "Tool {number} of the bench: says the message again, and takes what tools of this kind usually take."
        ),
        "inputSchema": {
            "type": "object",
            "properties": {
                "message": {"type": "string", "maxLength": 1_048_576, "description": "What is said again."},
                "limit": {"type": "integer", "minimum": 1, "maximum": 100},
                "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 16}
            },
            "required": ["message"],
            "additionalProperties": false
        },
        "annotations": {"readOnlyHint": true}
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tool_is_on_one_page() {
        let pages = pages(5, 2);
        assert_eq!(pages.len(), 3);
        let text = pages.iter().map(|page| String::from_utf8_lossy(page).into_owned()).collect::<String>();
        assert!((0..5).all(|tool| text.matches(&format!("\"{}\"", name(tool))).count() == 1), "{text}");
        assert!(!text.contains("tool-0005"));
    }

    #[test]
    fn a_name_says_which_tool_it_is() {
        assert_eq!((number("echo"), number(&name(7)), number("echoes")), (Some(0), Some(7), None));
    }
}
