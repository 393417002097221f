//! Rust's source as words and signs.

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Word(String),
    /// `::`
    Colons,
    Sign(char),
}

/// Words and signs, each with its line; no comments, strings, characters or lifetimes.
pub(super) fn tokens(text: &str) -> Vec<(usize, Token)> {
    let chars: Vec<char> = text.chars().collect();
    let mut lexer = Lexer { chars: &chars, at: 0, line: 1 };
    std::iter::from_fn(|| lexer.next()).collect()
}

struct Lexer<'a> {
    chars: &'a [char],
    at: usize,
    line: usize,
}

impl Lexer<'_> {
    fn peek(&self, ahead: usize) -> char {
        self.chars.get(self.at + ahead).copied().unwrap_or('\0')
    }

    fn starts_with(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(ahead, char)| self.peek(ahead) == char)
    }

    fn skip(&mut self, count: usize) {
        for _ in 0..count {
            self.line += usize::from(self.peek(0) == '\n');
            self.at += 1;
        }
    }

    /// Skips until behind `end`, or to the end of the file.
    fn skip_past(&mut self, end: &str) {
        while self.at < self.chars.len() && !self.starts_with(end) {
            self.skip(1);
        }
        self.skip(end.len());
    }

    fn skip_block_comment(&mut self) {
        let mut depth = 0;
        while self.at < self.chars.len() {
            if self.starts_with("/*") {
                depth += 1;
                self.skip(2);
            } else if self.starts_with("*/") {
                depth -= 1;
                self.skip(2);
            } else {
                self.skip(1);
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// From the opening quote on; `quote` is `"` or `'`.
    fn skip_quoted(&mut self, quote: char) {
        self.skip(1);
        while self.at < self.chars.len() && self.peek(0) != quote {
            self.skip(if self.peek(0) == '\\' { 2 } else { 1 });
        }
        self.skip(1);
    }

    /// A string without escapes, from its first `#` or quote on.
    fn skip_raw(&mut self) {
        let hashes = (0..).take_while(|ahead| self.peek(*ahead) == '#').count();
        self.skip(hashes + 1);
        self.skip_past(&format!("\"{}", "#".repeat(hashes)));
    }

    fn word(&mut self) -> String {
        let start = self.at;
        while self.peek(0).is_alphanumeric() || self.peek(0) == '_' {
            self.skip(1);
        }
        self.chars[start..self.at].iter().collect()
    }

    /// A lifetime, or a character.
    fn skip_after_tick(&mut self) {
        if self.peek(1) == '\\' || self.peek(2) == '\'' {
            self.skip_quoted('\'');
        } else {
            self.skip(1);
            self.word();
        }
    }

    fn next(&mut self) -> Option<(usize, Token)> {
        while self.at < self.chars.len() {
            let (line, char) = (self.line, self.peek(0));
            if self.starts_with("//") {
                self.skip_past("\n");
            } else if self.starts_with("/*") {
                self.skip_block_comment();
            } else if char == '"' {
                self.skip_quoted('"');
            } else if char == '\'' {
                self.skip_after_tick();
            } else if char.is_alphanumeric() || char == '_' {
                let word = self.word();
                match (word.as_str(), self.peek(0), self.peek(1)) {
                    // `r#"..."#`, and `r#name`.
                    ("r" | "br" | "cr", '"', _) | ("r" | "br" | "cr", '#', '"' | '#') => {
                        self.skip_raw();
                    }
                    ("r", '#', _) => self.skip(1),
                    // The string, or the character, is next.
                    ("b" | "c", '"', _) | ("b", '\'', _) => {}
                    _ => return Some((line, Token::Word(word))),
                }
            } else if self.starts_with("::") {
                self.skip(2);
                return Some((line, Token::Colons));
            } else {
                self.skip(1);
                if !char.is_whitespace() {
                    return Some((line, Token::Sign(char)));
                }
            }
        }
        None
    }
}
