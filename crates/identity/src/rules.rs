//! What configuration says about an issuer's tokens, checked once and ready to be used.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sekisho_wire::Json;

use crate::config::{ConfigError, IssuerConfig, ScopesConfig};
use crate::entra::EntraRules;

/// How an issuer's claims are read.
pub(crate) struct Rules {
    pub(crate) roles: Option<Claim>,
    pub(crate) groups: Option<Claim>,
    pub(crate) tenant: Option<Claim>,
    /// Those that are accepted; empty: any.
    pub(crate) tenants: Vec<String>,
    pub(crate) required: Vec<(Claim, Vec<String>)>,
    /// What marks an application's own token; none: nothing does.
    pub(crate) application: Option<Vec<(Claim, Vec<String>)>>,
    pub(crate) client: Option<Claim>,
    pub(crate) attributes: Vec<(Box<str>, Claim)>,
    pub(crate) implied: Arc<Implied>,
    pub(crate) dialect: Dialect,
}

/// Whose habits a token follows.
pub(crate) enum Dialect {
    /// RFC 9068.
    Standard,
    /// Entra ID, version 2.0.
    Entra(EntraRules),
}

/// Where a claim stands: its name, or a way into it (RFC 6901).
pub(crate) enum Claim {
    Named(Box<str>),
    Within(Vec<Box<str>>),
}

/// Which scopes contain which others, all the way down (RS-11).
#[derive(Debug, Default)]
pub(crate) struct Implied(BTreeMap<Box<str>, Vec<Box<str>>>);

impl Rules {
    pub(crate) fn new(config: &IssuerConfig, implied: Arc<Implied>, dialect: Dialect) -> Result<Rules, ConfigError> {
        let claim = |field, text: &str| {
            let bad = || ConfigError::BadClaim { issuer: config.issuer.clone(), field, claim: text.to_owned() };
            Claim::parse(text).ok_or_else(bad)
        };
        let maybe = |field, text: &Option<String>| text.as_deref().map(|text| claim(field, text)).transpose();
        let valued = |field, claims: &BTreeMap<String, Vec<String>>| {
            let one = |(name, accepted): (&String, &Vec<String>)| {
                if accepted.is_empty() {
                    return Err(ConfigError::Empty { issuer: config.issuer.clone(), field });
                }
                Ok((claim(field, name)?, accepted.clone()))
            };
            claims.iter().map(one).collect::<Result<Vec<_>, _>>()
        };
        let attributes =
            config.attributes.iter().map(|(name, from)| Ok((name.as_str().into(), claim("attributes", from)?)));
        let tenant = maybe("tenant_claim", &config.tenant_claim)?;
        if tenant.is_none() && !config.tenants.is_empty() {
            return Err(ConfigError::NoTenantClaim { issuer: config.issuer.clone() });
        }
        Ok(Rules {
            roles: maybe("roles_claim", &config.roles_claim)?,
            groups: maybe("groups_claim", &config.groups_claim)?,
            tenant,
            tenants: config.tenants.clone(),
            required: valued("required_claims", &config.required_claims)?,
            application: config
                .application_claims
                .as_ref()
                .map(|claims| valued("application_claims", claims))
                .transpose()?,
            client: maybe("client_claim", &config.client_claim)?,
            attributes: attributes.collect::<Result<_, ConfigError>>()?,
            implied,
            dialect,
        })
    }
}

impl Claim {
    pub(crate) fn parse(text: &str) -> Option<Claim> {
        let Some(pointer) = text.strip_prefix('/') else {
            return (!text.is_empty()).then(|| Claim::Named(text.into()));
        };
        let step = |step: &str| step.replace("~1", "/").replace("~0", "~");
        let steps: Vec<Box<str>> = pointer.split('/').map(|one| step(one).into()).collect();
        let in_bounds = steps.len() <= STEPS_MAX && steps.iter().all(|step| !step.is_empty());
        in_bounds.then_some(Claim::Within(steps))
    }

    pub(crate) fn find(&self, claims: &Json) -> Option<Json> {
        match self {
            Claim::Named(name) => claims.get(name),
            Claim::Within(steps) => {
                let (first, rest) = steps.split_first()?;
                rest.iter().try_fold(claims.get(first)?, |value, step| value.get(step))
            }
        }
    }
}

