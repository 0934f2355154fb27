//! Tasks that servers go on with (T5-02, T6-03): whose they are, and what a server asked for meanwhile.
//!
//! The name that a client has for a task is ours and random. It means nothing to anybody but the principal whose call it was, at the door
//! that the call came through; the server's own name never reaches a client.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use aws_lc_rs::rand;
use sekisho_identity::PrincipalKey;
use sekisho_wire::{Askable, Call, Endpoint, Era, InputRequest, Json, Request, ServerId, Task};

use crate::parked::{Answered, Asked};

/// Where a task is at home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// Through which door its call came.
    pub endpoint: Endpoint,
    /// In which era.
    pub era: Era,
    /// Who works on it.
    pub server: ServerId,
    /// The tool that was called, as the server names it.
    pub tool: Box<str>,
}

/// A task that is kept.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) home: Home,
    /// The server's own name for it.
    pub(crate) id: Box<str>,
    until: SystemTime,
    number: u64,
    asked: Mutex<Vec<(Box<str>, Asked)>>,
}

/// The tasks of all.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    /// By principal, and then by our name. No empty ones.
    by_principal: HashMap<PrincipalKey, HashMap<Box<str>, Arc<Kept>>>,
    total: usize,
    last: u64,
}

impl Tasks {
    /// Keeps a task that has begun, and gives it a name; the one that it has if it is kept already. The oldest of the principal makes
    /// room. None without randomness, or where all together have too many.
    pub(crate) fn begin(&self, who: PrincipalKey, home: Home, task: &Task, now: SystemTime) -> Option<Box<str>> {
        let mut open = self.open();
        let own = open.by_principal.get(&who);
        let known = own.and_then(|own| own.iter().find(|(_, kept)| kept.id == task.id && kept.home == home));
        if let Some((name, _)) = known {
            return Some(name.clone());
        }
        let mut number = [0; 16];
        rand::fill(&mut number).ok()?;
        let name: Box<str> = format!("task-{:032x}", u128::from_be_bytes(number)).into();
        open.make_room(who, now)?;
        open.last += 1;
        open.total += 1;
        let until = now.checked_add(LIFE)?;
        let kept = Kept { home, id: task.id.clone(), until, number: open.last, asked: Mutex::default() };
        open.by_principal.entry(who).or_default().insert(name.clone(), Arc::new(kept));
        Some(name)
    }

    /// Remembers what the server of a task asks for now: all that an answer is judged by. Of a principal's tasks, those that began first
    /// make room: they are asked about again before they are answered.
    pub(crate) fn requires(
        &self,
        who: PrincipalKey,
        name: &str,
        requests: &[(Box<str>, InputRequest)],
        now: SystemTime,
    ) {
        let Some(kept) = self.find(who, name, now) else { return };
        let asked: Vec<_> = requests.iter().map(|(key, request)| (key.clone(), Asked::of(request))).collect();
        // Most polls find nothing asked, which needs no room.
        if asked.is_empty() {
            kept.asked().clear();
            return;
        }
        let open = self.open();
        let Some(own) = open.by_principal.get(&who) else { return };
        let mut others: Vec<&Arc<Kept>> = own.values().filter(|other| other.number != kept.number).collect();
        others.sort_by_key(|other| other.number);
        let mut bytes = bytes_of(&asked) + others.iter().map(|other| bytes_of(&other.asked())).sum::<usize>();
        for other in others {
            if bytes <= ASKED_BYTES_MAX {
                break;
            }
            bytes -= bytes_of(&std::mem::take(&mut *other.asked()));
        }
        *kept.asked() = asked;
    }

    /// The principal's task of this name.
    pub(crate) fn find(&self, who: PrincipalKey, name: &str, now: SystemTime) -> Option<Arc<Kept>> {
        self.open().by_principal.get(&who)?.get(name).filter(|kept| kept.until > now).cloned()
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        // Nothing between lock and unlock panics.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn make_room(&mut self, who: PrincipalKey, now: SystemTime) -> Option<()> {
        if self.total >= TASKS_MAX {
            self.by_principal.retain(|_, own| {
                own.retain(|_, kept| kept.until > now);
                !own.is_empty()
            });
            self.total = self.by_principal.values().map(HashMap::len).sum();
        }
        if let Some(own) = self.by_principal.get_mut(&who).filter(|own| own.len() >= OWN_MAX) {
            let oldest = own.iter().min_by_key(|(_, kept)| kept.number).map(|(name, _)| name.clone())?;
            own.remove(&oldest);
            self.total -= 1;
        }
        (self.total < TASKS_MAX).then_some(())
    }
}

impl Kept {
    /// The answers of a client, as far as they answer what was asked (MR-05).
    pub(crate) fn answered(&self, responses: &Json) -> Answered {
        let asked = self.asked();
        let answers = asked.iter().filter_map(|(key, asked)| Some((key.clone(), asked.clone(), responses.get(key)?)));
        Answered::of_task(answers.collect())
    }

