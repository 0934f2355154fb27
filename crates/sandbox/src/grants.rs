//! From what is named to what is shown: paths found, judged and put in order.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Component, Path, PathBuf};

use crate::plan::{Access, Link, PlanError, Subject, VIEWS_MAX, View, text};
use crate::profile::Profile;

mod crossings;
pub(crate) mod programs;

/// What was granted so far.
pub(crate) struct Ground<'a> {
    base: &'a Path,
    home: Option<&'a Path>,
    /// By canonical path.
    views: BTreeMap<PathBuf, Access>,
    links: BTreeMap<PathBuf, PathBuf>,
    /// What somebody named, and not a profile.
    named: Vec<PathBuf>,
    /// As it was named, and where that leads.
    granted: Vec<(PathBuf, PathBuf)>,
    /// What must be neither seen nor changed, whatever is granted; where it is.
    always: Vec<PathBuf>,
    /// The home, where it is.
    real_home: Option<PathBuf>,
    /// What is shown by itself although it lies in what is shown alike.
    pinned: BTreeSet<PathBuf>,
    /// What profiles hide: as they name it, and where that leads.
    secret: Vec<(PathBuf, PathBuf)>,
}

impl<'a> Ground<'a> {
    pub(crate) fn new(base: &'a Path, home: Option<&'a Path>, profiles: &[&Profile], always: &[PathBuf]) -> Ground<'a> {
        let secret = secret(profiles, home);
        let always = always.iter().map(|path| settled(path)).collect();
        let real_home = home.and_then(|home| home.canonicalize().ok());
        let (views, links, named, pinned) = (BTreeMap::new(), BTreeMap::new(), Vec::new(), BTreeSet::new());
        Ground { base, home, views, links, named, granted: Vec::new(), always, real_home, pinned, secret }
    }

    /// What a profile names. What is not there, or would be too much, is left out: a profile is not of this machine.
    pub(crate) fn offer(&mut self, place: &str, access: Access, subject: &Subject<'_>, interpreter: Option<&Path>) {
        let found = match place {
            "{prefix}" => {
                let programs = [Some(subject.program), interpreter].into_iter().flatten();
                let straight = programs.filter(|program| !self.is_led_astray(program));
                straight.flat_map(|program| programs::prefixes(program, &|folder| self.is_changed(folder))).collect()
            }
            "{script}" => self.scripts(subject, interpreter),
            place => vec![self.absolute(Path::new(place))],
        };
        for path in found {
            self.add_if_narrow(&path, access);
        }
    }

    /// A folder that a version manager keeps programs in, where the program lies in it.
    pub(crate) fn offer_toolchain(&mut self, place: &str, programs: [Option<&Path>; 2]) {
        let place = self.absolute(Path::new(place));
        let Ok(canonical) = place.canonicalize() else { return };
        let lies_in = |program: &Path| {
            program.starts_with(&place) || program.canonicalize().is_ok_and(|program| program.starts_with(&canonical))
        };
        if programs.into_iter().flatten().any(lies_in) {
            self.add_if_narrow(&place, Access::Read);
        }
    }

    /// The folders that a command names, for a profile of servers that work on those.
    ///
    /// # Errors
    /// One of them would give nearly everything away.
    pub(crate) fn offer_arguments(&mut self, subject: &Subject<'_>, access: Access) -> Result<(), PlanError> {
        for path in self.paths_in_command(subject).into_iter().filter(|path| path.is_dir()) {
            self.grant(&path, access)?;
        }
        Ok(())
    }

    /// The files that a command names may be read: whoever wrote the command wanted them used.
    pub(crate) fn offer_named_files(&mut self, subject: &Subject<'_>) {
        let program = subject.program.to_owned();
        for path in self.paths_in_command(subject).into_iter().chain([program]) {
            if path.is_file() {
                self.add_if_narrow(&path, Access::Read);
            }
        }
    }

    /// What the configuration grants.
    ///
    /// # Errors
    /// It is not there, or would give away too much.
    pub(crate) fn grant(&mut self, path: &Path, access: Access) -> Result<(), PlanError> {
        let wanted = self.absolute(path);
        let missing = |_| PlanError::Missing { path: path.display().to_string() };
        let canonical = wanted.canonicalize().map_err(missing)?;
        self.check((&wanted, &canonical), path)?;
        self.named.push(canonical.clone());
        self.granted.push((wanted.clone(), path.to_owned()));
        self.add(&wanted, canonical, access);
        Ok(())
    }

    /// Whether a path can be granted, as it is named and as it is, which is written `path`.
    ///
    /// # Errors
    /// It would give away too much.
    pub(crate) fn check(&self, (wanted, canonical): (&Path, &Path), path: &Path) -> Result<(), PlanError> {
        let shown = || path.display().to_string();
        self.judge(wanted, canonical).map_err(|wrong| match wrong {
            Wrong::TooBroad(what) => PlanError::TooBroad { path: shown(), what },
            Wrong::WayAround(what) => PlanError::WayAround { path: shown(), what },
        })
    }

    /// The file that is executed. In the home, which the server's own takes the place of, it is the file itself: a link there would be the
    /// server's to replace.
    ///
    /// # Errors
    /// It is not shown.
    pub(crate) fn program(&self, program: &Path) -> Result<PathBuf, PlanError> {
        let missing = || PlanError::Missing { path: program.display().to_string() };
        let canonical = program.canonicalize().unwrap_or_else(|_| program.to_owned());
        let homes = [self.home, self.real_home.as_deref()];
        let is_at_home = |path: &Path| homes.into_iter().flatten().any(|home| path.starts_with(home));
        if !is_at_home(program) && !is_at_home(&canonical) {
            return Ok(program.to_owned());
        }
        if self.is_shown(&canonical) { Ok(canonical) } else { Err(missing()) }
    }

    /// The folder that it starts in, as it is called inside. None: its home.
    ///
    /// # Errors
    /// It is not there, or no text.
    pub(crate) fn folder(&mut self, subject: &Subject<'_>) -> Result<Option<String>, PlanError> {
        let Some(folder) = subject.folder else { return Ok(None) };
        let wanted = self.absolute(folder);
        let shown = || PlanError::Missing { path: folder.display().to_string() };
        let canonical = wanted.canonicalize().map_err(|_| shown())?;
        if self.is_shown(&canonical) {
            return text(&canonical).map(Some);
        }
        // Its home, or what holds it: it starts in the home of its own, which has the same name.
        if self.judge(&wanted, &canonical).is_err() || self.is_led_astray(&wanted) {
            return Ok(None);
        }
        self.add(&wanted, canonical.clone(), Access::Read);
        text(&canonical).map(Some)
    }

    /// Whether a path lies in what is shown.
    pub(crate) fn is_shown(&self, path: &Path) -> bool {
        path.ancestors().any(|ancestor| self.views.contains_key(ancestor))
    }

    /// As what a path is shown already, by itself or with what it lies in.
    fn shown_as(&self, path: &Path) -> Option<Access> {
        path.ancestors().find_map(|ancestor| self.views.get(ancestor)).copied()
    }

    /// Whether a link that the server may change decides where a path leads, out of what it may change.
    fn is_led_astray(&self, wanted: &Path) -> bool {
        let Ok(real) = wanted.canonicalize() else { return true };
        let changed = |place: &Path| {
            let above = place.ancestors().find(|above| self.views.get(*above) == Some(&Access::Write));
            above.map(Path::to_owned)
        };
        let crossed = crossings::crossings(wanted);
        crossed.iter().filter_map(|place| changed(place)).any(|above| !real.starts_with(above))
    }

    /// Whether the server may change what lies in a folder.
    fn is_changed(&self, folder: &Path) -> bool {
        folder.canonicalize().is_ok_and(|folder| self.shown_as(&folder) == Some(Access::Write))
    }

    /// What was granted leads to where it did when it was granted, whatever the server did meanwhile in folders that it may change.
    ///
    /// # Errors
    /// Something may lead elsewhere.
    pub(crate) fn keep_straight(&self) -> Result<(), PlanError> {
        match self.granted.iter().find(|(wanted, _)| self.is_led_astray(wanted)) {
            Some((_, path)) => Err(PlanError::WayAround {
                path: path.display().to_string(),
                what: "a symbolic link in a folder that the server may change leads there",
            }),
            None => Ok(()),
        }
    }

    /// Whether somebody named this very path.
    pub(crate) fn is_named(&self, path: &Path) -> bool {
        self.named.iter().any(|named| named == path)
    }

    /// What permits the server, whatever it is: nothing that can be changed may hold it.
    ///
    /// # Errors
    /// Something does.
    pub(crate) fn keep_what_permits(&self) -> Result<(), PlanError> {
        let mut changed = self.views.iter().filter(|(_, access)| **access == Access::Write);
        match changed.find(|(view, _)| self.always.iter().any(|always| always.starts_with(view))) {
            Some((view, _)) => Err(PlanError::WayAround {
                path: view.display().to_string(),
                what: "it holds what tells what the server may do; name folders in it",
            }),
            None => Ok(()),
        }
    }

    /// What is not shown of what is granted: what is kept from every server, and what profiles hide unless it is named itself.
    pub(crate) fn hidden(&self) -> Vec<PathBuf> {
        let secret = self.secret.iter().map(|(_, real)| real).filter(|path| !self.is_named(path));
        let always = self.always.iter().filter(|path| path.exists());
        let hidden: BTreeSet<&PathBuf> = secret.chain(always).filter(|path| self.is_shown(path)).collect();
        hidden.into_iter().cloned().collect()
    }

    /// What others execute or believe unseen, in folders that may be changed, is shown to read alone, unless it is named.
    pub(crate) fn guard(&mut self, profiles: &[&Profile]) {
        let writable = self.views.iter().filter(|(_, access)| **access == Access::Write);
        let writable: Vec<PathBuf> = writable.map(|(path, _)| path.clone()).collect();
        let guarded = profiles.iter().flat_map(|profile| &profile.guarded).map(|place| &place.path);
        let found = guarded.flat_map(|name| writable.iter().map(move |folder| folder.join(name)));
        // A link leads elsewhere, and can only be followed to what is shown.
        let is_real = |path: &PathBuf| path.symlink_metadata().is_ok_and(|found| !found.is_symlink());
        let found: Vec<PathBuf> = found
            .filter(is_real)
            .filter(|path| !self.is_named(path) && self.shown_as(path) == Some(Access::Write))
            .collect();
        self.pin_above(&found);
        self.views.extend(found.into_iter().map(|path| (path, Access::Read)));
    }

    /// Without namespaces, what lies in a folder that may be changed may be changed, too (landlock(7): rights add up).
    ///
    /// # Errors
    /// Something in one is to be read alone.
    pub(crate) fn refuse_read_in_write(&mut self, profiles: &[&Profile]) -> Result<(), PlanError> {
        self.guard(profiles);
        let writable = |path: &Path| {
            let above = path.ancestors().skip(1).find(|above| self.views.get(*above) == Some(&Access::Write));
            above.map(Path::to_owned)
        };
        let read = self.views.iter().filter(|(_, access)| **access == Access::Read);
        match read.filter_map(|(path, _)| Some((writable(path)?, path))).next() {
            Some((above, path)) => {
                Err(PlanError::CannotHide { path: above.display().to_string(), hidden: path.display().to_string() })
            }
            None => Ok(()),
        }
    }

    /// What is hidden stays where it is: a folder above it that the server may rename would take it along, out of its cover at the next
    /// start. The kernel renames no folder that something is attached to.
    pub(crate) fn pin_above(&mut self, hidden: &[PathBuf]) {
        for hidden in hidden {
            let between: Vec<&Path> =
                hidden.ancestors().skip(1).take_while(|above| !self.views.contains_key(*above)).collect();
            if self.shown_as(hidden) == Some(Access::Write) && !self.views.contains_key(hidden) {
                self.views.extend(between.iter().map(|folder| ((*folder).to_owned(), Access::Write)));
                self.pinned.extend(between.into_iter().map(Path::to_owned));
            }
        }
    }

    /// Where nothing can be covered, what holds something hidden is not shown, but what else lies in it.
    ///
    /// # Errors
    /// It could be changed: then what is made in it later belongs to it, too.
    pub(crate) fn carve_out(&mut self, hidden: &[PathBuf]) -> Result<(), PlanError> {
        for hidden in hidden {
            while let Some(view) = hidden.ancestors().find(|above| self.views.contains_key(*above)) {
                let view = view.to_owned();
                let Some(access) = self.views.remove(&view).filter(|_| view != *hidden) else { continue };
                if access == Access::Write {
                    let (path, hidden) = (view.display().to_string(), hidden.display().to_string());
                    return Err(PlanError::CannotHide { path, hidden });
                }
                let entries = std::fs::read_dir(&view).into_iter().flatten().filter_map(Result::ok);
                // A link leads elsewhere, which was granted by itself or was not.
                let real = entries.filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_symlink()));
                for path in real.map(|entry| entry.path()).filter(|path| path.to_str().is_some()) {
                    self.views.entry(path).or_insert(access);
                }
            }
        }
        Ok(())
    }

    /// Parents before what lies in them; what lies in one with the same access is shown with it.
    ///
    /// # Errors
    /// There are too many, or one is no text.
    pub(crate) fn done(self) -> Result<(Vec<View>, Vec<Link>), PlanError> {
        let is_shown_above = |path: &Path, access: Access| {
            let above = path.ancestors().skip(1).find_map(|ancestor| self.views.get(ancestor));
            above.is_some_and(|above| *above == access)
        };
        let is_shown_itself = |path: &Path, access: Access| self.pinned.contains(path) || !is_shown_above(path, access);
        let views = self.views.iter().filter(|(path, access)| is_shown_itself(path, **access));
        let views = views.map(|(path, access)| Ok(View { path: text(path)?, access: *access }));
        let views = views.collect::<Result<Vec<View>, PlanError>>()?;
        let links = self.links.iter().map(|(from, to)| Ok(Link { from: text(from)?, to: text(to)? }));
        let links = links.collect::<Result<Vec<Link>, PlanError>>()?;
        if views.len().saturating_add(links.len()) > VIEWS_MAX {
            return Err(PlanError::TooMany);
        }
        Ok((views, links))
    }

    /// What somebody granted stays as it was granted: an offer of less does not take from it.
    fn add_if_narrow(&mut self, wanted: &Path, access: Access) {
        let Ok(canonical) = wanted.canonicalize() else { return };
        if self.judge(wanted, &canonical).is_err() || self.is_led_astray(wanted) {
            return;
        }
        if self.shown_as(&canonical).is_some_and(|held| held >= access) {
            self.link(wanted, &canonical);
        } else {
            self.add(wanted, canonical, access);
        }
    }

    fn link(&mut self, wanted: &Path, canonical: &Path) {
        if wanted != canonical {
            self.links.insert(wanted.to_owned(), canonical.to_owned());
        }
    }

    fn add(&mut self, wanted: &Path, canonical: PathBuf, access: Access) {
        self.link(wanted, &canonical);
        let held = self.views.entry(canonical).or_insert(access);
        *held = access.max(*held);
    }

    /// Every path that stands in the command's arguments, behind an equals sign, too.
    fn paths_in_command(&self, subject: &Subject<'_>) -> Vec<PathBuf> {
        let folder = subject.folder.map_or_else(|| self.base.to_owned(), |folder| self.absolute(folder));
        let arguments = subject.command.iter().skip(1);
        let values = arguments.map(|word| match word.split_once('=') {
            Some((option, value)) if option.starts_with('-') => value,
            Some(_) | None => word.as_str(),
        });
        // A word alone is no path, even where something of this name lies about.
        let is_path = |word: &&str| {
            word.contains('/') || Path::new(word).extension().is_some() || matches!(*word, "." | ".." | "~")
        };
        let paths = values.filter(|word| !word.starts_with('-')).filter(is_path);
        paths
            .map(|word| if word.starts_with("~/") { self.absolute(Path::new(word)) } else { folder.join(word) })
            .collect()
    }

    /// The project of the script that a command runs, or the script alone where it belongs to none.
    fn scripts(&self, subject: &Subject<'_>, interpreter: Option<&Path>) -> Vec<PathBuf> {
        let own = interpreter.map(|_| subject.program.to_owned());
        let named = self.paths_in_command(subject).into_iter().find(|path| path.is_file());
        let script = [own, named].into_iter().flatten().filter(|script| !self.is_led_astray(script));
        script.flat_map(|script| programs::projects(&script, self.home)).collect()
    }

    fn absolute(&self, path: &Path) -> PathBuf {
        let at_home = path.strip_prefix("~").ok();
        let joined = match (at_home, self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            (Some(_), None) | (None, _) => self.base.join(path),
        };
        joined.components().filter(|part| *part != Component::CurDir).collect()
    }

    fn judge(&self, wanted: &Path, canonical: &Path) -> Result<(), Wrong> {
        if canonical == Path::new("/") {
            return Err(Wrong::TooBroad("the whole machine"));
        }
        if self.real_home.as_ref().is_some_and(|home| home.starts_with(canonical)) {
            return Err(Wrong::TooBroad("the whole home"));
        }
        if TOO_BROAD.iter().any(|path| Path::new(path) == canonical) {
            return Err(Wrong::TooBroad("what every user of the machine keeps there"));
        }
        if KERNEL.iter().any(|path| canonical.starts_with(path)) {
            return Err(Wrong::WayAround("it is the kernel's or the machine's services'"));
        }
        if self.always.iter().any(|always| canonical.starts_with(always)) {
            return Err(Wrong::WayAround(
                "it is, or lies in, what tells what servers may do, or another server's home",
            ));
        }
        // Whoever may change a folder can put a link into it, for the next start or for another server.
        let is_led_there = |(named, real): &(PathBuf, PathBuf)| {
            canonical.starts_with(real) && !wanted.starts_with(named) && !wanted.starts_with(real)
        };
        if self.secret.iter().any(is_led_there) {
            return Err(Wrong::WayAround(
                "a symbolic link leads from there to what is hidden; name it by its own name",
            ));
        }
        let is_socket = canonical.metadata().is_ok_and(|file| file.file_type().is_socket());
        if is_socket {
            return Err(Wrong::WayAround("it is a socket, and who listens on it is not confined"));
        }
        Ok(())
    }
}

