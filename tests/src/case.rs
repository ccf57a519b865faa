//! A case file: Markdown with a configuration and what client and service say to each other.
//!
//! It reads the file, [`crate::play`] carries it out. The language is described in `tests/README.md`.
//! Entry point: [`Case::parse`].

/// A case file.
#[derive(Clone, Debug)]
pub struct Case {
    /// The heading.
    pub title: String,
    /// The text of `gateward.yaml`, with placeholders.
    pub yaml: String,
    /// Further files beside it: name and text, with placeholders.
    pub files: Vec<(String, String)>,
    /// Environment variables.
    pub environment: Vec<(String, String)>,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// One block of a case.
#[derive(Clone, Debug)]
pub struct Step {
    /// Where the block begins in the file, counted from 1.
    pub line: usize,
    /// Whose step it is.
    pub actor: Actor,
    /// What is done, and how: the words behind the actor.
    pub words: Vec<String>,
    /// What stands in the block.
    pub lines: Vec<String>,
}

/// Who does something. The name tells several apart; it is empty where there is one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Actor {
    /// A connection of a client.
    Client(String),
    /// A service.
    Origin(String),
    /// A table of requests and answers.
    Asks,
    /// `gateward check`.
    Check,
}

impl Step {
    /// Whether the block is marked with a word.
    pub fn has(&self, word: &str) -> bool {
        self.words.iter().any(|known| known == word)
    }

    /// The block's heading, for messages.
    pub fn heading(&self) -> String {
        let actor = match &self.actor {
            Actor::Client(name) => format!("client:{name}"),
            Actor::Origin(name) => format!("origin:{name}"),
            Actor::Asks => "asks".to_owned(),
            Actor::Check => "check".to_owned(),
        };
        format!("{} {}", actor.trim_end_matches(':'), self.words.join(" ")).trim_end().to_owned()
    }
}

/// Every word that may stand behind an actor.
const WORDS: &[&str] = &[
    "sends",
    "half-closes",
    "closes",
    "resets",
    "gets",
    "sees",
    "end",
    "reset",
    "nothing",
    "new",
    "same",
    "expects",
    "answers",
    "bodiless",
    "head",
    "raw",
    "cut",
    "json",
    "spelling",
    "exit=0",
    "exit=1",
];

impl Case {
    /// Reads a case. Errors name the line.
    pub fn parse(text: &str) -> Result<Case, String> {
        let title = text.lines().next().and_then(|line| line.strip_prefix("# "));
        let title = title.ok_or("line 1: a case begins with a `# ` heading")?.to_owned();
        let mut case = Case {
            title,
            yaml: String::new(),
            files: Vec::new(),
            environment: Vec::new(),
            steps: Vec::new(),
        };
        let mut lines = text.lines().enumerate();
        let mut prose = false;
        while let Some((number, line)) = lines.next() {
            let Some(heading) = line.strip_prefix("```") else {
                prose |= number > 0 && !line.trim().is_empty();
                continue;
            };
            let mut block = Vec::new();
            loop {
                match lines.next() {
                    Some((_, "```")) => break,
                    Some((_, line)) => block.push(line.to_owned()),
                    None => return Err(format!("line {}: the block does not end", number + 1)),
                }
            }
            case.take(number + 1, heading, block).map_err(|error| format!("line {}: {error}", number + 1))?;
        }
        if !prose {
            return Err("a case says why it is so, in a sentence outside of its blocks".into());
        }
        if case.yaml.is_empty() || case.steps.is_empty() {
            return Err("a case has a ```yaml block and at least one step".into());
        }
        Ok(case)
    }

    fn take(&mut self, line: usize, heading: &str, block: Vec<String>) -> Result<(), String> {
        let mut words = heading.split_whitespace().map(str::to_owned);
        let first = words.next().unwrap_or_default();
        let words: Vec<String> = words.collect();
        let (kind, name) = first.split_once(':').unwrap_or((&first, ""));
        let actor = match kind {
            "yaml" => {
                self.yaml = block.join("\n") + "\n";
                return Ok(());
            }
            "file" => {
                let name = words.first().ok_or("which file? ```file NAME")?;
                self.files.push((name.clone(), block.join("\n") + "\n"));
                return Ok(());
            }
            "env" => {
                let pairs = block.iter().map(|line| line.split_once('=').ok_or("write NAME=value"));
                for pair in pairs {
                    let (name, value) = pair?;
                    self.environment.push((name.to_owned(), value.to_owned()));
                }
                return Ok(());
            }
            "client" => Actor::Client(name.to_owned()),
            "origin" => Actor::Origin(name.to_owned()),
            "asks" => Actor::Asks,
            "check" => Actor::Check,
            other => return Err(format!("unknown block {other:?}")),
        };
        if let Some(unknown) = words.iter().find(|word| !WORDS.contains(&word.as_str())) {
            return Err(format!("unknown word {unknown:?}"));
        }
        self.steps.push(Step { line, actor, words, lines: block });
        Ok(())
    }

    /// The names behind `{KIND}` and `{KIND:NAME}` and the actors of that kind, each once.
    pub fn names(&self, kind: &str) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        let texts = std::iter::once(&self.yaml).chain(self.files.iter().map(|(_, text)| text));
        for text in texts {
            for piece in text.split(&format!("{{{kind}")).skip(1) {
                let inside = piece.split('}').next().unwrap_or("");
                names.extend(match inside.strip_prefix(':') {
                    None if inside.is_empty() => Some(String::new()),
                    name => name.map(str::to_owned),
                });
            }
        }
        names.sort();
        names.dedup();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::{Actor, Case};

    const TEXT: &str =
        "# A title\n\nWhy.\n\n```yaml\na: {origin:b} {origin}\n```\n\n```client:x sends new\nGET\n\n```\n";

    #[test]
    fn a_case_is_read() {
        let case = Case::parse(TEXT).unwrap();
        assert_eq!((case.title.as_str(), case.steps.len(), case.steps[0].line), ("A title", 1, 9));
        assert_eq!(case.steps[0].actor, Actor::Client("x".into()));
        assert!(case.steps[0].has("new") && case.steps[0].lines == ["GET", ""]);
        assert_eq!(case.names("origin"), ["", "b"]);
    }

    #[test]
    fn mistakes_are_named() {
        for (from, to) in [
            ("# A", "A"),
            ("Why.", ""),
            ("new", "knew"),
            ("client:x", "clint"),
            ("```yaml", "```env"),
            ("\n\n```\n", "\n"),
        ] {
            assert!(Case::parse(&TEXT.replacen(from, to, 1)).is_err(), "{to}");
        }
    }
}
