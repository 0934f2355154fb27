//! What stops the operator, said so that it can be mended: a stable code, the words, the place, and what to do.

use std::fmt::{self, Display, Write as _};
use std::io::IsTerminal as _;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, SourceCode,
    SourceSpan, SpanContents,
};
use sekisho_wire::text::visible;

/// One thing that is wrong.
#[derive(Debug)]
pub(crate) struct Problem {
    code: Code,
    words: String,
    help: Option<String>,
    place: Option<Place>,
}

/// Stable codes of what the operator meets. Those of refusals to clients begin with SK1, these with SK0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// The configuration file cannot be read.
    ConfigUnreadable,
    /// It is no TOML.
    Syntax,
    /// A key that nothing reads.
    UnknownKey,
    /// A value of the wrong type or outside its range.
    BadValue,
    /// A key that must be there.
    MissingKey,
    /// No policy is configured, or its file is not there.
    PolicyMissing,
    /// The policy files hold no policy.
    PolicyEmpty,
    /// A policy cannot be used.
    PolicyInvalid,
    /// A secret reference leads nowhere.
    Secret,
    /// Certificates or certificate authorities cannot be used.
    Certificates,
    /// Nobody's tokens could be verified.
    Identity,
    /// A server's section is wrong.
    Server,
    /// Traces and metrics cannot be sent as it says.
    Telemetry,
    /// The lock file is missing, cannot be used, or was not confirmed.
    Lock,
    /// A server does not offer what was approved.
    Drift,
    /// A server could not be looked at.
    Survey,
    /// A server cannot be confined as it has to be.
    Sandbox,
    /// The change needs a restart.
    NeedsRestart,
    /// Another program has the port.
    PortTaken,
    /// The address cannot be listened on.
    AddressUnusable,
    /// Another gateway has the data folder.
    DataInUse,
    /// The data folder cannot be written to.
    DataReadOnly,
    /// The data folder or the log in it cannot be used otherwise.
    DataUnusable,
    /// The clock of this machine is wrong.
    Clock,
    /// A file is dated in the future.
    FutureFile,
    /// A server is down.
    ServerDown,
    /// The changed configuration is not used.
    ReloadRefused,
    /// The collector of traces and metrics is not reached, or is again.
    CollectorDown,
    /// The local status cannot be offered.
    StatusUnavailable,
    /// Whoever is at the other end of standard input is nobody that can be named.
    Caller,
    /// What should be run is not configured.
    NotConfigured,
    Broker,
    /// No gateway runs here.
    NotRunning,
    /// The log has nothing about the request.
    RequestUnknown,
    /// The audit log cannot be read.
    LogUnreadable,
    /// The developer issuer cannot be used.
    Developer,
    /// Something of this machine failed.
    System,
    /// A URL may not be asked.
    Destination,
    /// Something cannot be revoked or ended.
    Revocation,
    /// A running gateway refuses an order.
    Refused,
    /// A token would be refused.
    Token,
    /// Servers of clients cannot be imported, or an import cannot be undone.
    Import,
    /// A client's file is left alone.
    ClientFile,
}

/// Where in a file something is wrong.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The file.
    pub(crate) path: PathBuf,
    /// Its text, secrets blanked out.
    pub(crate) text: Arc<str>,
    /// Which bytes of the text.
    pub(crate) span: Range<usize>,
}

/// How much the report shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    /// Plain text.
    Off,
    /// Escape sequences, for a terminal.
    On,
}

impl Code {
    /// The code as it is printed, such as `SK0103`. A code never changes its meaning.
    #[must_use]
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Code::ConfigUnreadable => "SK0101",
            Code::Syntax => "SK0102",
            Code::UnknownKey => "SK0103",
            Code::BadValue => "SK0104",
            Code::MissingKey => "SK0105",
            Code::PolicyMissing => "SK0106",
            Code::PolicyEmpty => "SK0107",
            Code::PolicyInvalid => "SK0108",
            Code::Secret => "SK0109",
            Code::Certificates => "SK0110",
            Code::Identity => "SK0111",
            Code::Server => "SK0112",
            Code::NeedsRestart => "SK0113",
            Code::Telemetry => "SK0114",
            Code::Lock => "SK0115",
            Code::Sandbox => "SK0118",
            Code::PortTaken => "SK0201",
            Code::AddressUnusable => "SK0202",
            Code::DataInUse => "SK0203",
            Code::DataReadOnly => "SK0204",
            Code::DataUnusable => "SK0205",
            Code::Clock => "SK0206",
            Code::FutureFile => "SK0207",
            Code::ServerDown => "SK0208",
            Code::ReloadRefused => "SK0209",
            Code::StatusUnavailable => "SK0210",
            Code::CollectorDown => "SK0211",
            Code::Caller => "SK0212",
            Code::NotConfigured => "SK0213",
            Code::Broker => "SK0116",
            Code::NotRunning => "SK0301",
            Code::RequestUnknown => "SK0302",
            Code::LogUnreadable => "SK0303",
            Code::Developer => "SK0304",
            Code::System => "SK0305",
            Code::Destination => "SK0306",
            Code::Revocation => "SK0307",
            Code::Refused => "SK0308",
            Code::Token => "SK0309",
            Code::Drift => "SK0310",
            Code::Survey => "SK0311",
            Code::Import => "SK0320",
            Code::ClientFile => "SK0321",
        }
    }
}

