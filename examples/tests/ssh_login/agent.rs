//! An authentication agent that signs for keys whose private half nobody has (draft-ietf-sshm-ssh-agent).

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Signs with an algorithm's name and some bytes.
pub(crate) type Sign = Box<dyn Fn(&[u8]) -> (String, Vec<u8>) + Send>;

/// Listens at a path, for one key; ends with the process.
pub(crate) fn serve(folder: &Path, name: &str, blob: Vec<u8>, sign: Sign) -> PathBuf {
    let path = folder.join(format!("{name}.agent"));
    let listener = UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            answer(stream, &blob, &sign);
        }
    });
    path
}

fn answer(mut stream: UnixStream, blob: &[u8], sign: &Sign) {
    while let Some(request) = read(&mut stream) {
        let reply = match request.split_first() {
            Some((&REQUEST_IDENTITIES, _)) => {
                [&[IDENTITIES_ANSWER, 0, 0, 0, 1][..], &string(blob), &string(b"forged")].concat()
            }
            Some((&SIGN_REQUEST, rest)) => {
                let (asked, rest) = take(rest);
                assert_eq!(asked, blob);
                let (algorithm, signature) = sign(take(rest).0);
                let signature = [string(algorithm.as_bytes()), string(&signature)].concat();
                [&[SIGN_RESPONSE][..], &string(&signature)].concat()
            }
            _ => vec![FAILURE],
        };
        if stream.write_all(&string(&reply)).is_err() {
            return;
        }
    }
}

fn read(stream: &mut UnixStream) -> Option<Vec<u8>> {
    let mut len = [0; 4];
    stream.read_exact(&mut len).ok()?;
    let mut bytes = vec![0; usize::try_from(u32::from_be_bytes(len)).unwrap()];
    stream.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

/// A `string` (RFC 4251 5).
pub(crate) fn string(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

/// The first `string`, and the rest.
pub(crate) fn take(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (len, rest) = bytes.split_first_chunk::<4>().unwrap();
    rest.split_at(usize::try_from(u32::from_be_bytes(*len)).unwrap())
}

const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;
