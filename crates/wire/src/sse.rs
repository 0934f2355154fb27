//! Server-sent events (WHATWG HTML, section 9.2), their data kept byte for byte.

use bytes::{BufMut, Bytes, BytesMut};

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// `id`, if the event has one.
    pub id: Option<Box<str>>,
    /// `event`, if the event has one.
    pub name: Option<Box<str>>,
    /// The lines of `data`, joined by line feeds. Empty for an event that only carries an id or a delay.
    pub data: Bytes,
    /// `retry`, in milliseconds.
    pub retry_ms: Option<u64>,
}

/// An event is longer than permitted, its lines and field names counted. The stream cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("event is longer than {event_bytes_max} bytes")]
pub struct EventTooLong {
    /// The limit, in bytes.
    pub event_bytes_max: usize,
}

/// Splits a stream of bytes into events, whatever chunks they come in.
#[derive(Debug)]
pub struct Events {
    event_bytes_max: usize,
    line: BytesMut,
    /// Bytes of the event so far, the unfinished line not counted.
    taken: usize,
    draft: Draft,
    start: Start,
    /// The last byte was a carriage return: a line feed behind it ends no second line.
    after_return: bool,
}

/// The event that is being read.
#[derive(Debug, Default)]
struct Draft {
    id: Option<Box<str>>,
    name: Option<Box<str>>,
    data: Option<BytesMut>,
    retry_ms: Option<u64>,
}

/// Whether the first line, which alone may begin with a byte order mark, is still to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    Ahead,
    Behind,
}

impl Events {
    /// Reads events of at most `event_bytes_max` bytes.
    #[must_use]
    pub fn new(event_bytes_max: usize) -> Events {
        Events {
            event_bytes_max,
            line: BytesMut::new(),
            taken: 0,
            draft: Draft::default(),
            start: Start::Ahead,
            after_return: false,
        }
    }

    /// Takes a chunk and appends the events that it completes to `out`. Comments are skipped; an event
    /// that the stream breaks off is never given out.
    ///
    /// # Errors
    /// [`EventTooLong`]; after it the rest of the stream must not be fed.
    pub fn feed(&mut self, chunk: &[u8], out: &mut Vec<Event>) -> Result<(), EventTooLong> {
        let mut rest = chunk;
        if self.after_return && !rest.is_empty() {
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            self.after_return = false;
        }
        while let Some(end) = memchr::memchr2(b'\n', b'\r', rest) {
            self.take(rest.get(..end).unwrap_or_default())?;
            self.finish_line(out);
            let is_return = rest.get(end) == Some(&b'\r');
            rest = rest.get(end + 1..).unwrap_or_default();
            if is_return {
                self.after_return = rest.is_empty();
                rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            }
        }
        self.take(rest)
    }

    fn take(&mut self, part: &[u8]) -> Result<(), EventTooLong> {
        if self.taken + self.line.len() + part.len() > self.event_bytes_max {
            return Err(EventTooLong { event_bytes_max: self.event_bytes_max });
        }
        self.line.extend_from_slice(part);
        Ok(())
    }

    fn finish_line(&mut self, out: &mut Vec<Event>) {
        let line = self.line.split();
        let line = match self.start {
            Start::Ahead => line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&line),
            Start::Behind => &line,
        };
        self.start = Start::Behind;
        if line.is_empty() {
            self.taken = 0;
            out.extend(std::mem::take(&mut self.draft).finish());
        } else if line.first() != Some(&b':') {
            // One more for the line's end, so that empty data lines are not free.
            self.taken += line.len() + 1;
            self.draft.field(line);
        }
    }
}

impl Draft {
    fn field(&mut self, line: &[u8]) {
        let colon = memchr::memchr(b':', line).unwrap_or(line.len());
        let name = line.get(..colon).unwrap_or_default();
        let value = line.get(colon + 1..).unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        let text = || std::str::from_utf8(value).ok();
        match name {
            b"data" => match &mut self.data {
                None => self.data = Some(BytesMut::from(value)),
                Some(data) => {
                    data.put_u8(b'\n');
                    data.extend_from_slice(value);
                }
            },
            b"event" => self.name = text().map(Into::into),
            // An id with NUL is to be ignored.
            b"id" if !value.contains(&0) => self.id = text().map(Into::into),
            b"retry" if value.iter().all(u8::is_ascii_digit) => {
                self.retry_ms = text().and_then(|text| text.parse().ok());
            }
            // Unknown fields have no meaning.
            _ => {}
        }
    }

    fn finish(self) -> Option<Event> {
        let Draft { id, name, data, retry_ms } = self;
        if id.is_none() && data.is_none() && retry_ms.is_none() {
            return None;
        }
        Some(Event { id, name, data: data.unwrap_or_default().freeze(), retry_ms })
    }
}

/// An event id that can be written: 1 to 128 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventId(Box<str>);

impl EventId {
    /// Longest id, in characters.
    pub const CHARS_MAX: usize = 128;