impl Problem {
    /// A problem without a place. Hidden characters in the words are made visible (requirement 1.4).
    #[must_use]
    pub(crate) fn new(code: Code, words: impl AsRef<str>) -> Problem {
        Problem { code, words: visible(words.as_ref()).into_owned(), help: None, place: None }
    }

    /// The same words as an error and the chain of its causes.
    #[must_use]
    pub(crate) fn of(code: Code, error: &dyn std::error::Error) -> Problem {
        Problem::new(code, chain(error))
    }

    /// With what to do about it.
    #[must_use]
    pub(crate) fn help(mut self, help: impl AsRef<str>) -> Problem {
        self.help = Some(visible(help.as_ref()).into_owned());
        self
    }

    /// With where it is.
    #[must_use]
    pub(crate) fn at(mut self, place: Option<Place>) -> Problem {
        self.place = place;
        self
    }

    /// The same as the cause of something else; place and help stay.
    #[must_use]
    pub(crate) fn within(mut self, code: Code, what: &str) -> Problem {
        (self.code, self.words) = (code, format!("{}: {}", visible(what), self.words));
        self
    }

    /// The same once more.
    #[must_use]
    pub(crate) fn again(&self) -> Problem {
        Problem { code: self.code, words: self.words.clone(), help: self.help.clone(), place: self.place.clone() }
    }

    /// Its code.
    #[must_use]
    pub(crate) fn code_of(&self) -> Code {
        self.code
    }

    /// The row of the file that it is on, from 1.
    #[must_use]
    pub(crate) fn row(&self) -> Option<usize> {
        self.place.as_ref().map(|place| place.position().0)
    }

    /// On one line, for logs and the status: `sekisho.toml:3:1: unknown key … (SK0103)`.
    #[must_use]
    pub(crate) fn line(&self) -> String {
        let mut line = String::new();
        if let Some(place) = &self.place {
            let (row, column) = place.position();
            // Writing into a String cannot fail.
            let _ = write!(line, "{}:{row}:{column}: ", place.path.display());
        }
        line.push_str(&self.words);
        if let Some(help) = &self.help {
            let _ = write!(line, "; {help}");
        }
        let _ = write!(line, " ({})", self.code.as_str());
        line.replace('\n', " ")
    }

    /// As people read it: with the line of the file and a mark under the place.
    #[must_use]
    pub(crate) fn report(&self, colour: Colour) -> String {
        let theme = match colour {
            Colour::Off => GraphicalTheme::unicode_nocolor(),
            Colour::On => GraphicalTheme::unicode(),
        };
        let mut text = String::new();
        let handler = GraphicalReportHandler::new_themed(theme).with_width(REPORT_WIDTH).with_links(false);
        match handler.render_report(&mut text, &Drawn::of(self)) {
            Ok(()) => text,
            Err(fmt::Error) => format!("{}\n", self.line()),
        }
    }
}

impl Place {
    /// Row and column, from 1; the column in characters.
    #[must_use]
    pub(crate) fn position(&self) -> (usize, usize) {
        let before = self.text.get(..self.span.start).unwrap_or(&self.text);
        let row = before.matches('\n').count().saturating_add(1);
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count().saturating_add(1);
        (row, column)
    }
}

impl Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl std::error::Error for Problem {}

/// Prints the problems on standard error, as people read them.
pub(crate) fn print(problems: &[Problem]) {
    let stderr = std::io::stderr();
    let plain = !stderr.is_terminal() || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colour = if plain { Colour::Off } else { Colour::On };
    for problem in problems {
        eprint!("{}", problem.report(colour));
    }
}

