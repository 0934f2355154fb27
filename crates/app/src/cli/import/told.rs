//! What `sekisho import` tells. Texts of clients' files are shown with secrets hidden and hidden characters made visible.

use std::fmt::Write as _;
use std::path::Path;

use sekisho_sandbox::Access;
use sekisho_wire::text::visible;
use similar::TextDiff;

use super::Pinned;
use crate::import::apply::Applied;
use crate::import::plan::{Fate, FilePlan, Plan, ServerPlan, Surroundings};
use crate::import::secrets::{masked, masked_command, masked_words};
use crate::import::sight::Sight;
use crate::import::source::parse;
use crate::import::status::Row;
use crate::import::undo::{Report, Undone};

/// How many files would be changed, and how many servers are run by them.
pub(super) fn counts(plan: &Plan) -> (usize, usize) {
    (plan.files.iter().filter(|file| file.after.is_some()).count(), plan.servers.iter().filter(is_used).count())
}

/// What an import would do.
pub(super) fn plan(plan: &Plan, around: &Surroundings) -> String {
    let mut text = String::new();
    for file in &plan.files {
        let name = file.candidate.client.name;
        line(&mut text, &format!("{name}: {}", around.machine.short(&file.candidate.path)));
        if file.candidate.is_project && file.after.is_some() {
            line(
                &mut text,
                "  others who share this project's file need Sekisho at the same path, and their own import",
            );
        }
        for entry in &file.entries {
            let what = match &entry.fate {
                Fate::Import { server, .. } => {
                    let name = plan.servers.get(*server).map(|server| server.new.name.to_string());
                    format!("becomes server `{}`", name.unwrap_or_default())
                }
                Fate::Protected => "is imported already".to_owned(),
                Fate::Remote(why) | Fate::Skipped(why) => format!("is left alone: {why}"),
                Fate::Refused(why) => format!("cannot be imported: {why}"),
            };
            let place = entry.place.iter().find(|key| key.starts_with('/'));
            let place = place.map(|key| format!(" ({})", around.machine.short(Path::new(key)))).unwrap_or_default();
            line(&mut text, &format!("  {}{place} {what}", entry.key));
        }
        difference(&mut text, file);
        text.push('\n');
    }
    let used: Vec<&ServerPlan> = plan.servers.iter().filter(is_used).collect();
    if !used.is_empty() {
        line(&mut text, &format!("Servers in {}:", around.machine.short(&around.home.path())));
        used.into_iter().for_each(|planned| server(&mut text, planned, around));
        text.push('\n');
    }
    text
}

fn server(text: &mut String, planned: &ServerPlan, around: &Surroundings) {
    let (new, server) = (&planned.new, &planned.new.server);
    let state = if planned.is_there { "is there already, and stays as it is" } else { "is new" };
    line(text, &format!("  {} {state}, for {}", new.name, planned.origins.join(", ")));
    match &server.url {
        Some(url) => line(text, &format!("    asks {}", masked_words(url))),
        None => line(text, &format!("    runs {}", masked_command(&server.command))),
    }
    if let Some(folder) = &server.cwd {
        line(text, &format!("    in {}", around.machine.short(folder)));
    }
    if planned.is_there {
        return;
    }
    for reason in &planned.reasons {
        line(text, &format!("    {reason}"));
    }
    if let Some(sight) = &planned.sight {
        cage(text, sight, around);
    }
    for (name, _) in &planned.secrets {
        let reference =
            server.env.get(name).or_else(|| server.headers.get(name)).map(String::as_str).unwrap_or_default();
        line(text, &format!("    secret {name} moves to {reference}"));
    }
    let is_setting = |name: &&String| !planned.secrets.iter().any(|(secret, _)| secret == *name);
    let settings: Vec<&str> = server
        .env
        .iter()
        .filter(|(name, value)| is_setting(name) && !value.starts_with("env:"))
        .map(|(name, _)| name.as_str())
        .collect();
    if !settings.is_empty() {
        line(text, &format!("    moves as it is: {}", settings.join(", ")));
    }
}

/// What it sees, with all that its profiles add to what the configuration grants.
fn cage(text: &mut String, sight: &Sight, around: &Surroundings) {
    let known = match sight {
        Sight::NoProgram(name) => {
            return line(text, &format!("    `{name}` is not there: what it will see is not known before it is"));
        }
        Sight::Known(known) => known,
    };
    let profiles = known.profiles.join(", ");
    line(text, &format!("    its cage: tier {}, profiles {profiles}; beside the system's programs it", known.tier));
    for (access, verb) in
        [(Access::Read, "reads"), (Access::Write, "reads and changes"), (Access::Copy, "gets a copy, gone with it, of")]
    {
        let of = known.views.iter().filter(|(one, _)| *one == access);
        let paths: Vec<String> = of.map(|(_, path)| around.machine.short(path)).collect();
        if !paths.is_empty() {
            line(text, &format!("      {verb} {}", paths.join(", ")));
        }
    }
    if !known.hidden.is_empty() {
        let paths: Vec<String> = known.hidden.iter().map(|path| around.machine.short(path)).collect();
        line(text, &format!("      does not see {}", paths.join(", ")));
    }
    if known.hosts.is_empty() {
        line(text, "      has no network");
    } else {
        line(text, &format!("      reaches {}, and no other host", known.hosts.join(", ")));
    }
}