impl Implied {
    pub(crate) fn new(config: &ScopesConfig) -> Result<Implied, ConfigError> {
        let check = |field, scope: &String| {
            if is_scope(scope) { Ok(()) } else { Err(ConfigError::BadScope { field, scope: scope.clone() }) }
        };
        config.supported.iter().try_for_each(|scope| check("supported", scope))?;
        config.initial.iter().try_for_each(|scope| check("initial", scope))?;
        for (scope, contained) in &config.implied {
            std::iter::once(scope).chain(contained).try_for_each(|scope| check("implied", scope))?;
        }
        let all = |scope: &String| {
            let (mut found, mut left) = (BTreeSet::new(), vec![scope]);
            while let Some(next) = left.pop() {
                for contained in config.implied.get(next).into_iter().flatten() {
                    if contained != scope && found.insert(contained) {
                        left.push(contained);
                    }
                }
            }
            found.into_iter().map(|scope| scope.as_str().into()).collect()
        };
        Ok(Implied(config.implied.keys().map(|scope| (scope.as_str().into(), all(scope))).collect()))
    }

    pub(crate) fn with_implied(&self, granted: Vec<Box<str>>) -> Vec<Box<str>> {
        let mut all = granted;
        for at in 0..all.len() {
            let contained = all.get(at).and_then(|scope| self.0.get(scope));
            let more: Vec<Box<str>> =
                contained.into_iter().flatten().filter(|one| !all.contains(one)).cloned().collect();
            all.extend(more);
        }
        all
    }
}

/// RFC 6749 section 3.3; and not the one by which a client asks for refresh tokens, which is no scope of a resource (RS-12).
fn is_scope(scope: &str) -> bool {
    let is_plain = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    !scope.is_empty() && scope.bytes().all(is_plain) && scope != "offline_access"
}

/// Deepest claim.
const STEPS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_named_or_pointed_at() {
        let claims = Json::empty_object()
            .with("plain", &Json::text("a"))
            .with("a/b", &Json::text("b"))
            .with("outer", &Json::empty_object().with("in~ner", &Json::text("c")));
        let find = |text: &str| Claim::parse(text).and_then(|claim| claim.find(&claims)?.string().map(String::from));
        assert_eq!(find("plain").as_deref(), Some("a"));
        assert_eq!(find("a/b").as_deref(), Some("b"), "only a leading slash makes a pointer");
        assert_eq!(find("/a~1b").as_deref(), Some("b"));
        assert_eq!(find("/outer/in~0ner").as_deref(), Some("c"));
        for nothing in ["outer.in~ner", "/outer/other", "/plain/x"] {
            assert_eq!(find(nothing), None, "{nothing}");
        }
        for bad in ["", "/", "//", "/a/", "/1/2/3/4/5/6/7/8/9"] {
            assert!(Claim::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn whoever_has_a_scope_has_those_that_it_contains() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let mut config = ScopesConfig::default();
        for (scope, contained) in
            [("admin", vec!["write"]), ("write", vec!["read", "list"]), ("loop", vec!["loop", "admin"])]
        {
            config.implied.insert(scope.to_owned(), words(&contained));
        }
        let implied = Implied::new(&config).unwrap();
        let all = |granted: &[&str]| {
            let mut all = implied.with_implied(granted.iter().map(|one| Box::from(*one)).collect());
            all.sort();
            all.join(" ")
        };
        assert_eq!(all(&["admin"]), "admin list read write");
        assert_eq!(all(&["read"]), "read");
        assert_eq!(all(&["loop"]), "admin list loop read write");
        assert_eq!(all(&["other", "write"]), "list other read write");
    }

    #[test]
    fn what_is_no_scope_or_asks_for_refresh_is_refused() {
        for bad in ["", "a b", "a\"b", "a\\b", "offline_access", "\u{e9}"] {
            let config = ScopesConfig { initial: vec![bad.to_owned()], ..ScopesConfig::default() };
            assert!(matches!(Implied::new(&config), Err(ConfigError::BadScope { .. })), "{bad}");
        }
        let config = ScopesConfig { supported: vec!["mcp:tools".to_owned()], ..ScopesConfig::default() };
        assert!(Implied::new(&config).is_ok());
    }
}
