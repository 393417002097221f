//! The names of a file that begin in its own crate.

use super::Parts;
use super::tokens::{Token, tokens};

/// A path of this crate in its source.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) line: usize,
    /// Where it stands; with modules inside the file.
    pub(super) module: Parts,
    pub(super) path: Parts,
}

/// One pass over a file.
#[derive(Debug)]
pub(super) struct Scan {
    tokens: Vec<(usize, Token)>,
    at: usize,
    module: Parts,
    /// How many braces are open, and where the modules inside the file began.
    depth: usize,
    inside: Vec<usize>,
    /// The child modules that are declared in the file.
    children: Vec<Parts>,
    pub(super) names: Vec<Name>,
    /// What each `use` brings in, and under which name.
    pub(super) imports: Vec<(Parts, Parts)>,
    /// The macros that are exported, so to the root.
    pub(super) macros: Vec<String>,
}

impl Scan {
    pub(super) fn of(module: &[String], text: &str) -> Scan {
        let mut scan = Scan {
            tokens: tokens(text),
            at: 0,
            module: module.to_vec(),
            depth: 0,
            inside: Vec::new(),
            children: Vec::new(),
            names: Vec::new(),
            imports: Vec::new(),
            macros: Vec::new(),
        };
        scan.children = scan.find_children();
        scan.run();
        scan
    }

    /// All `mod name`, as if none stood in a module inside the file: such a name is rarely an outer
    /// crate's too.
    fn find_children(&self) -> Vec<Parts> {
        let pairs = self.tokens.windows(2).filter_map(|pair| match pair {
            [(_, Token::Word(first)), (_, Token::Word(name))] if first == "mod" => Some(name),
            _ => None,
        });
        pairs.map(|name| self.module.iter().chain([name]).cloned().collect()).collect()
    }

    fn word(&self, ahead: usize) -> &str {
        match self.tokens.get(self.at + ahead) {
            Some((_, Token::Word(word))) => word,
            _ => "",
        }
    }

    fn is(&self, ahead: usize, token: &Token) -> bool {
        self.tokens.get(self.at + ahead).is_some_and(|(_, other)| other == token)
    }

    fn is_sign(&self, ahead: usize, sign: char) -> bool {
        self.is(ahead, &Token::Sign(sign))
    }

    fn run(&mut self) {
        let mut is_exported = false;
        while self.at < self.tokens.len() {
            match self.word(0) {
                "mod" if self.is_sign(2, '{') => {
                    self.module.push(self.word(1).to_owned());
                    self.depth += 1;
                    self.inside.push(self.depth);
                    self.at += 3;
                }
                // What a visibility names is a parent.
                "pub" if self.is_sign(1, '(') && (self.word(2) == "in" || self.is_sign(3, ')')) => {
                    self.skip_to(')');
                }
                "pub" => self.at += 1,
                // Not what a type captures: `use<'a>`.
                "use" if !self.is_sign(1, '<') => {
                    self.at += 1;
                    self.use_tree(&[]);
                }
                "macro_export" => {
                    is_exported = true;
                    self.at += 1;
                }
                "macro_rules" => {
                    if std::mem::take(&mut is_exported) {
                        self.macros.push(self.word(2).to_owned());
                    }
                    self.at += 3;
                }
                "" => self.sign(),
                _ => self.path(),
            }
        }
    }

    fn skip_to(&mut self, sign: char) {
        while self.at < self.tokens.len() && !self.is_sign(0, sign) {
            self.at += 1;
        }
    }

    /// Steps over a brace, which may end a module inside the file, or over another sign.
    fn sign(&mut self) {
        if self.is_sign(0, '{') {
            self.depth += 1;
        } else if self.is_sign(0, '}') {
            if self.inside.last() == Some(&self.depth) {
                self.inside.pop();
                self.module.pop();
            }
            self.depth = self.depth.saturating_sub(1);
        }
        self.at += 1;
    }

    /// Words between `::`. Returns the line of the first.
    fn parts(&mut self) -> (usize, Parts) {
        let line = self.tokens.get(self.at).map_or(0, |(line, _)| *line);
        let mut parts = Vec::new();
        while !self.word(0).is_empty() {
            parts.push(self.word(0).to_owned());
            self.at += 1;
            if !self.is(0, &Token::Colons) || self.word(1).is_empty() {
                break;
            }
            self.at += 1;
        }
        (line, parts)
    }

    /// A word, and what hangs on it by `::`.
    fn path(&mut self) {
        let before = self.at.checked_sub(1).map(|at| &self.tokens[at].1);
        let is_range =
            self.at.checked_sub(2).is_some_and(|at| self.tokens[at].1 == Token::Sign('.'));
        let is_tail = matches!(before, Some(Token::Colons))
            || matches!(before, Some(Token::Sign('.'))) && !is_range;
        let (line, parts) = self.parts();
        if !is_tail && parts.len() > 1 {
            self.name(line, &parts);
        }
    }

    /// A part of a `use`, behind the path `before`; stops at its comma, brace or semicolon.
    fn use_tree(&mut self, before: &[String]) {
        if before.is_empty() && self.is(0, &Token::Colons) {
            // From another crate.
            let mut depth = 0;
            while self.at < self.tokens.len() {
                if self.is_sign(0, '{') {
                    depth += 1;
                }
                if depth == 0
                    && (self.is_sign(0, ',') || self.is_sign(0, '}') || self.is_sign(0, ';'))
                {
                    return;
                }
                if self.is_sign(0, '}') {
                    depth -= 1;
                }
                self.at += 1;
            }
            return;
        }
        if self.is_sign(0, '$') {
            self.at += 1;
        }
        let (line, parts) = self.parts();
        let mut path: Parts = before.iter().chain(&parts).cloned().collect();
        self.at += usize::from(self.is(0, &Token::Colons));
        if self.is_sign(0, '{') {
            self.at += 1;
            while self.at < self.tokens.len() && !self.is_sign(0, '}') {
                let start = self.at;
                self.use_tree(&path);
                // A comma; or what no `use` has, and then not for ever.
                self.at += usize::from(self.is_sign(0, ',') || self.at == start);
            }
            self.at += 1;
            return;
        }
        if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        let mut shown = path.last().cloned();
        if self.is_sign(0, '*') {
            // Under which names, the file does not say.
            shown = None;
            self.at += 1;
        } else if self.word(0) == "as" {
            shown = Some(self.word(1).to_owned());
            self.at += 2;
        }
        if let (Some(real), Some(shown)) = (self.name(line, &path), shown) {
            let name = self.module.iter().chain([&shown]).cloned().collect();
            self.imports.push((name, real));
        }
    }

    /// Notes a path down if it is one of this crate's; the path from the root.
    fn name(&mut self, line: usize, parts: &[String]) -> Option<Parts> {
        let path = self.resolve(parts)?;
        let module = self.module.clone();
        self.names.push(Name { line, module, path: path.clone() });
        Some(path)
    }

    fn resolve(&self, parts: &[String]) -> Option<Parts> {
        let mut base = self.module.clone();
        let mut rest = parts.iter().peekable();
        match parts.first()?.as_str() {
            "crate" => {
                base.clear();
                rest.next();
            }
            "self" => {
                rest.next();
            }
            "super" => {}
            first => {
                base.push(first.to_owned());
                let is_child = self.children.contains(&base);
                base.pop();
                if !is_child {
                    return None;
                }
            }
        }
        while rest.next_if(|part| *part == "super").is_some() {
            base.pop();
        }
        Some(base.into_iter().chain(rest.cloned()).collect())
    }
}