    /// Reads an id; nothing if it could break its line or be taken for none.
    #[must_use]
    pub fn parse(text: &str) -> Option<EventId> {
        let good = (1..=Self::CHARS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        good.then(|| EventId(text.into()))
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One event as bytes. Every line end within `data` begins another `data` line; a reader joins them with
/// line feeds, which in strict JSON is the same white space.
#[must_use]
pub fn event(data: &[u8], id: Option<&EventId>) -> Bytes {
    let mut out = BytesMut::with_capacity(data.len() + 16);
    if let Some(id) = id {
        out.extend_from_slice(b"id: ");
        out.extend_from_slice(id.as_str().as_bytes());
        out.put_u8(b'\n');
    }
    let mut rest = data;
    loop {
        let end = memchr::memchr2(b'\n', b'\r', rest);
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(rest.get(..end.unwrap_or(rest.len())).unwrap_or_default());
        out.put_u8(b'\n');
        let Some(end) = end else { break };
        let pair = rest.get(end..).unwrap_or_default().starts_with(b"\r\n");
        rest = rest.get(end + if pair { 2 } else { 1 }..).unwrap_or_default();
    }
    out.put_u8(b'\n');
    out.freeze()
}

/// An event that says nothing but under which id, and when, its reader may come back (2025-11-25, Sending Messages to the Server).
#[must_use]
pub fn prime(id: &EventId, retry_ms: u32) -> Bytes {
    format!("id: {}\nretry: {retry_ms}\ndata: \n\n", id.as_str()).into()
}

/// A comment that keeps a connection alive (HT-34).
pub const KEEP_ALIVE: &[u8] = b":\n\n";

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(chunks: &[&[u8]]) -> Vec<Event> {
        let mut events = Events::new(1000);
        let mut out = Vec::new();
        for chunk in chunks {
            events.feed(chunk, &mut out).expect("within the limit");
        }
        out
    }

    fn data(data: &'static str) -> Event {
        Event { id: None, name: None, data: data.into(), retry_ms: None }
    }

    #[test]
    fn events_end_alike_in_any_line_ends_and_chunks() {
        let text =
            "\u{feff}: hello\n\nid: 7\nevent: message\ndata: {\"a\":\ndata:1}\nretry: 30\nfoo: bar\n\ndata\n\ndata: x";
        let first = Event {
            id: Some("7".into()),
            name: Some("message".into()),
            data: "{\"a\":\n1}".into(),
            retry_ms: Some(30),
        };
        let expected = [first, data("")];
        for end in ["\n", "\r\n", "\r"] {
            let text = text.replace('\n', end);
            assert_eq!(read(&[text.as_bytes()]), expected);
            for cut in 0..text.len() {
                let (before, behind) = text.as_bytes().split_at(cut);
                assert_eq!(read(&[before, behind]), expected, "{end:?} {cut}");
            }
        }
    }

    #[test]
    fn one_space_belongs_to_the_field_and_the_rest_to_the_data() {
        assert_eq!(read(&[b"data:  a: b \n\n"]), [data(" a: b ")]);
        assert_eq!(read(&[b"data:a\n\n"]), [data("a")]);
    }

    #[test]
    fn an_event_without_data_id_and_delay_is_none() {
        assert_eq!(read(&[b"event: x\n\n:c\n\n\n\n"]), []);
    }

    #[test]
    fn an_id_with_nul_and_a_delay_that_is_no_number_are_ignored() {
        assert_eq!(read(&[b"id: a\0b\nretry: 1x\ndata: x\n\n"]), [data("x")]);
    }

    #[test]
    fn bytes_that_are_no_text_are_kept_for_the_decoder_to_refuse() {
        assert_eq!(&read(&[b"data: \xff\n\n"])[0].data[..], b"\xff");
    }

    #[test]
    fn an_event_is_bounded_across_its_lines() {
        let feed = |text: &[u8]| Events::new(12).feed(text, &mut Vec::new());
        assert_eq!(feed(b"data: 123456"), Ok(()));
        assert_eq!(feed(b"data: 1234567"), Err(EventTooLong { event_bytes_max: 12 }));
        assert_eq!(feed(b"data:\ndata:\n"), Ok(()));
        assert_eq!(feed(b"data:\ndata:\nd"), Err(EventTooLong { event_bytes_max: 12 }));
        assert_eq!(feed(b"data: 123\n\ndata: 123\n\n: a comment\n:again\n"), Ok(()));
    }

    #[test]
    fn what_is_written_reads_back() {
        let id = EventId::parse("a-1").expect("an id");
        let written = event(b"{\"a\":\r\n1,\n\"b\":2}", Some(&id));
        assert_eq!(written, "id: a-1\ndata: {\"a\":\ndata: 1,\ndata: \"b\":2}\n\n");
        assert_eq!(read(&[&written, KEEP_ALIVE])[0].data, "{\"a\":\n1,\n\"b\":2}");
        assert_eq!(event(b"", Some(&id)), "id: a-1\ndata: \n\n");
        let primed = Event { id: Some("a-1".into()), name: None, data: Bytes::new(), retry_ms: Some(1000) };
        assert_eq!(read(&[&prime(&id, 1000)]), [primed]);
    }

    #[test]
    fn an_id_cannot_break_its_line() {
        assert!(EventId::parse("0123-~!").is_some());
        for bad in ["", "a b", "a\nb", "a\0", "é"] {
            assert_eq!(EventId::parse(bad), None, "{bad:?}");
        }
        assert!(EventId::parse(&"a".repeat(129)).is_none());
    }
}
