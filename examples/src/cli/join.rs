//! `palisade join mac` and `palisade join verify-mac`: MicroCloud's MAC over the bytes of standard input.

use std::fs::File;
use std::io::Read;

use core_types::SystemRandom;
use join_hmac::microcloud::{
    KdfMemory, MAX_LENIENT_BODY_LEN, MAX_SECRET_LEN, MacKind, MacSecret, MacSigner, MacVerifier, MacVersion,
    Mode,
};
use serde_json::json;
use zeroize::Zeroizing;

use super::{Answer, CliError, Streams, print_json, print_line};

/// Prints the `Authorization` value for the body on standard input.
pub(super) fn mac(parser: lexopt::Parser, streams: &mut Streams<'_>) -> Result<Answer, CliError> {
    let options = Options::parse(parser, Verb::Mac)?;
    let secret = options.secret()?;
    let body = read_body(streams)?;
    let signer = match options.kind {
        MacKind::Plain => MacSigner::plain(options.version, &secret),
        MacKind::Argon2 => {
            let mut memory = KdfMemory::new().map_err(failed)?;
            match &options.salt {
                Some(salt) => MacSigner::argon2_with_salt(options.version, &secret, salt, &mut memory),
                None => MacSigner::argon2(options.version, &secret, &mut memory, &SystemRandom::new()),
            }
            .map_err(failed)?
        }
    };
    let header = signer.sign(&body).to_string();
    if options.json {
        print_json(streams, &json!({"authorization": header}))?;
    } else {
        print_line(streams, &header)?;
    }
    Ok(Answer::Yes)
}

/// Says whether an `Authorization` value is right for the body on standard input.
pub(super) fn verify_mac(parser: lexopt::Parser, streams: &mut Streams<'_>) -> Result<Answer, CliError> {
    let options = Options::parse(parser, Verb::Verify)?;
    let secret = options.secret()?;
    let authorization =
        options.authorization.ok_or_else(|| CliError::usage("join verify-mac needs --authorization"))?;
    let mode = if options.lenient { Mode::Lenient } else { Mode::Strict };
    let verifier = MacVerifier::new(options.version, options.kind, mode, secret);
    // The header first: what is refused by it costs neither memory nor the reading of a body.
    let verdict = match verifier.read(authorization.as_bytes()) {
        Err(refused) => Err(refused.into()),
        Ok(_) => {
            let body = read_body(streams)?;
            let mut memory = KdfMemory::new().map_err(failed)?;
            verifier.verify(authorization.as_bytes(), &body, &mut memory)
        }
    };
    match verdict {
        Ok(_) => {
            if options.json {
                print_json(streams, &json!({"accepted": true}))?;
            } else {
                print_line(streams, "accepted")?;
            }
            Ok(Answer::Yes)
        }
        Err(refused) => {
            if options.json {
                print_json(streams, &json!({"accepted": false, "reason": refused.to_string()}))?;
            } else {
                print_line(streams, &format!("refused: {refused}"))?;
            }
            Ok(Answer::No)
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Mac,
    Verify,
}

struct Options {
    version: MacVersion,
    kind: MacKind,
    secret: Option<SecretFile>,
    salt: Option<Vec<u8>>,
    authorization: Option<String>,
    lenient: bool,
    json: bool,
}

enum SecretFile {
    /// Every byte of the file.
    Key(String),
    /// The first line, without its end.
    Passphrase(String),
}

impl Options {
    fn parse(mut parser: lexopt::Parser, verb: Verb) -> Result<Self, CliError> {
        let mut options = Self {
            version: MacVersion::microcloud(),
            kind: MacKind::Argon2,
            secret: None,
            salt: None,
            authorization: None,
            lenient: false,
            json: false,
        };
        while let Some(argument) = parser.next()? {
            match argument {
                lexopt::Arg::Long("json") => options.json = true,
                lexopt::Arg::Long("version") => {
                    options.version = MacVersion::new(&text(&mut parser)?)
                        .map_err(|error| CliError::usage(error.to_string()))?;
                }
                lexopt::Arg::Long("kind") => {
                    options.kind = match text(&mut parser)?.as_str() {
                        "argon2" => MacKind::Argon2,
                        "plain" => MacKind::Plain,
                        _ => return Err(CliError::usage("--kind is argon2 or plain")),
                    }
                }
                lexopt::Arg::Long("key-file") if options.secret.is_none() => {
                    options.secret = Some(SecretFile::Key(text(&mut parser)?));
                }
                lexopt::Arg::Long("passphrase-file") if options.secret.is_none() => {
                    options.secret = Some(SecretFile::Passphrase(text(&mut parser)?));
                }
                lexopt::Arg::Long("salt") if verb == Verb::Mac => {
                    options.salt = Some(salt(&text(&mut parser)?)?);
                }
                lexopt::Arg::Long("authorization") if verb == Verb::Verify => {
                    options.authorization = Some(text(&mut parser)?);
                }
                lexopt::Arg::Long("lenient") if verb == Verb::Verify => options.lenient = true,
                other => return Err(other.unexpected().into()),
            }
        }
        if options.kind == MacKind::Plain && options.salt.is_some() {
            return Err(CliError::usage("a plain key has no salt"));
        }
        Ok(options)
    }

    fn secret(&self) -> Result<MacSecret, CliError> {
        let (file, whole) = match &self.secret {
            Some(SecretFile::Key(file)) => (file, true),
            Some(SecretFile::Passphrase(file)) => (file, false),
            None => {
                return Err(CliError::usage(
                    "--key-file or --passphrase-file is needed (a secret is no argument)",
                ));
            }
        };
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_SECRET_LEN + 1));
        let limit = u64::try_from(MAX_SECRET_LEN).unwrap_or(u64::MAX).saturating_add(1);
        File::open(file)
            .and_then(|opened| opened.take(limit).read_to_end(&mut bytes))
            .map_err(|error| CliError::io(file, error))?;
        let secret = if whole {
            bytes.as_slice()
        } else {
            let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
            line.strip_suffix(b"\r").unwrap_or(line)
        };
        MacSecret::new(secret).map_err(|error| CliError::usage(format!("{file}: {error}")))
    }
}

fn text(parser: &mut lexopt::Parser) -> Result<String, CliError> {
    parser.value()?.into_string().map_err(|_| CliError::usage("an argument is not UTF-8"))
}

fn salt(digits: &str) -> Result<Vec<u8>, CliError> {
    let wrong = || CliError::usage("--salt is hexadecimal, two digits a byte");
    let digits: Vec<u32> =
        digits.chars().map(|digit| digit.to_digit(16)).collect::<Option<_>>().ok_or_else(wrong)?;
    digits
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => u8::try_from((high << 4) | low).map_err(|_| wrong()),
            _ => Err(wrong()),
        })
        .collect()
}

fn read_body(streams: &mut Streams<'_>) -> Result<Vec<u8>, CliError> {
    let mut body = Vec::new();
    // One byte more than may be checked, so that the check says that it is too long.
    let limit = u64::try_from(MAX_LENIENT_BODY_LEN).unwrap_or(u64::MAX).saturating_add(1);
    let taken = streams.input.take(limit).read_to_end(&mut body);
    taken.map_err(|error| CliError::io("standard input", error))?;
    Ok(body)
}

fn failed(error: join_hmac::error::MacError) -> CliError {
    CliError::usage(error.to_string())
}
