//! Browsers in which somebody is known, because they have logged in at the provider lately. It spares nobody a login: it tells a page whom
//! to name, and shows people what they agreed to.

use std::time::{Duration, SystemTime};

use sekisho_store::Table;
use sekisho_wire::json::Object;

use crate::flows::BeginError;
use crate::kept::{Kept, NotKept, Row};
use crate::people::User;
use crate::secrets::{digest, random};

/// Remembers who logged in; the value of the cookie that knows it again.
pub(crate) async fn begin(kept: &Kept, user: &User, lasts: Duration, now: SystemTime) -> Result<String, BeginError> {
    let cookie = random()?;
    let until = now.checked_add(lasts).unwrap_or(now);
    let row = Row { key: key_of(&cookie), value: Object::new().json("user", &user.written()).finish(), until };
    kept.with(move |rows| rows.set(Table::Logins, &row)).await?;
    Ok(cookie)
}

/// Who is known in the browser with this cookie.
pub(crate) async fn find(kept: &Kept, cookie: &str, now: SystemTime) -> Result<Option<User>, NotKept> {
    let key = key_of(cookie);
    let row = kept.with(move |rows| rows.get(Table::Logins, &key, now).map(Ok)).await?;
    Ok(row.and_then(|row| User::read(&row.value.get("user")?)))
}

/// Forgets them there.
pub(crate) async fn end(kept: &Kept, cookie: &str, now: SystemTime) -> Result<(), NotKept> {
    let key = key_of(cookie);
    kept.with(move |rows| rows.take(Table::Logins, &key, now).map(|_| Ok(()))).await
}

fn key_of(cookie: &str) -> Vec<u8> {
    digest("login", cookie).to_vec()
}
