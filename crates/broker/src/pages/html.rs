//! HTML, written so that no text of others can become markup: tags and the names of attributes are our own constants, and whatever else
//! is written is escaped.

use sekisho_wire::text;

/// A piece of a page. There is no way to write text into it that is not escaped.
#[derive(Debug, Default)]
pub(super) struct Html(String);

/// The names of attributes, and their values.
pub(super) type Attributes<'a> = &'a [(&'static str, &'a str)];

impl Html {
    /// An empty document.
    pub(super) fn document() -> Html {
        Html("<!DOCTYPE html>\n".to_owned())
    }

    /// Writes text, as text.
    pub(super) fn text(&mut self, text: &str) {
        for char in text::visible(text).chars() {
            match char {
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '&' => self.0.push_str("&amp;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                char => self.0.push(char),
            }
        }
    }

    /// Writes an element with what is inside it.
    pub(super) fn element(&mut self, tag: &'static str, attributes: Attributes<'_>, inside: impl FnOnce(&mut Html)) {
        self.begin(tag, attributes);
        inside(self);
        self.0.push_str("</");
        self.0.push_str(tag);
        self.0.push('>');
    }

    /// Writes an element that has nothing inside it, and no end tag.
    pub(super) fn void(&mut self, tag: &'static str, attributes: Attributes<'_>) {
        self.begin(tag, attributes);
    }

    /// Writes an element with nothing but text inside it.
    pub(super) fn line(&mut self, tag: &'static str, text: &str) {
        self.element(tag, &[], |html| html.text(text));
    }

    /// Writes a sentence with a text of somebody else's at its `{}`, or behind it. That text may run from right to left: it does so for
    /// itself alone.
    pub(super) fn sentence(&mut self, sentence: &'static str, value: &str) {
        let (before, after) = sentence.split_once("{}").unwrap_or((sentence, ""));
        self.text(before);
        self.line("bdi", value);
        self.text(after);
    }

    /// What was written.
    pub(super) fn into_string(self) -> String {
        self.0
    }

    fn begin(&mut self, tag: &'static str, attributes: Attributes<'_>) {
        self.0.push('<');
        self.0.push_str(tag);
        for (name, value) in attributes {
            self.0.push(' ');
            self.0.push_str(name);
            self.0.push_str("=\"");
            self.text(value);
            self.0.push('"');
        }
        self.0.push('>');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_values_are_escaped_and_visible() {
        let mut html = Html::default();
        html.element("p", &[("title", "\"'><&\0")], |html| html.text("<b>\u{202e}\"'&amp;\r"));
        assert_eq!(
            html.into_string(),
            "<p title=\"&quot;&#39;&gt;&lt;&amp;\\u{0}\">&lt;b&gt;\\u{202e}&quot;&#39;&amp;amp;\\u{d}</p>"
        );
    }

    #[test]
    fn a_value_stands_at_its_place_in_a_sentence() {
        let mut html = Html::default();
        html.sentence("You act as {}.", "a<b");
        html.sentence("To ", "{}");
        assert_eq!(html.into_string(), "You act as <bdi>a&lt;b</bdi>.To <bdi>{}</bdi>");
    }
}
