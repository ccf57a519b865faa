//! Diagnostics as text for people: message, place, the line itself with a caret, and the next step.
//!
//! Only the lines in question are handed to the renderer, so that a big file costs no more than a small one.
//! Nothing from a file reaches the terminal without passing [`visible`]. Entry point: [`render_text`].

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::clean::{symbol, visible};
use crate::{Diagnostic, Diagnostics, Severity, SourceId, Sources, Span};

/// Two places at most this many lines apart are shown in one piece of text.
const NEARBY: usize = 20;

/// A longer line (in bytes) is not shown: its place is named instead.
const LONGEST_LINE: usize = 2000;

/// All diagnostics, sorted by place, with an empty line after each. `color` adds ANSI styles.
///
/// The count at the end is up to the caller: [`Diagnostics::summary_line`].
pub fn render_text(diagnostics: &Diagnostics, sources: &Sources, color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let mut out = String::new();
    for one in diagnostics.sorted() {
        out.push_str(&render_one(one, sources, &renderer));
        out.push_str("\n\n");
    }
    if diagnostics.not_kept() > 0 {
        out.push_str(&format!("{} more are not shown\n\n", diagnostics.not_kept()));
    }
    out
}

fn render_one(one: &Diagnostic, sources: &Sources, renderer: &Renderer) -> String {
    let level = match one.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_title(level.primary_title(visible(&one.message)).id(one.code.id()));
    for piece in pieces(one, sources) {
        group = piece.add_to(group, sources);
    }
    if let Some(help) = &one.help {
        let lines: Vec<_> = help.lines().map(visible).collect();
        group = group.element(Level::HELP.message(lines.join("\n")));
    }
    renderer.render(&[group])
}

/// A caret to draw: where, what to say there, and whether it is the place itself.
struct Mark<'a> {
    span: Span,
    label: Option<&'a str>,
    primary: bool,
}

/// Neighbouring lines of one text, with the carets in them.
struct Piece<'a> {
    source: SourceId,
    first_line: usize,
    last_line: usize,
    marks: Vec<Mark<'a>>,
}

/// Groups the places of a diagnostic, so that what is close together is shown together.
fn pieces<'a>(one: &'a Diagnostic, sources: &Sources) -> Vec<Piece<'a>> {
    let primary = one.span.map(|span| Mark { span, label: one.label.as_deref(), primary: true });
    let related = one.related.iter().map(|(span, text)| Mark {
        span: *span,
        label: Some(text.as_str()),
        primary: false,
    });
    let mut pieces: Vec<Piece<'_>> = Vec::new();
    for mark in primary.into_iter().chain(related) {
        let source = mark.span.source;
        let line = sources.line_of(source, mark.span.start);
        let near = pieces.iter_mut().find(|piece| {
            piece.source == source && line + NEARBY >= piece.first_line && line <= piece.last_line + NEARBY
        });
        match near {
            Some(piece) => {
                piece.first_line = piece.first_line.min(line);
                piece.last_line = piece.last_line.max(line);
                piece.marks.push(mark);
            }
            None => pieces.push(Piece { source, first_line: line, last_line: line, marks: vec![mark] }),
        }
    }
    pieces
}