fn difference(text: &mut String, file: &FilePlan) {
    let Some(after) = &file.after else { return };
    let shown = |text: &str| parse(file.candidate.format, text).map(|tree| masked(text, &tree)).unwrap_or_default();
    let (before, after) = (shown(&file.source.text), shown(after));
    let difference = TextDiff::from_lines(&before, &after);
    let unified = difference.unified_diff().context_radius(2).to_string();
    for one in unified.lines() {
        let one = masked_words(one);
        let short: String = one.chars().take(LINE_CHARS_MAX).collect();
        let more = if short.len() < one.len() { " …" } else { "" };
        line(text, &format!("  {short}{more}"));
    }
}

/// What was done.
pub(super) fn applied(applied: &Applied, around: &Surroundings) -> String {
    let mut text = String::new();
    for (server, name, reference) in &applied.secrets {
        line(&mut text, &format!("secret {name} of {server} is sealed: {reference}, beside the home configuration"));
    }
    if !applied.secrets.is_empty() {
        let key = around.machine.short(&around.home.key());
        line(&mut text, &format!("what is sealed opens with the key {key}, and for its server alone; keep the key"));
        if !around.machine.has_usual_data() {
            line(&mut text, "XDG_DATA_HOME is set: it has to be in the environment of your clients, too");
        }
    }
    for path in &applied.files {
        line(&mut text, &format!("changed {}", around.machine.short(path)));
    }
    text
}

/// What comes next.
pub(super) fn next(around: &Surroundings, pinned: Pinned) -> String {
    let config = around.machine.short(&around.home.path());
    let mut text = String::from("\n");
    if pinned == Pinned::No {
        line(&mut text, "A server can be used once what it offers is approved. For those that are not yet:");
        line(&mut text, &format!("sekisho lock --config {config}"));
    }
    line(&mut text, "Start your clients again: their servers run in cages from now on.");
    line(&mut text, &format!("What each may reach stands in {config}: change it as you like."));
    line(&mut text, "sekisho import status  tells what is protected");
    line(&mut text, "sekisho import undo    takes everything back");
    text
}

/// What was taken back.
pub(super) fn undone(report: &Report, around: &Surroundings) -> String {
    let mut text = String::new();
    if report.files.is_empty() {
        line(&mut text, "There is no import to take back.");
    }
    for (path, what) in &report.files {
        let path = around.machine.short(path);
        match what {
            Undone::Restored => line(&mut text, &format!("{path} is as it was, byte for byte")),
            Undone::Merged(entries) => {
                line(&mut text, &format!("{path} was changed since: {} as before, the rest stays", entries.join(", ")));
            }
            Undone::Nothing => line(&mut text, &format!("{path}: nothing was changed")),
        }
    }
    if !report.servers.is_empty() {
        let config = around.machine.short(&around.home.path());
        line(
            &mut text,
            &format!(
                "{} stay in {config}, with their sealed secrets beside it: take them out if you need them no more",
                report.servers.join(", ")
            ),
        );
    }
    text
}

/// The table of what is protected.
pub(super) fn status(rows: &[Row], around: &Surroundings) -> String {
    let mut text = String::new();
    if rows.is_empty() {
        line(&mut text, "No client with servers was found.");
        return text;
    }
    let cells: Vec<[String; 4]> = rows
        .iter()
        .map(|row| {
            let path = around.machine.short(&row.path);
            [row.client.to_owned(), path, row.server.clone(), row.state.clone()].map(|cell| visible(&cell).into_owned())
        })
        .collect();
    let width = |column: usize, least: usize| {
        cells
            .iter()
            .filter_map(|cells| cells.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
            .max(least)
    };
    let (client, file, server) = (width(0, 6), width(1, 4), width(2, 6));
    line(&mut text, &format!("{:client$}  {:file$}  {:server$}  STATE", "CLIENT", "FILE", "SERVER"));
    for [one, two, three, four] in &cells {
        line(&mut text, &format!("{one:client$}  {two:file$}  {three:server$}  {four}"));
    }
    text
}

fn is_used(server: &&ServerPlan) -> bool {
    !server.origins.is_empty()
}

fn line(text: &mut String, words: &str) {
    // Writing into a String cannot fail.
    let _ = writeln!(text, "{}", visible(words));
}

/// Longer lines of a client's file are shown in part.
const LINE_CHARS_MAX: usize = 200;
