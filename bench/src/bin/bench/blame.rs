//! Whose time it was: stacks of `perf script`, added up by room.

use std::collections::BTreeMap;

/// What was seen, in samples.
#[derive(Debug, Default)]
pub(crate) struct Blame {
    /// By whoever asked for the work: a room, or a library that works for all of them.
    pub(crate) owners: BTreeMap<String, Share>,
    /// By whatever did it, the kernel included.
    pub(crate) doers: BTreeMap<String, u32>,
    /// All of them.
    pub(crate) samples: u32,
}

/// The samples of one owner.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    /// In its own code.
    pub(crate) own: u32,
    /// In libraries that it called.
    pub(crate) libraries: u32,
    /// In the kernel.
    pub(crate) kernel: u32,
}

impl Share {
    /// All of them.
    pub(crate) fn all(self) -> u32 {
        self.own.saturating_add(self.libraries).saturating_add(self.kernel)
    }
}

impl Blame {
    /// Reads what `perf script -F ip,sym` writes: stacks from the innermost frame outwards, an empty line after each.
    pub(crate) fn read(script: &str) -> Self {
        let mut blame = Self::default();
        for stack in script.split("\n\n") {
            let frames: Vec<Frame<'_>> = stack.lines().filter_map(frame).collect();
            blame.add(&frames);
        }
        blame
    }

    fn add(&mut self, stack: &[Frame<'_>]) {
        let Some(innermost) = stack.first() else { return };
        // Who asked is whoever stands nearest: a lock that identity waits for is identity's.
        let owner = stack.iter().find_map(|frame| owner(frame.of)).unwrap_or("the runtime, and what has no owner");
        let share = self.owners.entry(owner.to_owned()).or_default();
        let counted = match innermost.of {
            KERNEL => &mut share.kernel,
            of if of == owner => &mut share.own,
            _ => &mut share.libraries,
        };
        *counted = counted.saturating_add(1);
        let doer = self.doers.entry(innermost.of.to_owned()).or_default();
        *doer = doer.saturating_add(1);
        self.samples = self.samples.saturating_add(1);
    }
}

struct Frame<'a> {
    /// The crate, or one word for what is none.
    of: &'a str,
}

fn frame(line: &str) -> Option<Frame<'_>> {
    let (address, symbol) = line.trim().split_once(' ')?;
    // Kernel addresses are the upper half.
    let is_kernel = address.len() == 16 && address.starts_with("ffff");
    Some(Frame { of: if is_kernel { KERNEL } else { crate_of(symbol.trim()) } })
}

/// The crate that a symbol belongs to: `<sekisho_wire::Json as core::fmt::Debug>::fmt` is of `sekisho_wire`.
fn crate_of(symbol: &str) -> &str {
    let path = symbol.trim_start_matches(['<', '&', '*', '(', '[']);
    let path = path.strip_prefix("mut ").or_else(|| path.strip_prefix("dyn ")).unwrap_or(path);
    if symbol.starts_with("aws_lc") {
        return "aws-lc";
    }
    match path.split_once("::") {
        Some((name, _)) if name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_') => name,
        Some(_) | None => "C library, allocator and unknown",
    }
}

/// Rooms, and the library that speaks HTTP for all of them. Whoever runs tasks owns nothing.
fn owner(of: &str) -> Option<&str> {
    let speaks_http = matches!(of, "hyper" | "hyper_util" | "h2" | "httparse" | "tokio_rustls" | "rustls");
    if speaks_http { Some("hyper") } else { of.starts_with("sekisho_").then_some(of) }
}

const KERNEL: &str = "kernel";

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str = "\
ffffffff81a0 vfs_write\n    7f12 write\n    5601 sekisho_audit::group::Group::lead::{{closure}}\n    5602 sekisho_gateway::pipeline::walk::{{closure}}\n\n\
5603 <sekisho_wire::json::Json as core::fmt::Debug>::fmt\n    5602 sekisho_gateway::pipeline::walk::{{closure}}\n\n\
5604 core::ptr::drop_in_place<sekisho_wire::json::Json>\n    5605 cedar_policy_core::evaluator::run\n    5606 sekisho_policy::decide\n\n\
7f13 __memmove_avx\n    5607 tokio::runtime::run\n";

    #[test]
    fn work_belongs_to_the_nearest_room() {
        let script = SCRIPT.replace("ffffffff81a0", "ffffffff81a00000");
        let blame = Blame::read(&script);
        assert_eq!(blame.samples, 4);
        assert_eq!(blame.owners["sekisho_audit"], Share { kernel: 1, ..Share::default() });
        assert_eq!(blame.owners["sekisho_wire"], Share { own: 1, ..Share::default() });
        assert_eq!(blame.owners["sekisho_policy"], Share { libraries: 1, ..Share::default() });
        assert_eq!(blame.owners["the runtime, and what has no owner"].all(), 1);
        assert!(!blame.owners.contains_key("sekisho_gateway"));
    }

    #[test]
    fn a_symbol_belongs_to_the_crate_it_begins_with() {
        assert_eq!(crate_of("<&sekisho_wire::Json as core::fmt::Debug>::fmt"), "sekisho_wire");
        assert_eq!(crate_of("core::ptr::drop_in_place<sekisho_wire::Json>"), "core");
        assert_eq!(crate_of("__memmove_avx_unaligned_erms"), "C library, allocator and unknown");
        assert_eq!(crate_of("aws_lc_0_39_0_sha256_block_data_order"), "aws-lc");
    }
}
