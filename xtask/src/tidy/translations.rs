//! README.ja.md says what README.md says: as many headings of the same ranks, the same commands and files.

use super::{Files, Found};

pub(crate) fn check(files: &Files, found: &mut Found) {
    let (Some(original), Some(translation)) = (files.text(ORIGINAL), files.text(TRANSLATION)) else {
        found.errors.push(format!("{ORIGINAL} or {TRANSLATION} is missing"));
        return;
    };
    let (original, translation) = (outline(original), outline(translation));
    let differing = original.iter().zip(&translation).find(|(one, other)| one != other);
    if let Some((one, other)) = differing {
        found.errors.push(format!("{TRANSLATION} has\n{other}\nwhere {ORIGINAL} has\n{one}"));
    } else if original.len() != translation.len() {
        let (one, other) = (original.len(), translation.len());
        found.errors.push(format!("{TRANSLATION} has {other} headings and code blocks, {ORIGINAL} has {one}"));
    }
}

/// Ranks of headings, and code blocks without their comments, which may be translated.
fn outline(text: &str) -> Vec<String> {
    let mut outline = Vec::new();
    let mut block: Option<String> = None;
    for line in text.lines() {
        let fence = line.starts_with("```");
        block = match block.take() {
            None if fence => Some(format!("{line}\n")),
            None => {
                let rank = line.bytes().take_while(|byte| *byte == b'#').count();
                if rank > 0 {
                    outline.push("#".repeat(rank));
                }
                None
            }
            Some(lines) if fence => {
                outline.push(lines);
                None
            }
            Some(lines) => Some(lines + line.split(" # ").next().unwrap_or(line).trim_end() + "\n"),
        };
    }
    outline.extend(block);
    outline
}

const ORIGINAL: &str = "README.md";
const TRANSLATION: &str = "README.ja.md";

#[cfg(test)]
mod tests {
    use super::super::files;
    use super::*;

    fn errors(original: &str, translation: &str) -> usize {
        let mut found = Found::default();
        check(&files(&[(ORIGINAL, original), (TRANSLATION, translation)]), &mut found);
        found.errors.len()
    }

    #[test]
    fn words_and_comments_may_differ_and_headings_and_commands_may_not() {
        let original = "# One\ntext\n```sh\nsekisho up  # go\n```\n## Two\n";
        assert_eq!(errors(original, "# 一\n文\n```sh\nsekisho up  # 行け\n```\n## 二\n"), 0);
        assert_eq!(errors(original, "# 一\n文\n```sh\nsekisho serve  # 行け\n```\n## 二\n"), 1);
        assert_eq!(errors(original, "# 一\n```sh\nsekisho up\n```\n"), 1);
        assert_eq!(errors(original, "# 一\n```sh\nsekisho up\n```\n### 二\n"), 1);
    }
}