/// The words of an error and of what caused it, in one line.
#[must_use]
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    for _ in 0..CAUSES_MAX {
        let Some(inner) = cause else { break };
        words.push_str(": ");
        words.push_str(&inner.to_string());
        cause = inner.source();
    }
    words
}

/// A problem as miette wants it.
#[derive(Debug)]
struct Drawn<'a> {
    problem: &'a Problem,
    source: Option<Lines<'a>>,
}

impl<'a> Drawn<'a> {
    fn of(problem: &'a Problem) -> Drawn<'a> {
        // A text with hidden characters is not shown: made visible, they would shift the mark.
        let place = problem.place.as_ref().filter(|place| visible(&place.text) == *place.text);
        Drawn { problem, source: place.map(Lines) }
    }
}

/// The lines that a place is on, and none beside them: those may hold what nobody should see on a screen.
#[derive(Debug)]
struct Lines<'a>(&'a Place);

impl SourceCode for Lines<'_> {
    fn read_span<'b>(
        &'b self,
        span: &SourceSpan,
        lines_before: usize,
        _lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'b> + 'b>, MietteError> {
        let (text, name) = (&*self.0.text, self.0.path.display().to_string());
        let exact = text.read_span(span, 0, 0)?;
        if lines_before == 0 {
            let (line, column, count) = (exact.line(), exact.column(), exact.line_count());
            let contents = MietteSpanContents::new_named(name, exact.data(), *exact.span(), line, column, count);
            return Ok(Box::new(contents));
        }
        let end = span.offset().saturating_add(span.len());
        let from = text.get(..span.offset()).and_then(|before| before.rfind('\n')).map_or(0, |at| at.saturating_add(1));
        let to = text.get(end..).and_then(|after| after.find('\n')).map_or(text.len(), |at| end.saturating_add(at));
        let data = text.get(from..to).ok_or(MietteError::OutOfBounds)?;
        let around = SourceSpan::new(from.into(), data.len());
        let count = exact.line_count();
        Ok(Box::new(MietteSpanContents::new_named(name, data.as_bytes(), around, exact.line(), 0, count)))
    }
}

impl Display for Drawn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.source, &self.problem.place) {
            (None, Some(place)) => {
                let (row, column) = place.position();
                write!(f, "{}:{row}:{column}: {}", place.path.display(), self.problem)
            }
            (Some(_), _) | (None, None) => Display::fmt(self.problem, f),
        }
    }
}

impl std::error::Error for Drawn<'_> {}

impl Diagnostic for Drawn<'_> {
    fn code<'b>(&'b self) -> Option<Box<dyn Display + 'b>> {
        Some(Box::new(self.problem.code.as_str()))
    }

    fn help<'b>(&'b self) -> Option<Box<dyn Display + 'b>> {
        self.problem.help.as_ref().map(|help| -> Box<dyn Display + 'b> { Box::new(help) })
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| -> &dyn SourceCode { source })
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let place = self.problem.place.as_ref().filter(|_| self.source.is_some())?;
        let label = LabeledSpan::new(Some("here".to_owned()), place.span.start, place.span.len());
        Some(Box::new(std::iter::once(label)))
    }
}

const REPORT_WIDTH: usize = 110;
const CAUSES_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn problem() -> Problem {
        let text: Arc<str> = "a = 1\nlisten_ = 2\n".into();
        let place = Place { path: "sekisho.toml".into(), text, span: 6..13 };
        Problem::new(Code::UnknownKey, "unknown key `listen_`").help("did you mean `listen`?").at(Some(place))
    }

    #[test]
    fn line_has_file_row_column_words_help_and_code() {
        assert_eq!(problem().line(), "sekisho.toml:2:1: unknown key `listen_`; did you mean `listen`? (SK0103)");
    }

    #[test]
    fn report_marks_the_place_and_shows_no_other_line() {
        let report = problem().report(Colour::Off);
        for part in ["SK0103", "sekisho.toml:2:1", "listen_ = 2", "did you mean `listen`?", "here"] {
            assert!(report.contains(part), "{part} in {report}");
        }
        assert!(!report.contains("a = 1") && !report.contains('\u{1b}'), "{report}");
    }

    #[test]
    fn hidden_characters_are_written_out() {
        let report = Problem::new(Code::System, "a\u{1b}[2J\u{202e}b").report(Colour::Off);
        assert!(!report.contains('\u{1b}') && !report.contains('\u{202e}'), "{report:?}");
    }
}