impl<'a> Piece<'a> {
    fn add_to(self, group: Group<'a>, sources: &Sources) -> Group<'a> {
        let name = visible(sources.name(self.source)).into_owned();
        let too_long = (self.first_line..=self.last_line).any(|line| {
            let (start, end) = sources.line_bounds(self.source, line);
            end - start > LONGEST_LINE
        });
        if too_long {
            return self.without_text(group, sources, &name);
        }
        let mut text = String::new();
        let mut marks: Vec<(usize, usize, Mark<'a>)> = Vec::new();
        let mut waiting = self.marks;
        for line in self.first_line..=self.last_line {
            let (here, rest): (Vec<_>, Vec<_>) = waiting
                .into_iter()
                .partition(|mark: &Mark<'_>| sources.line_of(self.source, mark.span.start) == line);
            waiting = rest;
            let (line_start, line_end) = sources.line_bounds(self.source, line);
            for mark in here {
                // A place that goes on over several lines is shown by its first line.
                let clamp = |at: u32| (at as usize).clamp(line_start, line_end);
                let (start, end) = (clamp(mark.span.start), clamp(mark.span.end));
                let shown = |to: usize| text.len() + cleaned(sources, self.source, line_start, to).len();
                marks.push((shown(start), shown(end), mark));
            }
            text.push_str(&cleaned(sources, self.source, line_start, line_end));
            text.push('\n');
        }
        let annotations = marks.into_iter().map(|(start, end, mark)| {
            let kind = if mark.primary { AnnotationKind::Primary } else { AnnotationKind::Context };
            let annotation: Annotation<'a> = kind.span(start..end);
            annotation.label(mark.label.map(visible))
        });
        let snippet = Snippet::source(text).line_start(self.first_line).path(name);
        group.element(snippet.annotations(annotations.collect::<Vec<_>>()))
    }

    /// Names the places without showing the text, which is too long to be read.
    fn without_text(self, mut group: Group<'a>, sources: &Sources, name: &str) -> Group<'a> {
        for mark in self.marks {
            let at = sources.position(mark.span.source, mark.span.start);
            group = group.element(Origin::path(name.to_owned()).line(at.line).char_column(at.column));
            if let Some(label) = mark.label {
                group = group.element(Level::NOTE.message(visible(label)));
            }
        }
        group
    }
}

/// A part of a line, made safe to print. Tabs stay: the renderer widens them.
fn cleaned(sources: &Sources, source: SourceId, start: usize, end: usize) -> String {
    let part = sources.slice(Span::new(source, start, end));
    part.chars().map(|c| if c == '\t' { c } else { symbol(c) }).collect()
}

#[cfg(test)]
mod tests {
    use crate::{Code, Diagnostic, Diagnostics, Sources, Span, render_text};

    fn rendered(text: &str, make: impl FnOnce(crate::SourceId) -> Diagnostic) -> String {
        let mut sources = Sources::new();
        let id = sources.add("gateward.yaml", text);
        let mut all = Diagnostics::new();
        all.push(make(id));
        render_text(&all, &sources, false)
    }

    #[test]
    fn a_line_a_caret_and_the_next_step() {
        let out = rendered("listen: 0.0.0.0:8080\n\nservces:\n  a: 1\n", |id| {
            Diagnostic::error(Code::UnknownKey, Span::new(id, 22, 29), "unknown key `servces`")
                .help("did you mean `services`?")
        });
        let wanted = "\
error[GW0101]: unknown key `servces`
 --> gateward.yaml:3:1
  |
3 | servces:
  | ^^^^^^^
  |
  = help: did you mean `services`?

";
        assert_eq!(out, wanted);
    }

    #[test]
    fn related_places_are_shown_near_and_far() {
        let far = "#\n".repeat(50);
        let out = rendered(&format!("a: 1\na: 2\n{far}a: 3\n"), |id| {
            Diagnostic::error(Code::DuplicateKey, Span::new(id, 5, 6), "`a` is there twice")
                .label("again")
                .related(Span::new(id, 0, 1), "first here")
                .related(Span::new(id, 110, 111), "and here")
        });
        let wanted = "\
error[GW0003]: `a` is there twice
  --> gateward.yaml:2:1
   |
 1 | a: 1
   | - first here
 2 | a: 2
   | ^ again
   |
  ::: gateward.yaml:53:1
   |
53 | a: 3
   | - and here

";
        assert_eq!(out, wanted);
    }

    #[test]
    fn a_place_is_not_needed() {
        let out = rendered("", |_| {
            Diagnostic::error(Code::NoListeners, None, "nothing to listen on").help("add one")
        });
        assert_eq!(out, "error[GW0401]: nothing to listen on\n |\n = help: add one\n\n");
    }

    #[test]
    fn nothing_from_a_file_controls_the_terminal() {
        let out = rendered("k: \u{1b}[31m\u{9b}x\n", |id| {
            Diagnostic::error(Code::InvalidValue, Span::new(id, 3, 8), "bad \u{1b}[31m")
                .label("\u{9b}")
                .help("\u{7}1\n2")
        });
        assert!(!out.contains(['\u{1b}', '\u{9b}', '\u{7}']), "{out}");
        assert!(out.contains("= help: ␇1\n          2\n"), "{out}");
        assert!(out.contains("k: ␛[31m"), "{out}");
    }

    #[test]
    fn a_line_too_long_to_show_is_named() {
        let out = rendered(&format!("{}x", "ü".repeat(5000)), |id| {
            Diagnostic::error(Code::InvalidValue, Span::new(id, 10_000, 10_001), "bad").label("here")
        });
        assert!(out.contains("gateward.yaml:1:5001") && out.contains("here") && out.len() < 200, "{out}");
    }

    #[test]
    fn any_span_is_safe() {
        let text = "aü\n\nb\r\n";
        for start in 0..12 {
            for end in start..12 {
                rendered(text, |id| Diagnostic::error(Code::InvalidValue, Span::new(id, start, end), "x"));
            }
        }
    }
}
