//! The part of the policies that can matter to one action on one kind of resource. A policy whose scope does not match is false
//! whatever its conditions say, and cannot err: leaving it out changes no decision.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use cedar_policy::{ActionConstraint, EntityUid, Policy, PolicyId, PolicySet, ResourceConstraint, Schema};

use crate::entities::{BuildError, Object, Vocabulary};
use crate::inputs::Inputs;
use crate::load::LoadError;
use crate::proposal::Proposal;
use crate::reads::Reads;

/// Policies that can match, and what they read together.
#[derive(Debug)]
pub(crate) struct Slice {
    /// Tells it from every other slice of the same policies.
    pub(crate) number: u64,
    pub(crate) policies: PolicySet,
    pub(crate) inputs: Inputs,
    /// What each reads of the arguments.
    pub(crate) reads: BTreeMap<PolicyId, Arc<Reads>>,
    /// What some of them propose to callers who are refused, by policy.
    pub(crate) proposals: Vec<Arc<Proposal>>,
    /// The same policies in two parts, if there are both: those whose answers are remembered where all is known, and those that are
    /// evaluated each time. Policies decide one by one, so the parts do, too.
    pub(crate) parts: Option<Box<[Slice; 2]>>,
}

impl Slice {
    /// Whether some policy reads the argument of this name.
    pub(crate) fn reads_argument(&self, name: &str) -> bool {
        self.reads.values().any(|reads| reads.reads(name))
    }
}

/// A policy, looked into once.
struct Looked {
    policy: Policy,
    actions: HashSet<EntityUid>,
    inputs: Inputs,
    reads: Arc<Reads>,
    proposal: Option<Arc<Proposal>>,
}

/// The slices, each made when it is first asked for.
pub(crate) struct Slices {
    policies: Vec<Looked>,
    /// The ids of resources that a scope means by name, whatever their type.
    named: HashSet<Box<str>>,
    /// Bounded: one for each action and server that there is, and one for each name in a policy's scope. By action, type of the
    /// resource, server, and id of the resource if a scope names it; none of the first three holds a space.
    made: ArcSwap<HashMap<String, Arc<Slice>>>,
    next_number: AtomicU64,
}

impl Slices {
    pub(crate) fn of(
        schema: &Schema,
        set: &PolicySet,
        mut proposals: HashMap<PolicyId, Arc<Proposal>>,
    ) -> Result<Slices, LoadError> {
        let groups = schema.action_entities().map_err(|e| LoadError::Actions(Box::new(e)))?;
        let within = |action: &EntityUid, group: &EntityUid| action == group || groups.is_ancestor_of(group, action);
        let actions_of = |policy: &Policy| -> HashSet<EntityUid> {
            let constraint = policy.action_constraint();
            let matches = |action: &&EntityUid| match &constraint {
                ActionConstraint::Any => true,
                ActionConstraint::Eq(one) => *action == one,
                ActionConstraint::In(groups) => groups.iter().any(|group| within(action, group)),
            };
            schema.actions().filter(matches).cloned().collect()
        };
        let policies: Vec<Looked> = set
            .policies()
            .map(|policy| Looked {
                policy: policy.clone(),
                actions: actions_of(policy),
                inputs: Inputs::of(policy),
                reads: Arc::new(Reads::of(policy)),
                proposal: proposals.remove(policy.id()),
            })
            .collect();
        let named = policies.iter().filter_map(|looked| named(&looked.policy)).collect();
        Ok(Slices { policies, named, made: ArcSwap::default(), next_number: AtomicU64::new(0) })
    }

    /// What each policy reads of the arguments.
    pub(crate) fn reads(&self) -> impl Iterator<Item = &Reads> {
        self.policies.iter().map(|looked| &*looked.reads)
    }

    /// The slice for an action on an object.
    pub(crate) fn matching(
        &self,
        vocabulary: &Vocabulary,
        action: &'static str,
        object: Object<'_>,
    ) -> Result<Arc<Slice>, BuildError> {
        let server = object.server().map_or("", |server| server.id.as_str());
        // A template has the type of a resource, and other policies that can match.
        let kind = if matches!(object, Object::Template { .. }) { "Template" } else { object.kind() };
        let mut key = [action, " ", kind, " ", server].concat();
        if !self.named.is_empty() {
            let id = object.id();
            if self.named.contains(&*id) {
                key.push(' ');
                key.push_str(&id);
            }
        }
        if let Some(slice) = self.made.load().get(&key) {
            return Ok(Arc::clone(slice));
        }
        let slice = Arc::new(self.make(vocabulary, action, object)?);
        self.made.rcu(|made| {
            let mut made = HashMap::clone(made);
            made.insert(key.clone(), Arc::clone(&slice));
            made
        });
        Ok(slice)
    }

    fn make(&self, vocabulary: &Vocabulary, action: &str, object: Object<'_>) -> Result<Slice, BuildError> {
        let action = vocabulary.action(action)?;
        let resource = vocabulary.resource(object)?;
        let server = object.server().map(|server| vocabulary.resource(Object::Server(server))).transpose()?;
        let matching = |looked: &&Looked| {
            looked.actions.contains(&action)
                // A template stands for resources of any name.
                && (matches!(object, Object::Template { .. })
                    || may_match(&looked.policy.resource_constraint(), &resource, server.as_ref()))
        };
        let matching: Vec<&Looked> = self.policies.iter().filter(matching).collect();
        let (each_time, once): (Vec<_>, Vec<_>) = matching.iter().partition(|looked| looked.inputs.vary());
        let parts = match (once.is_empty(), each_time.is_empty()) {
            (false, false) => Some(Box::new([self.part(&once, None)?, self.part(&each_time, None)?])),
            (true, _) | (_, true) => None,
        };
        self.part(&matching, parts)
    }

    fn part(&self, of: &[&Looked], parts: Option<Box<[Slice; 2]>>) -> Result<Slice, BuildError> {
        let mut slice = Slice {
            number: self.next_number.fetch_add(1, Ordering::Relaxed),
            policies: PolicySet::new(),
            inputs: Inputs::default(),
            reads: BTreeMap::new(),
            proposals: of.iter().filter_map(|looked| looked.proposal.clone()).collect(),
            parts,
        };
        for looked in of {
            slice.policies.add(looked.policy.clone()).map_err(|e| BuildError::Slice(Box::new(e)))?;
            slice.inputs = slice.inputs.and(looked.inputs.clone());
            slice.reads.insert(looked.policy.id().clone(), Arc::clone(&looked.reads));
        }
        slice.proposals.sort_by(|one, other| one.policy.cmp(&other.policy));
        Ok(slice)
    }
}

/// Whether a scope can mean this resource of this server.
fn may_match(scope: &ResourceConstraint, resource: &EntityUid, server: Option<&EntityUid>) -> bool {
    let within = |group: &EntityUid| resource == group || server == Some(group);
    match scope {
        ResourceConstraint::Any => true,
        ResourceConstraint::Eq(one) => one == resource,
        ResourceConstraint::In(group) => within(group),
        ResourceConstraint::Is(kind) => resource.type_name() == kind,
        ResourceConstraint::IsIn(kind, group) => resource.type_name() == kind && within(group),
    }
}

fn named(policy: &Policy) -> Option<Box<str>> {
    match policy.resource_constraint() {
        ResourceConstraint::Eq(one) | ResourceConstraint::In(one) | ResourceConstraint::IsIn(_, one) => {
            Some(one.id().unescaped().into())
        }
        ResourceConstraint::Any | ResourceConstraint::Is(_) => None,
    }
}
