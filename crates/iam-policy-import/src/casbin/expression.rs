//! Matchers.

use std::collections::BTreeMap;

use super::matching::{self, Links};
use crate::source::shown;

/// When a policy applies to a request.
#[derive(Debug, Clone)]
pub(super) enum Expression {
    All(Vec<Self>),
    Some(Vec<Self>),
    Not(Box<Self>),
    Constant(bool),
    Equal(Operand, Operand),
    /// `g(name, role)` or `g(name, role, domain)`.
    Link(String, Vec<Operand>),
    Call(Function, Operand, Operand),
}

#[derive(Debug, Clone)]
pub(super) enum Operand {
    Request(usize),
    Policy(usize),
    Literal(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    KeyMatch,
    KeyMatch2,
    KeyMatch3,
    KeyMatch4,
    KeyMatch5,
    IpMatch,
    RegexMatch,
}

/// What names mean.
pub(super) struct Names<'a> {
    pub(super) request: &'a [String],
    pub(super) policy: &'a [String],
    pub(super) groupings: &'a BTreeMap<String, usize>,
}

/// What an expression is about.
pub(super) struct World<'a> {
    pub(super) request: &'a [&'a str],
    pub(super) rule: &'a [String],
    pub(super) links: &'a BTreeMap<String, Links>,
}

impl Expression {
    /// Reads a matcher; the message says what is not supported.
    pub(super) fn parse(text: &str, names: &Names<'_>) -> Result<Self, String> {
        let mut parser = Parser { tokens: tokens(text)?, at: 0, names };
        let expression = parser.either(0)?;
        match parser.peek() {
            None => Ok(expression),
            Some(token) => Err(format!("in the matcher: {}", shown(token))),
        }
    }

    /// Whether it certainly holds; roles are followed as deep as casbin does.
    pub(super) fn holds(&self, world: &World<'_>) -> bool {
        self.truth(world, Some(MAX_LEVELS)) == Some(true)
    }

    /// Whether it does not certainly not hold; roles are followed to the end.
    pub(super) fn may_hold(&self, world: &World<'_>) -> bool {
        self.truth(world, None) != Some(false)
    }

    /// `None` where nobody can say.
    fn truth(&self, world: &World<'_>, levels: Option<usize>) -> Option<bool> {
        match self {
            Self::Constant(constant) => Some(*constant),
            Self::All(parts) => {
                let mut all = Some(true);
                for part in parts {
                    match part.truth(world, levels) {
                        Some(false) => return Some(false),
                        None => all = None,
                        Some(true) => {}
                    }
                }
                all
            }
            Self::Some(parts) => {
                let mut any = Some(false);
                for part in parts {
                    match part.truth(world, levels) {
                        Some(true) => return Some(true),
                        None => any = None,
                        Some(false) => {}
                    }
                }
                any
            }
            Self::Not(part) => {
                // What is not followed deep enough to be true must not become true by this.
                let levels = if levels.is_some() { None } else { Some(MAX_LEVELS) };
                part.truth(world, levels).map(|truth| !truth)
            }
            Self::Equal(a, b) => Some(a.text(world)? == b.text(world)?),
            Self::Link(name, operands) => {
                let links = world.links.get(name)?;
                let texts = operands.iter().map(|operand| operand.text(world)).collect::<Option<Vec<_>>>()?;
                match texts.as_slice() {
                    [name, role] => Some(links.has(name, role, "", levels)),
                    [name, role, domain] => Some(links.has(name, role, domain, levels)),
                    _ => None,
                }
            }
            Self::Call(function, key, pattern) => function.of(key.text(world)?, pattern.text(world)?),
        }
    }

    /// What of a policy's values is not taken as it is.
    pub(super) fn doubts(&self, values: &[String]) -> Option<String> {
        match self {
            Self::All(parts) | Self::Some(parts) => parts.iter().find_map(|part| part.doubts(values)),
            Self::Not(part) => part.doubts(values),
            Self::Call(function, _, Operand::Policy(at)) => {
                let pattern = values.get(*at)?;
                let why = || format!("{} is not supported as a pattern", shown(pattern));
                // Whether it is one does not depend on the key, but that an address must be one.
                let key = if *function == Function::IpMatch { "192.0.2.1" } else { "" };
                function.of(key, pattern).is_none().then(why)
            }
            Self::Constant(_) | Self::Equal(..) | Self::Link(..) | Self::Call(..) => None,
        }
    }
}

impl Operand {
    fn text<'a>(&'a self, world: &World<'a>) -> Option<&'a str> {
        match self {
            Self::Request(at) => world.request.get(*at).copied(),
            Self::Policy(at) => world.rule.get(*at).map(String::as_str),
            Self::Literal(text) => Some(text),
        }
    }
}

impl Function {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "keyMatch" => Self::KeyMatch,
            "keyMatch2" => Self::KeyMatch2,
            "keyMatch3" => Self::KeyMatch3,
            "keyMatch4" => Self::KeyMatch4,
            "keyMatch5" => Self::KeyMatch5,
            "ipMatch" => Self::IpMatch,
            "regexMatch" => Self::RegexMatch,
            _ => return None,
        })
    }

    /// `None` where the pattern is not supported, or none.
    fn of(self, key: &str, pattern: &str) -> Option<bool> {
        match self {
            Self::KeyMatch => Some(matching::key_match(key, pattern)),
            Self::KeyMatch2 => matching::key_match_2(key, pattern),
            Self::KeyMatch3 => matching::key_match_3(key, pattern),
            Self::KeyMatch4 => matching::key_match_4(key, pattern),
            Self::KeyMatch5 => matching::key_match_5(key, pattern),
            Self::IpMatch => matching::ip_match(key, pattern),
            Self::RegexMatch => matching::regex_match(key, pattern),
        }
    }
}

