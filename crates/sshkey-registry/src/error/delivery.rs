use thiserror::Error;

use super::KeyError;
use crate::key::KeyType;

/// Why a text is not the options of a line of `authorized_keys`. The customer may be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// A comma without an option behind it, or a value without a name in front.
    #[error("an option is empty: separate options by single commas")]
    Empty,
    /// An option that OpenSSH does not have; sshd would pass over the whole line.
    #[error("there is no such option: see AUTHORIZED_KEYS FILE FORMAT in `man sshd`")]
    Unknown,
    /// A value behind an option that takes none.
    #[error("the option takes no value")]
    ValueNotTaken,
    /// No value behind an option that needs one.
    #[error("the option needs a value in double quotes")]
    ValueMissing,
    /// A value that is not in double quotes.
    #[error("the option's value is not in double quotes")]
    NotQuoted,
    /// A double quote that is not closed.
    #[error("the double quote is not closed")]
    QuoteOpen,
    /// Text between a value's closing quote and the next comma.
    #[error("there is text behind the closing quote: separate options by single commas")]
    AfterValue,
    /// A blank, outside quotes.
    #[error("there is a blank between the options")]
    Blank,
    /// A value that is not one of its option.
    #[error("the value of {of} is not valid")]
    Value {
        /// The option.
        of: &'static str,
    },
    /// A second `command`, `from`, `principals`, `expiry-time` or `tunnel`.
    #[error("the option is there twice")]
    Repeated,
    /// More than [`MAX_CLAUSES`](crate::authorized_keys::MAX_CLAUSES).
    #[error("more than {limit} options")]
    TooMany {
        /// The bound.
        limit: usize,
    },
    /// Longer than [`MAX_OPTIONS_BYTES`](crate::authorized_keys::MAX_OPTIONS_BYTES).
    #[error("the options are longer than {limit} bytes")]
    TooLong {
        /// The bound.
        limit: usize,
    },
    /// `no-touch-required`, where the policy asks for a touch of the security key.
    #[error("`no-touch-required` is not accepted here: the security key must be touched at each login")]
    TouchWaived,
}

/// Why a text is not a line of `authorized_keys`. The customer may be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum LineError {
    /// Its options.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// Its key.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Why a bundle was not made or not believed. Nobody outside is told; every login is refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BundleError {
    /// It does not begin like one.
    #[error("not a key bundle")]
    NotABundle,
    /// It ends within a field.
    #[error("the bundle is cut off")]
    Truncated,
    /// A field is not what it must be.
    #[error("the bundle is malformed")]
    Malformed,
    /// It is longer or shorter than it says.
    #[error("the bundle has another length than it says")]
    Length,
    /// It says what it says in another way than the one there is.
    #[error("the bundle is not in canonical form")]
    NotCanonical,
    /// Nobody that this machine believes has signed it.
    #[error("the bundle's signer is not trusted here")]
    UnknownSigner,
    /// The signature does not verify.
    #[error("the bundle's signature is wrong")]
    Signature,
    /// A part was changed after signing.
    #[error("a part of the bundle is damaged")]
    Hash,
    /// It is for another machine.
    #[error("the bundle is for another machine")]
    OtherMachine,
    /// An account has a key twice.
    #[error("an account has the same key twice")]
    Repeated,
    /// More entries than [`MAX_ENTRIES`](crate::bundle::MAX_ENTRIES), or an entry or a machine's name that is too
    /// long.
    #[error("the bundle is too large")]
    TooLarge,
    /// The signing key cannot be used.
    #[error("the signing key cannot be used")]
    Key,
    /// It could not be read.
    #[error("the bundle cannot be read: {0}")]
    Read(std::io::Error),
}

impl BundleError {
    pub(crate) fn read(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::UnexpectedEof => Self::Truncated,
            _ => Self::Read(error),
        }
    }
}

/// Why a list of signers is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TrustError {
    /// No key at all: nobody could be believed.
    #[error("there is no key among the trusted signers")]
    Empty,
    /// Too many.
    #[error("more than {limit} trusted signers")]
    TooMany {
        /// The bound.
        limit: usize,
    },
    /// A key that is no sound Ed25519 key.
    #[error("a trusted signer is not a sound key of type `ssh-ed25519`")]
    NotEd25519,
    /// A line that is no key.
    #[error("a line is not the key of a trusted signer: {0}")]
    Key(KeyError),
}

/// Why the file of a bundle was not read or replaced.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FileError {
    /// The bundle itself.
    #[error(transparent)]
    Bundle(BundleError),
    /// The system's word.
    #[error(transparent)]
    Io(std::io::Error),
    /// It, or its folder, belongs to someone who is not trusted.
    #[error("the file or its folder belongs to user {uid}, neither root nor the owner that was named")]
    Owner {
        /// To whom.
        uid: u32,
    },
    /// It, or its folder, may be written by others than its owner.
    #[error("the file or its folder may be written by its group or by anyone (mode {mode:04o})")]
    Mode {
        /// Its mode.
        mode: u32,
    },
    /// It is a folder, a link, a device, or has no name.
    #[error("not a plain file")]
    NotAFile,
    /// The list of signers is longer than 64 KiB.
    #[error("the file is too large")]
    TooLarge,
    /// The bundle is older than the one that is there.
    #[error("the bundle is of revision {offered}, older than the one that is there, of revision {installed}")]
    Older {
        /// What is there.
        installed: u64,
        /// What was to replace it.
        offered: u64,
    },
}

/// Why user-data was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UserDataError {
    /// No account, or none with a key.
    #[error("nobody could log in: there is no account with a key")]
    NobodyMayLogIn,
    /// No type of host key.
    #[error("the machine would have no host key")]
    NoHostKeys,
    /// An account twice.
    #[error("an account is there twice")]
    AccountRepeated,
    /// A key twice for one account.
    #[error("an account has the same key twice")]
    KeyRepeated,
    /// Keys for root, whose options cloud-init replaces.
    #[error("root has no keys of its own: name an account with `sudo`")]
    Root,
    /// A type that cloud-init drops without a word.
    #[error("cloud-init drops keys of type `{0}`", key_type.as_str())]
    TypeDropped {
        /// The type.
        key_type: KeyType,
    },
    /// Keys for a file of keys, where no such file is read.
    #[error("an account has keys beside those of the bundle")]
    KeysBesideBundle,
    /// A program's path that is not absolute, or has characters that a configuration file would take apart.
    #[error("the program's path must be absolute and of letters, digits and `.` `_` `-` `/`")]
    Program,
    /// The list of signers.
    #[error(transparent)]
    Signers(TrustError),
    /// A first bundle that the machine would refuse.
    #[error("the machine would refuse its first bundle")]
    Bundle,
    /// A character beyond U+FFFF, which JSON and YAML escape differently.
    #[error("an option has a character that JSON and YAML write differently: leave out pictographs")]
    Character,
    /// More bytes than [`MAX_BYTES`](crate::cloud_init::MAX_BYTES).
    #[error("the user-data is longer than {limit} bytes")]
    TooLarge {
        /// The bound.
        limit: usize,
    },
}