    fn asked(&self) -> MutexGuard<'_, Vec<(Box<str>, Asked)>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bytes_of(asked: &[(Box<str>, Asked)]) -> usize {
    asked.iter().map(|(key, asked)| key.len() + asked.bytes()).sum()
}

/// Whether a request is about tasks, and its client does not declare them (T6-01, T6-02). In the legacy era nothing is declared.
pub(crate) fn lacks(request: &Request) -> bool {
    let call = request.call();
    let about = matches!(call, Call::Task { .. }) || matches!(call, Call::Listen { filter } if filter.tasks);
    let declared = || request.meta().capabilities.as_ref().is_some_and(|declared| Askable::of(declared).tasks);
    about && request.spoken().era() == Era::Modern && !declared()
}

/// LIMIT: what is remembered of questions of one principal's tasks, in bytes.
const ASKED_BYTES_MAX: usize = 1024 * 1024;
/// How long a task is known at most.
const LIFE: Duration = Duration::from_secs(24 * 3600);
/// LIMIT: tasks of one principal.
const OWN_MAX: usize = 1000;
/// LIMIT: tasks of all.
const TASKS_MAX: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn who(name: &str) -> PrincipalKey {
        PrincipalKey::of("i", name, "c")
    }

    fn home(server: &str) -> Home {
        let server = ServerId::parse(server).expect("an id");
        Home { endpoint: Endpoint::All, era: Era::Legacy, server, tool: "t".into() }
    }

    fn task(id: &str) -> Task {
        Task {
            id: id.into(),
            begins: true,
            said: Json::empty_object(),
            requests: Vec::new(),
            outcome: None,
            meta: None,
        }
    }

    #[test]
    fn a_task_is_found_by_its_principal_alone_under_a_name_that_is_not_the_servers() {
        let (tasks, now) = (Tasks::default(), SystemTime::now());
        let name = tasks.begin(who("a"), home("s"), &task("1"), now).expect("a name");
        assert!(name.len() == 37 && !name.contains("s/1"));
        assert_eq!(&*tasks.find(who("a"), &name, now).expect("hers").id, "1");
        assert!(tasks.find(who("b"), &name, now).is_none(), "somebody else");
        assert!(tasks.find(who("a"), "1", now).is_none(), "the server's name");
        assert!(tasks.find(who("a"), &name, now + LIFE).is_none(), "too late");
        assert_eq!(tasks.begin(who("a"), home("s"), &task("1"), now).as_ref(), Some(&name), "said twice");
        for (who, home, id) in [(who("a"), home("s"), "2"), (who("a"), home("r"), "1"), (who("b"), home("s"), "1")] {
            assert_ne!(tasks.begin(who, home, &task(id), now).expect("a name"), name);
        }
    }

    #[test]
    fn what_tasks_require_is_bounded_and_the_first_of_the_same_principal_make_room() {
        let (tasks, now) = (Tasks::default(), SystemTime::now());
        let names: Vec<_> =
            (0..20).map(|id| tasks.begin(who("a"), home("s"), &task(&id.to_string()), now).expect("a name")).collect();
        let question = |bytes: usize| {
            let schema = format!(r#"{{"message":"m","requestedSchema":{{"title":"{}"}}}}"#, "x".repeat(bytes));
            let params = Json::decode(schema.into(), &sekisho_wire::json::Limits::default()).expect("JSON");
            sekisho_wire::input::request("elicitation/create", Some(params)).expect("a question")
        };
        let many: Vec<_> = (0..8).map(|n| (format!("k{n}").into(), question(15_000))).collect();
        names.iter().for_each(|name| tasks.requires(who("a"), name, &many, now));
        let held = |name: &str| tasks.find(who("a"), name, now).expect("hers").asked().len();
        let held: Vec<usize> = names.iter().map(|name| held(name)).collect();
        let kept = held.iter().filter(|held| **held == 8).count();
        assert!((7..=8).contains(&kept) && held.iter().sum::<usize>() == 8 * kept, "{held:?}");
        assert_eq!(held.last(), Some(&8), "the latest");
    }

    #[test]
    fn tasks_are_bounded_and_the_oldest_of_the_same_principal_makes_room() {
        let (tasks, now) = (Tasks::default(), SystemTime::now());
        let begin = |who, id: usize| tasks.begin(who, home("s"), &task(&id.to_string()), now);
        let others = begin(who("b"), 0).expect("a name");
        let names: Vec<_> = (0..=OWN_MAX).map(|id| begin(who("a"), id).expect("a name")).collect();
        assert!(tasks.find(who("a"), &names[0], now).is_none(), "the oldest");
        assert!(names[1..].iter().all(|name| tasks.find(who("a"), name, now).is_some()));
        assert!(tasks.find(who("b"), &others, now).is_some());
        assert_eq!(tasks.open().total, OWN_MAX + 1);
        tasks.open().total = TASKS_MAX;
        assert!(begin(who("c"), 0).is_some(), "it was counted anew");
    }
}
