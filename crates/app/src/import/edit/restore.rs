//! Entries are turned back: of each the members that the import wrote, and no others. Clients add their own to an entry that is ours.

use super::super::backup::Written;
use super::super::clients::Format;
use super::super::source::parse;
use super::super::toml;
use super::super::tree::{Member, Node};
use super::{Splice, proven, rebuilt, spliced};

/// The text with what the import wrote in these entries as it is written in `original`.
///
/// # Errors
/// It cannot be put back without touching something else.
pub(crate) fn restore(format: Format, text: &str, original: &str, entries: &[&Written]) -> Result<String, String> {
    entries.iter().try_fold(text.to_owned(), |text, entry| restored(format, &text, original, entry))
}

fn restored(format: Format, text: &str, original: &str, entry: &Written) -> Result<String, String> {
    let (tree, from) = (parse(format, text)?, parse(format, original)?);
    let keys = || entry.place.iter().map(String::as_str);
    let gone = || format!("entry `{}` is not where it was", entry.key);
    let now = tree.find(keys()).and_then(|place| place.entry(&entry.key)).ok_or_else(gone)?;
    let then = from.find(keys()).and_then(|place| place.entry(&entry.key)).ok_or_else(gone)?;
    let mut wanted = now.clone();
    // Some clients say of any entry what it is: of a program, which this one is not any more.
    let kind = Some("type").filter(|key| entry.is_of_address() && then.get(key).is_none());
    let members: Vec<&str> = entry.members().chain(kind).collect();
    for key in &members {
        match then.get(key) {
            Some(node) => wanted.set(key, node.clone()),
            None => wanted.members_mut().into_iter().for_each(|members| members.retain(|member| member.key != **key)),
        }
    }
    let is_whole = wanted.canonical() == then.canonical();
    let mut expected = tree.clone();
    if let Some(place) = expected.find_mut(keys()).and_then(|place| place.entry_mut(&entry.key)) {
        *place = wanted.clone();
    }
    if format == Format::Toml {
        let keys: Vec<&str> = keys().chain([entry.key.as_str()]).collect();
        let edited = if is_whole {
            toml::transplant(text, original, &keys)?
        } else {
            toml::transplant_members(text, original, &keys, &members)?
        };
        return proven(format, edited, &expected);
    }
    let put = |new: String| proven(format, spliced(text, vec![Splice { at: now.at.clone(), text: new }])?, &expected);
    if is_whole {
        return put(original.get(then.at.clone()).ok_or_else(gone)?.to_owned());
    }
    // As it was written, where it was; or else as it was written; or else what it said.
    let exchanged = Exchange { text, original, now, then }.splices(&members);
    let exchanged = exchanged.and_then(|splices| proven(format, spliced(text, splices)?, &expected));
    exchanged
        .or_else(|_| put(rebuilt(format, text, now, &wanted, Some((original, then)))?))
        .or_else(|_| put(rebuilt(format, text, now, &wanted, None)?))
}

/// Members of an entry that are exchanged for those of before.
struct Exchange<'a> {
    text: &'a str,
    original: &'a str,
    now: &'a Node,
    then: &'a Node,
}

impl Exchange<'_> {
    fn splices(&self, members: &[&str]) -> Result<Vec<Splice>, String> {
        let mut splices = Vec::new();
        for key in members {
            splices.extend(match (self.now.member(key), self.then.member(key)) {
                (Some(now), Some(then)) => {
                    let written = self.original.get(then.key_at.start..then.node.at.end);
                    let written = written.ok_or("an entry is not where it was")?.to_owned();
                    Some(Splice { at: now.key_at.start..now.node.at.end, text: written })
                }
                (Some(now), None) => Some(self.without(now)?),
                (None, Some(_)) => return Err("it has nothing in that place".to_owned()),
                (None, None) => None,
            });
        }
        Ok(splices)
    }

    /// A member taken out, with what parts it from the one before.
    fn without(&self, member: &Member) -> Result<Splice, String> {
        let before = self.now.members().iter().rev().find(|one| one.node.at.end <= member.key_at.start);
        let before = before.ok_or("it is the first of its entry")?;
        let at = before.node.at.end..member.node.at.end;
        let between = self.text.get(before.node.at.end..member.key_at.start).unwrap_or("?");
        if between.chars().all(|c| c == ',' || c.is_whitespace()) {
            return Ok(Splice { at, text: String::new() });
        }
        Err("something stands before it".to_owned())
    }
}
