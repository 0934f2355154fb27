//! What is served here, as a consent page tells it.

use sekisho_catalog::Impact;

/// Everything that tokens can be for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resources(Vec<Resource>);

/// One endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Its canonical URI (RFC 8707).
    pub uri: Box<str>,
    /// What people call it.
    pub title: Box<str>,
    /// Its approved tools.
    pub tools: Vec<Tool>,
}

/// A tool, as it was approved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    /// The name that clients call it by.
    pub name: Box<str>,
    /// What its server calls it; the name again if it says nothing.
    pub title: Box<str>,
    /// What calling it can do.
    pub impact: Impact,
}

impl Resources {
    /// These.
    #[must_use]
    pub fn new(resources: Vec<Resource>) -> Resources {
        Resources(resources)
    }

    /// Their URIs.
    pub(crate) fn uris(&self) -> Vec<&str> {
        self.0.iter().map(|resource| &*resource.uri).collect()
    }

    pub(crate) fn find(&self, uri: &str) -> Option<&Resource> {
        self.0.iter().find(|resource| *resource.uri == *uri)
    }
}

/// The scope that a tool of this impact needs, as `policies/consent.cedar` asks for it.
pub(crate) fn scope_of(impact: Impact) -> &'static str {
    match impact {
        Impact::Read => "tools:read",
        Impact::Write => "tools:write",
        Impact::External => "tools:external",
        Impact::Destructive => "tools:destructive",
    }
}

/// Whether it is a scope of the consent page's own.
pub(crate) fn is_of_tools(scope: &str) -> bool {
    Impact::ALL.iter().any(|impact| scope_of(*impact) == scope)
}
