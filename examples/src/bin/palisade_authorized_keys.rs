//! sshd's `AuthorizedKeysCommand`: `palisade ssh authorized-keys`, with its arguments and its answers, and nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    palisade_examples::cli::main_of_authorized_keys()
}
