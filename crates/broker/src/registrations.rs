//! Who registered: kept in the store, and in memory to be looked up.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sekisho_store::{Store, Table, WriteError};
use sekisho_wire::text::Sanitized;

use crate::rates::InRate;
use crate::registration::{RegistrationError, Row};
use crate::trust::ClientsConfigError;

/// All that registered and were not forgotten since. Its calls wait for the disk, but for [`Registrations::find`] and
/// [`Registrations::list`].
#[derive(Debug)]
pub(crate) struct Registrations {
    store: Arc<Store>,
    held: Mutex<HashMap<Box<str>, Arc<Row>>>,
    /// One writes at a time, so that what is in memory and what is in the store are changed in the same order.
    writing: Mutex<()>,
    life: Duration,
    count_max: usize,
}

/// A registration, for whoever administrates them.
#[derive(Debug, Clone)]
pub struct Registration {
    /// Its `client_id`.
    pub id: Box<str>,
    /// What it calls itself.
    pub name: Sanitized,
    /// Where its answers may go.
    pub redirect_uris: Box<[Box<str>]>,
    /// When it registered.
    pub created: SystemTime,
    /// When a user last let it in, to the day. None: nobody ever did.
    pub used: Option<SystemTime>,
    /// Until when it is kept if nobody uses it.
    pub until: SystemTime,
}

/// Why a registration is not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// There is none.
    #[error("no client registered by that id")]
    Unknown,
    /// It is gone until this process ends, and might come back then.
    #[error("the registration is forgotten until this process ends, but the store did not take that")]
    Remove(#[source] Box<WriteError>),
    /// It will end as if it had not been used.
    #[error("that the client was used could not be written into the store")]
    Store(#[source] Box<sekisho_store::PutError>),
    /// The task that writes was cut off.
    #[error("whether the store took the change is unknown")]
    CutOff,
}

impl Registrations {
    pub(crate) fn load(
        store: Arc<Store>,
        life: Duration,
        count_max: usize,
    ) -> Result<Registrations, ClientsConfigError> {
        let mut held = HashMap::new();
        let rows = store.all(Table::Clients).map_err(|error| ClientsConfigError::Store(Box::new(error)))?;
        for row in rows {
            let id = String::from_utf8(row.key).map_err(|_| ClientsConfigError::Garbled)?;
            let row = Row::read(row.value).ok_or(ClientsConfigError::Garbled)?;
            held.insert(id.into_boxed_str(), Arc::new(row));
        }
        Ok(Registrations { store, held: Mutex::new(held), writing: Mutex::new(()), life, count_max })
    }

    pub(crate) fn find(&self, id: &str, now: SystemTime) -> Option<Arc<Row>> {
        self.held().get(id).filter(|row| self.is_alive(row, now)).cloned()
    }

    pub(crate) fn list(&self, now: SystemTime) -> Vec<Registration> {
        let held = self.held();
        let alive = held.iter().filter(|(_, row)| self.is_alive(row, now));
        let mut all: Vec<Registration> = alive.map(|(id, row)| self.registration(id, row)).collect();
        drop(held);
        all.sort_by(|one, other| other.created.cmp(&one.created).then_with(|| one.id.cmp(&other.id)));
        all
    }

    fn registration(&self, id: &str, row: &Row) -> Registration {
        Registration {
            id: id.into(),
            name: row.shown_name(),
            redirect_uris: row.redirects.clone(),
            created: row.created,
            used: row.used,
            until: row.until(self.life),
        }
    }

    /// Keeps one and says what it is known by. It is on the disk then.
    pub(crate) fn add(&self, row: Row, _in_rate: InRate, now: SystemTime) -> Result<Box<str>, RegistrationError> {
        let mut random = [0; 16];
        rand::fill(&mut random).map_err(|_| RegistrationError::Random)?;
        let id: Box<str> = URL_SAFE_NO_PAD.encode(random).into();
        let _writing = self.writing();
        self.make_room(now)?;
        let (value, until) = (row.written(), row.until(self.life));
        let put = self.store.put(Table::Clients, id.as_bytes(), value.bytes(), until);
        put.map_err(|error| match error {
            sekisho_store::PutError::Full { .. } => RegistrationError::Full,
            error @ (sekisho_store::PutError::KeyTooLong { .. }
            | sekisho_store::PutError::ValueTooLong { .. }
            | sekisho_store::PutError::Write(_)) => RegistrationError::Store(Box::new(error)),
        })?;
        self.held().insert(id.clone(), Arc::new(row));
        Ok(id)
    }

    /// Where there are as many as may be: those go whose time is over, or the oldest that nobody ever used. One that was made within
    /// the hour stays, as its user may be about to say yes.
    fn make_room(&self, now: SystemTime) -> Result<(), RegistrationError> {
        if self.held().len() < self.count_max {
            return Ok(());
        }
        let over: Vec<Box<str>> = {
            let held = self.held();
            let over = held.iter().filter(|(_, row)| !self.is_alive(row, now)).map(|(id, _)| id.clone());
            let over: Vec<_> = over.take(OVER_AT_ONCE_MAX).collect();
            let is_idle = |row: &Row| row.used.is_none() && row.created.checked_add(HOUR).is_some_and(|end| end <= now);
            let idle = || held.iter().filter(|(_, row)| is_idle(row)).min_by_key(|(_, row)| row.created);
            if over.is_empty() { idle().map(|(id, _)| id.clone()).into_iter().collect() } else { over }
        };
        if over.is_empty() {
            return Err(RegistrationError::Full);
        }
        for id in over {
            let removed = self.store.remove(Table::Clients, id.as_bytes());
            removed.map_err(|error| RegistrationError::MakeRoom(Box::new(error)))?;
            self.held().remove(&id);
        }
        // More than may be are there once the bound was lowered.
        if self.held().len() < self.count_max { Ok(()) } else { Err(RegistrationError::Full) }
    }

    /// It is kept for as long again. Written at most once a day.
    pub(crate) fn note_use(&self, id: &str, now: SystemTime) -> Result<(), ChangeError> {
        let _writing = self.writing();
        let row = self.find(id, now).ok_or(ChangeError::Unknown)?;
        if row.used.and_then(|used| now.duration_since(used).ok()).is_some_and(|since| since < DAY) {
            return Ok(());
        }
        let row = Row { used: Some(now), ..Row::clone(&row) };
        let put = self.store.put(Table::Clients, id.as_bytes(), row.written().bytes(), row.until(self.life));
        put.map_err(|error| ChangeError::Store(Box::new(error)))?;
        self.held().insert(id.into(), Arc::new(row));
        Ok(())
    }

    pub(crate) fn remove(&self, id: &str) -> Result<(), ChangeError> {
        let _writing = self.writing();
        let known = self.held().remove(id);
        // One that could not be removed before is not in memory any more.
        let removed = self.store.remove(Table::Clients, id.as_bytes());
        removed.map_err(|error| ChangeError::Remove(Box::new(error)))?;
        known.map(drop).ok_or(ChangeError::Unknown)
    }

    /// By what is configured today, and not when it was written.
    fn is_alive(&self, row: &Row, now: SystemTime) -> bool {
        now < row.until(self.life)
    }

    fn held(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<Row>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writing(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// LIMIT: removed for one that comes: each is a commit. The rest is swept, or goes for the next.
const OVER_AT_ONCE_MAX: usize = 16;