struct Parser<'a> {
    tokens: Vec<String>,
    at: usize,
    names: &'a Names<'a>,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&str> {
        self.tokens.get(self.at).map(String::as_str)
    }

    fn next(&mut self) -> Result<String, String> {
        let token = self.peek().map(str::to_owned).ok_or_else(|| "the matcher ends too early".to_owned())?;
        self.at = self.at.saturating_add(1);
        Ok(token)
    }

    fn take(&mut self, token: &str) -> bool {
        let is_next = self.peek() == Some(token);
        if is_next {
            self.at = self.at.saturating_add(1);
        }
        is_next
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        if self.take(token) {
            Ok(())
        } else {
            Err(format!(
                "in the matcher, where `{token}` should be: {}",
                shown(self.peek().unwrap_or_default())
            ))
        }
    }

    fn either(&mut self, depth: usize) -> Result<Expression, String> {
        let mut parts = vec![self.both(depth)?];
        while self.take("||") {
            parts.push(self.both(depth)?);
        }
        Ok(Expression::Some(parts))
    }

    fn both(&mut self, depth: usize) -> Result<Expression, String> {
        let mut parts = vec![self.single(depth)?];
        while self.take("&&") {
            parts.push(self.single(depth)?);
        }
        Ok(Expression::All(parts))
    }

    fn single(&mut self, depth: usize) -> Result<Expression, String> {
        let deeper = depth.saturating_add(1);
        if deeper > MAX_DEPTH {
            return Err(format!("the matcher has more than {MAX_DEPTH} levels"));
        }
        if self.take("!") {
            return Ok(Expression::Not(Box::new(self.single(deeper)?)));
        }
        if self.take("(") {
            let inner = self.either(deeper)?;
            self.expect(")")?;
            return Ok(inner);
        }
        let token = self.next()?;
        if let "true" | "false" = token.as_str() {
            return Ok(Expression::Constant(token == "true"));
        }
        if self.take("(") {
            return self.call(&token);
        }
        let left = self.operand(&token)?;
        let is_equal = match self.next()?.as_str() {
            "==" => true,
            "!=" => false,
            other => return Err(format!("in the matcher: {}", shown(other))),
        };
        let right = self.next()?;
        let equal = Expression::Equal(left, self.operand(&right)?);
        Ok(if is_equal { equal } else { Expression::Not(Box::new(equal)) })
    }

    fn call(&mut self, name: &str) -> Result<Expression, String> {
        let mut operands = Vec::new();
        loop {
            let token = self.next()?;
            operands.push(self.operand(&token)?);
            if self.take(")") {
                break;
            }
            self.expect(",")?;
        }
        if let Some(columns) = self.names.groupings.get(name) {
            if *columns != operands.len() {
                return Err(format!("`{name}` has {columns} columns"));
            }
            return Ok(Expression::Link(name.to_owned(), operands));
        }
        let function = Function::named(name).ok_or_else(|| format!("the function {}", shown(name)))?;
        match <[Operand; 2]>::try_from(operands) {
            Ok([key, pattern]) => Ok(Expression::Call(function, key, pattern)),
            Err(_) => Err(format!("{} takes two values", shown(name))),
        }
    }

    fn operand(&self, token: &str) -> Result<Operand, String> {
        if let Some(literal) = token.strip_prefix(['"', '\'']) {
            return Ok(Operand::Literal(literal.to_owned()));
        }
        let place = |names: &[String], name: &str| names.iter().position(|known| known == name);
        let operand = match token.split_once('.') {
            Some(("r", name)) => place(self.names.request, name).map(Operand::Request),
            // The effect is no part of what is matched.
            Some(("p", name)) => place(self.names.policy, name).map(Operand::Policy),
            _ => None,
        };
        operand.ok_or_else(|| format!("in the matcher: {}", shown(token)))
    }
}

/// Words, operators, and literals with the quote they begin with.
fn tokens(text: &str) -> Result<Vec<String>, String> {
    if text.len() > MAX_BYTES {
        return Err(format!("a matcher of more than {MAX_BYTES} bytes"));
    }
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let operator =
            ["&&", "||", "==", "!=", "(", ")", ",", "!"].into_iter().find(|known| rest.starts_with(known));
        if let Some(operator) = operator {
            tokens.push(operator.to_owned());
            rest = rest.strip_prefix(operator).unwrap_or_default().trim_start();
        } else if let '"' | '\'' = first {
            let inside = rest.strip_prefix(first).unwrap_or_default();
            let (literal, after) =
                inside.split_once(first).ok_or_else(|| "in the matcher: a quote is not closed".to_owned())?;
            if literal.contains('\\') {
                return Err("in the matcher: an escape".to_owned());
            }
            tokens.push(format!("{first}{literal}"));
            rest = after.trim_start();
        } else {
            let is_word = |symbol: char| symbol.is_ascii_alphanumeric() || "_.".contains(symbol);
            let end = rest.find(|symbol| !is_word(symbol)).unwrap_or(rest.len());
            let (word, after) = rest.split_at_checked(end).unwrap_or_default();
            if word.is_empty() {
                return Err(format!("in the matcher: {}", shown(rest)));
            }
            tokens.push(word.to_owned());
            rest = after.trim_start();
        }
    }
    Ok(tokens)
}

/// How deep casbin follows roles.
pub(super) const MAX_LEVELS: usize = 10;

/// How deep parentheses go in a matcher.
const MAX_DEPTH: usize = 32;

/// The most bytes a matcher has.
const MAX_BYTES: usize = 8192;
