//! The protocol revisions that are spoken, and the two eras they fall into.

use std::fmt;

/// A dated revision of the Model Context Protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// `2024-11-05`
    V2024_11_05,
    /// `2025-03-26`
    V2025_03_26,
    /// `2025-06-18`
    V2025_06_18,
    /// `2025-11-25`
    V2025_11_25,
    /// `2026-07-28`
    V2026_07_28,
}

/// How a conversation is held: with a handshake and a session, or request by request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Era {
    /// 2025-11-25 and older: `initialize`, sessions.
    Legacy,
    /// 2026-07-28: every request describes itself.
    Modern,
}

impl Version {
    /// Newest of the legacy era: what `initialize` is answered with when the asked one is unknown.
    pub const LATEST_LEGACY: Version = Version::V2025_11_25;
    /// Newest of the modern era.
    pub const LATEST_MODERN: Version = Version::V2026_07_28;
    /// What a legacy request without a version header speaks (2025-11-25, Transports, "Protocol Version Header").
    pub const ASSUMED: Version = Version::V2025_03_26;
    /// All of them, oldest first.
    pub const ALL: [Version; 5] =
        [Version::V2024_11_05, Version::V2025_03_26, Version::V2025_06_18, Version::V2025_11_25, Version::V2026_07_28];

    /// The revision written as `text`, if it is one that is spoken here.
    #[must_use]
    pub fn parse(text: &str) -> Option<Version> {
        Version::ALL.into_iter().find(|version| version.as_str() == text)
    }

    /// The date that names it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Version::V2024_11_05 => "2024-11-05",
            Version::V2025_03_26 => "2025-03-26",
            Version::V2025_06_18 => "2025-06-18",
            Version::V2025_11_25 => "2025-11-25",
            Version::V2026_07_28 => "2026-07-28",
        }
    }

    /// The era it belongs to.
    #[must_use]
    pub fn era(self) -> Era {
        match self {
            Version::V2024_11_05 | Version::V2025_03_26 | Version::V2025_06_18 | Version::V2025_11_25 => Era::Legacy,
            Version::V2026_07_28 => Era::Modern,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Era {
    /// `legacy` or `modern`: the word in policy, records and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Era::Legacy => "legacy",
            Era::Modern => "modern",
        }
    }
}

impl fmt::Display for Era {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