/// What is wrong with a path, whoever names it.
enum Wrong {
    TooBroad(&'static str),
    WayAround(&'static str),
}

/// What profiles hide and is there.
fn secret(profiles: &[&Profile], home: Option<&Path>) -> Vec<(PathBuf, PathBuf)> {
    let places = profiles.iter().flat_map(|profile| &profile.hidden);
    let named = places.filter_map(|place| match (place.path.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => Some(home.join(rest)),
        (Some(_), None) => None,
        (None, _) => Some(PathBuf::from(&place.path)),
    });
    named.filter_map(|named| named.canonicalize().ok().map(|real| (named, real))).collect()
}

/// Where a path leads, as far as it is there.
pub(crate) fn settled(path: &Path) -> PathBuf {
    let there = path.ancestors().find_map(|above| Some((above.canonicalize().ok()?, path.strip_prefix(above).ok()?)));
    match there {
        // Joined with nothing, it would end in a slash.
        Some((real, rest)) if rest.as_os_str().is_empty() => real,
        Some((real, rest)) => real.join(rest),
        None => path.to_owned(),
    }
}

/// Granted whole, each of these is as good as no cage.
const TOO_BROAD: [&str; 9] = ["/etc", "/home", "/media", "/mnt", "/opt", "/root", "/srv", "/tmp", "/var"];
/// Who writes here commands the machine.
const KERNEL: [&str; 6] = ["/proc", "/sys", "/dev", "/run", "/var/run", "/boot"];
