#!/usr/bin/env python3
"""Writes refused-lines.txt, degenerate.txt and built.txt from the keys in ssh-keygen*.txt. See README.md.

Only the standard library; everything follows from the seed, so a second run writes the same files.
"""

import base64
import pathlib
import random
import struct

HERE = pathlib.Path(__file__).parent
RNG = random.Random("sshkey-registry vectors 1")


# The test key of badkeys for this defect, tests/data/rsa-roca.key: PKCS 1, a modulus of 2048 bits and 65537.
PUBLISHED_ROCA = (
    "MIIBCgKCAQEAkTKtIR/MDftNrkgyashkwifks5Swm9HEkw4ZcCijyQdpTStInk9pdUrq4zjG6tk5xX9AaYXLu47fmiBVzClGvAXTZbpn6JbG1IER"
    "Us+i0pBRT5CzUu7vJ/63L72NzVvJFaT0SUE5zByhCjJE+pflMnX1e1UptOdnN5AHeY4RKkugVse3XO2xMs3yH3vTyZdtnaOIFRU0d6E7PrsgRtEA"
    "qFHcAGmPUw0ZOW8A++8sS/FlnrxMf9lVa1/8k/A8otPfrNIipfAoq0MKJ+oxE2wML1DDxIGTGmNaN3gPANJyeuca7ptA+NGq5oU1x3pWMXgSvrVS"
    "XUooNk8xIkrKxSz3LQIDAQAB"
)


# --- wire ------------------------------------------------------------------------------------------------------------


def string(data):
    data = data.encode() if isinstance(data, str) else data
    return struct.pack(">I", len(data)) + data


def mpint(number):
    if number == 0:
        return string(b"")
    return string(number.to_bytes(number.bit_length() // 8 + 1, "big"))


def line(key_type, blob, comment=""):
    text = f"{key_type} {base64.b64encode(blob).decode()}"
    return f"{text} {comment}" if comment else text


def rsa(n, e=65537, comment=""):
    return line("ssh-rsa", string("ssh-rsa") + mpint(e) + mpint(n), comment)


def ed25519(point, key_type="ssh-ed25519", rest=b"", comment=""):
    return line(key_type, string(key_type) + string(point) + rest, comment)


def ecdsa(curve, point, key_type=None, rest=b"", inner=None):
    key_type = key_type or f"ecdsa-sha2-{curve}"
    return line(key_type, string(key_type) + string(inner or curve) + string(point) + rest)


# --- numbers ---------------------------------------------------------------------------------------------------------


def is_prime(n):
    if n < 2 or any(n % p == 0 and n != p for p in SMALL):
        return False
    d, s = n - 1, 0
    while d % 2 == 0:
        d, s = d // 2, s + 1
    for _ in range(20):
        x = pow(RNG.randrange(2, n - 1), d, n)
        if x in (1, n - 1):
            continue
        for _ in range(s - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True


SMALL = [p for p in range(2, 2000) if all(p % d for d in range(2, int(p**0.5) + 1))]


def prime(bits, top=2):
    """A prime of exactly this many bits, whose `top` highest bits are set."""
    while True:
        n = RNG.getrandbits(bits) | 1 | ((1 << top) - 1) << (bits - top)
        if is_prime(n):
            return n


def next_prime(n):
    n += 1 + n % 2
    while not is_prime(n):
        n += 2
    return n


def roca_prime(bits):
    """A prime of the form k M + (65537^a mod M), as Nemec and others (CCS 2017) describe the defective generator."""
    m = 1
    for p in SMALL:
        if p > 167:
            break
        m *= p
    while True:
        k = RNG.randrange(3 << (bits - 2), 1 << bits) // m
        n = k * m + pow(65537, RNG.getrandbits(200), m)
        if n >> (bits - 2) == 3 and is_prime(n):
            return n


def prime_above(p, bits):
    """A prime q such that p - 1 divides q - 1."""
    while True:
        q = 1 + RNG.getrandbits(bits) * (p - 1)
        if is_prime(q):
            return q


# --- Edwards ---------------------------------------------------------------------------------------------------------

P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
I = pow(2, (P - 1) // 4, P)


def x_of(y):
    """One of the two x for y, or None."""
    xx = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(xx, (P + 3) // 8, P)
    if (x * x - xx) % P:
        x = x * I % P
    return x if (x * x - xx) % P == 0 else None


def add(a, b):
    (x1, y1), (x2, y2) = a, b
    t = D * x1 * x2 * y1 * y2
    x3 = (x1 * y2 + x2 * y1) * pow(1 + t, -1, P)
    y3 = (y1 * y2 + x1 * x2) * pow(1 - t, -1, P)
    return x3 % P, y3 % P


def encode(point):
    x, y = point
    return (y | (x & 1) << 255).to_bytes(32, "little")


def raw(y, sign=0):
    return (y | sign << 255).to_bytes(32, "little")


def order(point):
    n, q = 1, point
    while q != (0, 1) and n < 9:
        q, n = add(q, point), n + 1
    return n


def small_order_points():
    """One point of each order 1, 2, 4, 8: a random point times the group's prime order."""
    ell = 2**252 + 27742317777372353535851937790883648493
    found = {1: (0, 1), 2: (0, P - 1)}
    y = 2
    while len(found) < 4:
        y += 1
        if (x := x_of(y)) is None:
            continue
        q, base, k = (0, 1), (x, y), ell
        while k:
            if k & 1:
                q = add(q, base)
            base, k = add(base, base), k >> 1
        for _ in range(3):
            found.setdefault(order(q), q)
            q = add(q, q)
    return found


# --- files -----------------------------------------------------------------------------------------------------------


def escape(data):
    data = data if isinstance(data, bytes) else data.encode()
    return "".join(chr(b) if 0x20 <= b < 0x7F and b != 0x5C else f"\\x{b:02x}" for b in data)


def write(name, header, rows):
    text = "".join(f"# {h}\n" for h in header)
    text += "".join("\t".join(row) + "\n" for row in rows)
    (HERE / name).write_text(text)


def known():
    rows = {}
    for file in ["ssh-keygen.txt", "ssh-keygen-weak.txt"]:
        for row in (HERE / file).read_text().splitlines():
            if not row.startswith("#"):
                name, *_, key = row.split("\t")
                rows[name] = key
    return rows


def refused_lines(keys):
    ed, ecdsa256 = keys["ed25519"], keys["ecdsa256"]
    key_type, b64, comment = ed.split(" ")
    other = keys["ed25519-2"]
    blob = base64.b64decode(b64)
    point = blob[-32:]
    plain = f"{key_type} {b64}"
    cert = string("ssh-ed25519-cert-v01@openssh.com") + string(bytes(32)) + string(point) + bytes(100)
    ec_blob = base64.b64decode(ecdsa256.split(" ")[1])
    ec_point = ec_blob[-65:]
    x, y = ec_point[1:33], ec_point[33:]
    rsa_blob = base64.b64decode(keys["rsa2048"].split(" ")[1])
    n = int.from_bytes(rsa_blob[-256:], "big")

    def rsa_fields(*fields):
        return line("ssh-rsa", string("ssh-rsa") + b"".join(fields))

    yield "nothing", "Empty", ""
    yield "blanks only", "Empty", " \t \n\n"
    yield "not UTF-8 in the comment", "NotUtf8", plain.encode() + b" caf\xe9"
    yield "UTF-16 with a byte order mark", "NotUtf8", ("\ufeff" + plain).encode("utf-16-le")
    yield "NUL before the key", "UnknownType", "\0" + plain
    yield "byte order mark before the key", "UnknownType", "\ufeff" + plain

    # Private keys and other forms. The bodies are cut off: none of these is a key.
    for armour in ["OPENSSH PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "PRIVATE KEY", "ENCRYPTED PRIVATE KEY"]:
        yield f"private key, {armour}", "PrivateKey", f"-----BEGIN {armour}-----\nAAAA\n-----END {armour}-----\n"
    yield "private key without its armour", "PrivateKey", "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAAB"
    yield "private key of PuTTY", "PrivateKey", "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n"
    yield "private key after a public one", "PrivateKey", plain + "\n-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"
    yield "private key as the comment", "PrivateKey", plain + " -----BEGIN OPENSSH PRIVATE KEY----- AAAA"
    yield "private key with bytes that are no text", "PrivateKey", b"\xff-----BEGIN RSA PRIVATE KEY-----\xfe"
    yield "RFC 4716", "Rfc4716", f'---- BEGIN SSH2 PUBLIC KEY ----\nComment: "x"\n{b64}\n---- END SSH2 PUBLIC KEY ----\n'
    yield "PEM, SubjectPublicKeyInfo", "Pem", "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n"
    yield "PEM, PKCS 1", "Pem", "-----BEGIN RSA PUBLIC KEY-----\nMIIB\n-----END RSA PUBLIC KEY-----\n"

    # More than a key.
    yield "two keys on two lines", "SeveralKeys", f"{plain}\n{other}\n"
    yield "two keys, CR between them", "SeveralKeys", f"{plain}\r{other}"
    yield "two keys on one line", "SeveralKeys", f"{plain} {other}"
    yield "two keys on one line, the second after a comment", "SeveralKeys", f"{plain} laptop {other}"
    yield "a second line of text", "SeveralLines", f"{plain} laptop\nhello"
    yield "base64 broken over two lines", "SeveralLines", f"{key_type} {b64[:40]}\n{b64[40:]}"
    yield "commented out", "CommentedOut", "#" + plain
    yield "commented out with a blank", "CommentedOut", "# " + plain
    for option in [
        "restrict",
        'command="/bin/true"',
        "cert-authority",
        'cert-authority,principals="root"',
        "no-pty",
        'environment="LD_PRELOAD=/tmp/x"',
        'from="10.0.0.0/8"',
        "RESTRICT",
        'Command="x"',
        "no-such-option",
        'tunnel="0"',
        "verify-required",
        'expiry-time="20300101"',
    ]:
        yield f"options: {option}", "TextBeforeType", f"{option} {plain}"
    yield "option with a quoted blank", "TextBeforeType", f'command="echo hi" {plain}'
    yield "option that hides a key", "TextBeforeType", f'command="x {other.rsplit(" ", 1)[0]} y" {plain}'
    yield "option whose quote is never closed", "TextBeforeType", f'command="x {plain}'
    yield "known_hosts line", "TextBeforeType", f"example.test,192.0.2.1 {plain}"
    yield "quoted line", "UnknownType", f'"{plain}"'
    yield "number before the key", "TextBeforeType", f"1 {plain}"

    # Types.
    yield "base64 without its type", "TypeMissing", b64
    yield "DSA", "Dsa", keys["dsa"]
    yield "certificate", "Certificate", line("ssh-ed25519-cert-v01@openssh.com", cert)
    yield "certificate under a plain name", "Certificate", line("ssh-ed25519", cert)
    yield "plain blob under a certificate's name", "Certificate", f"ssh-ed25519-cert-v01@openssh.com {b64}"
    rsa_b64 = keys["rsa2048"].split(" ")[1]
    for algorithm in ["rsa-sha2-256", "rsa-sha2-512", "webauthn-sk-ecdsa-sha2-nistp256@openssh.com"]:
        yield f"signature algorithm {algorithm}", "SignatureAlgorithm", f"{algorithm} {rsa_b64}"
        yield f"signature algorithm {algorithm} inside", "SignatureAlgorithm", line("ssh-rsa", string(algorithm) + rsa_blob[11:])
    yield "unknown type", "UnknownType", line("foo@example.test", string("foo@example.test") + string(point))
    yield "unknown type inside", "UnknownType", line("ssh-ed25519", string("foo@example.test") + string(point))
    yield "type in upper case", "UnknownType", f"SSH-ED25519 {b64}"
    yield "type shortened", "UnknownType", f"ed25519 {b64}"
    yield "Ed448", "UnknownType", line("ssh-ed448", string("ssh-ed448") + string(bytes(57)))
    yield "XMSS", "UnknownType", line("ssh-xmss@openssh.com", string("ssh-xmss@openssh.com") + string(bytes(64)))
    yield "SSH 1", "UnknownType", "2048 65537 " + str(n) + " ada@laptop"
    yield "type with a no-break space after it", "UnknownType", f"{key_type}\u00a0{b64}"
    yield "type alone", "MaterialMissing", "ssh-ed25519"
    yield "type and a blank", "MaterialMissing", "ssh-ed25519 "
    yield "text type is another than the blob's", "TypeMismatch", f"ssh-rsa {b64}"
    yield "text type is another than the blob's, ECDSA", "TypeMismatch", line("ecdsa-sha2-nistp384", ec_blob)
    yield "security key's blob under the plain type", "TypeMismatch", line(
        "ssh-ed25519", string("sk-ssh-ed25519@openssh.com") + string(point) + string("ssh:")
    )

    # Base64.
    yield "base64 of the URL alphabet", "Base64Character", f"{key_type} {b64.replace('+', '-').replace('/', '_')[:40]}-___"
    yield "base64 with a quote", "Base64Character", f"{key_type} {b64[:20]}'{b64[20:]}"
    yield "base64 with a NUL", "Base64Character", f"{key_type} {b64[:20]}\0{b64[20:]}"
    yield "base64 with a line separator", "Base64Character", f"{key_type} {b64[:20]}\u2028{b64[20:]}"
    yield "base64 without its last character", "Base64NotCanonical", f"{key_type} {b64[:-1]}"
    yield "base64 with one character too many", "Base64NotCanonical", f"{key_type} {b64}A"
    yield "base64 with padding that is too long", "Base64NotCanonical", f"{key_type} {b64}===="
    yield "base64 padded in the middle", "Base64NotCanonical", f"{key_type} {b64[:20]}={b64[20:]}"
    ec_b64 = ecdsa256.split(" ")[1]
    assert ec_b64.endswith("="), "the ECDSA blob needs padding"
    bits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    digit = ec_b64.rstrip("=")[-1]
    changed = bits[bits.index(digit) ^ 1]
    yield "base64 with bits set that say nothing", "Base64NotCanonical", ecdsa256.split(" ")[0] + " " + ec_b64.rstrip("=")[
        :-1
    ] + changed + "=" * ec_b64.count("=")
    yield "base64 without its padding", "Base64NotCanonical", ecdsa256.split(" ")[0] + " " + ec_b64.rstrip("=")
    yield "base64 with more padding than needed", "Base64NotCanonical", ecdsa256.split(" ")[0] + " " + ec_b64 + "="

    # The blob.
    yield "blob of three bytes", "Truncated", line("ssh-ed25519", b"\0\0\0")
    yield "blob that is only its type", "Truncated", line("ssh-ed25519", string("ssh-ed25519"))
    yield "blob cut off", "Truncated", line("ssh-ed25519", blob[:-1])
    yield "length field of 4 GiB for the type", "Truncated", line("ssh-ed25519", b"\xff\xff\xff\xff" + blob[4:])
    yield "length field of 4 GiB for the key", "Truncated", line("ssh-ed25519", blob[:15] + b"\xff\xff\xff\xff" + point)
    yield "empty type inside", "UnknownType", line("ssh-ed25519", string("") + string(point))
    yield "type inside is no text", "UnknownType", line("ssh-ed25519", string(b"ssh-\xff") + string(point))
    yield "type inside followed by a NUL", "UnknownType", line("ssh-ed25519", string("ssh-ed25519\0") + string(point))
    yield "trailing byte", "TrailingBytes", line("ssh-ed25519", blob + b"\0")
    yield "trailing empty string", "TrailingBytes", line("ssh-ed25519", blob + string(""))
    yield "trailing second key", "TrailingBytes", line("ssh-ed25519", blob + blob)
    yield "Ed25519 with 31 bytes", "WrongLength", line("ssh-ed25519", string("ssh-ed25519") + string(point[:31]))
    yield "Ed25519 with 33 bytes", "WrongLength", line("ssh-ed25519", string("ssh-ed25519") + string(point + b"\0"))
    yield "Ed25519 with no bytes", "WrongLength", line("ssh-ed25519", string("ssh-ed25519") + string(b""))
    mldsa = "ssh-mldsa44-ed25519@openssh.com"
    yield "ML-DSA without its Ed25519 half", "WrongLength", line(mldsa, string(mldsa) + string(bytes(1312)))
    yield "ML-DSA in two fields", "WrongLength", line(mldsa, string(mldsa) + string(bytes(1312)) + string(point))
    yield "security key without its application", "Truncated", ed25519(point, "sk-ssh-ed25519@openssh.com")

    for application in ["ssh:\n", "ssh:\0", "ssh:a b", "ssh:\x7f", "ssh:caf\u00e9", b"ssh:\xff"]:
        yield f"application {application!a}", "ApplicationCharacter", ed25519(
            point, "sk-ssh-ed25519@openssh.com", string(application)
        )

    # Numbers.
    e, big = mpint(65537), mpint(n)
    yield "modulus with a leading zero", "IntegerNotMinimal", rsa_fields(e, string(b"\0\0" + n.to_bytes(256, "big")))
    yield "exponent with a leading zero", "IntegerNotMinimal", rsa_fields(string(b"\0\x01\0\x01"), big)
    yield "zero spelt as a byte", "IntegerNotMinimal", rsa_fields(string(b"\0"), big)
    yield "modulus that is negative", "NegativeInteger", rsa_fields(e, string(n.to_bytes(256, "big")))
    yield "exponent that is negative", "NegativeInteger", rsa_fields(string(b"\xff"), big)
    yield "modulus of 16385 bits", "RsaTooLong", rsa_fields(e, mpint(1 << 16384 | 1))
    yield "exponent of 16385 bits", "RsaTooLong", rsa_fields(mpint(1 << 16384 | 1), big)
    yield "modulus missing", "Truncated", rsa_fields(e)
    yield "a third number", "TrailingBytes", rsa_fields(e, big, mpint(7))

    # Points.
    sign = 2 + (y[-1] & 1)
    yield "inner curve is another", "CurveMismatch", ecdsa("nistp256", ec_point, inner="nistp384")
    yield "inner curve is another, with its point", "CurveMismatch", line(
        "ecdsa-sha2-nistp256", string("ecdsa-sha2-nistp256") + string("nistp384") + string(b"\4" + bytes(96))
    )
    yield "inner curve is unknown", "CurveMismatch", ecdsa("nistp256", ec_point, inner="nistk163")
    yield "compressed point", "PointForm", ecdsa("nistp256", bytes([sign]) + x)
    yield "hybrid point", "PointForm", ecdsa("nistp256", bytes([sign + 4]) + x + y)
    yield "point at infinity", "PointAtInfinity", ecdsa("nistp256", b"\0")
    yield "point too short", "WrongLength", ecdsa("nistp256", ec_point[:-1])
    yield "point too long", "WrongLength", ecdsa("nistp256", ec_point + b"\0")
    yield "point of no bytes", "WrongLength", ecdsa("nistp256", b"")
    yield "point of an unknown form", "WrongLength", ecdsa("nistp256", b"\5" + x + y)
    yield "security key with a compressed point", "PointForm", ecdsa(
        "nistp256", bytes([sign]) + x, "sk-ecdsa-sha2-nistp256@openssh.com", string("ssh:")
    )
    yield "security key on another curve", "CurveMismatch", ecdsa(
        "nistp256", ec_point, "sk-ecdsa-sha2-nistp256@openssh.com", string("ssh:"), "nistp384"
    )

    # Comments. Programs that split lines there would read a second key.
    for name, character in [
        ("NUL", "\0"),
        ("tab", "\t"),
        ("vertical tab", "\v"),
        ("form feed", "\f"),
        ("file separator", "\x1c"),
        ("group separator", "\x1d"),
        ("record separator", "\x1e"),
        ("escape", "\x1b"),
        ("delete", "\x7f"),
        ("next line U+0085", "\u0085"),
        ("line separator U+2028", "\u2028"),
        ("paragraph separator U+2029", "\u2029"),
        ("right-to-left override U+202E", "\u202e"),
        ("left-to-right isolate U+2066", "\u2066"),
        ("Arabic letter mark U+061C", "\u061c"),
        ("zero-width space U+200B", "\u200b"),
        ("zero-width joiner U+200D", "\u200d"),
        ("word joiner U+2060", "\u2060"),
        ("byte order mark U+FEFF", "\ufeff"),
        ("soft hyphen U+00AD", "\u00ad"),
        ("tag U+E0041", "\U000e0041"),
        ("noncharacter U+FFFF", "\uffff"),
        ("private use U+E000", "\ue000"),
    ]:
        yield f"comment with {name}", "CommentCharacter", f"{plain} laptop{character}desk"
    for name, character in [("line separator U+2028", "\u2028"), ("next line U+0085", "\u0085"), ("vertical tab", "\v")]:
        yield f"comment with {name} and a key", "SeveralKeys", f"{plain} laptop{character} {other}"
    yield "comment of 1025 bytes", "CommentTooLong", f"{plain} {'x' * 1025}"


def degenerate(keys):
    p, q = prime(1024), prime(1024)
    n = p * q
    yield "e = 0", "RsaExponentTooSmall", rsa(n, 0)
    yield "e = 1", "RsaExponentTooSmall", rsa(n, 1)
    yield "e = 2", "RsaExponentTooSmall", rsa(n, 2)
    yield "e = 4", "RsaExponentEven", rsa(n, 4)
    yield "e = 65536", "RsaExponentEven", rsa(n, 65536)
    yield "e = 2^32 + 1", "RsaExponentTooLarge", rsa(n, 2**32 + 1)
    yield "e = n", "RsaExponentNotBelowModulus", rsa(n, n)
    yield "e = n + 2", "RsaExponentNotBelowModulus", rsa(n, n + 2)
    yield "e of 16384 bits", "RsaExponentNotBelowModulus", rsa(n, 2**16384 - 1)
    phi = (p - 1) * (q - 1)
    d = next_prime(2**200)
    yield "Wiener: d of 201 bits", "RsaExponentTooLarge", rsa(n, pow(d, -1, phi))
    yield "even modulus", "RsaModulusEven", rsa(2 * prime(1023) * prime(1024))
    for factor in [3, 5, 251, 65521]:
        yield f"factor {factor}", "RsaSmallFactor", rsa(factor * prime(2049 - factor.bit_length()))
    yield "factor 65537", "RsaSmallFactor", rsa(65537 * prime(2032))
    yield "prime modulus", "RsaModulusPrime", rsa(prime(2048))
    yield "prime modulus of 3072 bits, e = 3", "RsaModulusPrime", rsa(prime(3072), 3)
    yield "p^2", "RsaPerfectPower", rsa(p * p)
    yield "p^3", "RsaPerfectPower", rsa(prime(683, 3) ** 3)
    yield "p^4", "RsaPerfectPower", rsa(prime(512, 4) ** 4)
    yield "p^5", "RsaPerfectPower", rsa(prime(410, 5) ** 5)
    yield "p^31", "RsaPerfectPower", rsa(prime(67, 8) ** 31)
    yield "(pq)^3", "RsaPerfectPower", rsa((prime(342, 3) * prime(342, 3)) ** 3)
    yield "next prime", "RsaClosePrimes", rsa(p * next_prime(p))
    yield "next prime of 4096 bits", "RsaClosePrimes", rsa((big := prime(2048)) * next_prime(big))
    yield "primes that differ by 2^512", "RsaClosePrimes", rsa(p * next_prime(p + 2**512))
    yield "primes that differ by 2^516", "RsaClosePrimes", rsa(p * next_prime(p + 2**516))
    yield "p - 1 divides q - 1", "RsaFactorFound", rsa((p_ := prime(1010)) * prime_above(p_, 48))
    yield "ROCA of 2048 bits", "RsaRoca", rsa(roca_prime(1024) * roca_prime(1024))
    yield "ROCA, published", "RsaRoca", rsa(int.from_bytes(base64.b64decode(PUBLISHED_ROCA)[-261:-5], "big"))
    small = prime(1020, 2) * prime(1021, 2)
    assert small.bit_length() == 2041
    yield "2041 bits, 256 bytes", "RsaTooShort", rsa(small)
    yield "2047 bits from ssh-keygen", "RsaTooShort", keys["rsa2047"]
    yield "1024 bits from ssh-keygen", "RsaTooShort", keys["rsa1024"]
    yield "modulus 0", "RsaTooShort", rsa(0)
    yield "modulus 1", "RsaTooShort", rsa(1)

    points = small_order_points()
    for n_, point in sorted(points.items()):
        yield f"Ed25519 of order {n_}", "Ed25519SmallOrder", ed25519(encode(point))
    yield "Ed25519 of order 8, the other sign", "Ed25519SmallOrder", ed25519(encode((P - points[8][0], points[8][1])))
    yield "Ed25519 of order 4 on a security key", "Ed25519SmallOrder", ed25519(
        encode(points[4]), "sk-ssh-ed25519@openssh.com", string("ssh:")
    )
    yield "Ed25519 of order 1 spelt p + 1", "Ed25519NotCanonical", ed25519(raw(P + 1))
    yield "Ed25519 of order 1 with a sign", "Ed25519NotCanonical", ed25519(raw(1, 1))
    yield "Ed25519 of order 2 with a sign", "Ed25519NotCanonical", ed25519(raw(P - 1, 1))
    yield "Ed25519 of order 4 spelt p", "Ed25519NotCanonical", ed25519(raw(P))
    y = next(y for y in range(2, 19) if x_of(y) is not None)
    yield f"Ed25519 with y = {y} spelt p + {y}", "Ed25519NotCanonical", ed25519(raw(P + y))
    off = next(y for y in range(2, 99) if x_of(y) is None)
    yield f"Ed25519 off the curve, y = {off}", "Ed25519NotOnCurve", ed25519(raw(off))
    yield "security key off the curve", "Ed25519NotOnCurve", ed25519(
        raw(off), "sk-ssh-ed25519@openssh.com", string("ssh:")
    )

    for name, curve, size in [("ecdsa256", "nistp256", 32), ("ecdsa384", "nistp384", 48), ("ecdsa521", "nistp521", 66)]:
        point = base64.b64decode(keys[name].split(" ")[1])[-2 * size :]
        changed = point[:-1] + bytes([point[-1] ^ 1])
        yield f"{curve} off the curve", "EcdsaNotOnCurve", ecdsa(curve, b"\4" + changed)
        yield f"{curve} at (0, 0)", "EcdsaNotOnCurve", ecdsa(curve, b"\4" + bytes(2 * size))
        yield f"{curve} with coordinates past the prime", "EcdsaNotOnCurve", ecdsa(curve, b"\4" + b"\xff" * 2 * size)
    point = base64.b64decode(keys["ecdsa256"].split(" ")[1])[-64:]
    yield "security key off nistp256", "EcdsaNotOnCurve", ecdsa(
        "nistp256", b"\4" + bytes(64), "sk-ecdsa-sha2-nistp256@openssh.com", string("ssh:")
    )
    ed_point = base64.b64decode(keys["ed25519"].split(" ")[1])[-32:]
    for application in ["", "ssh", "https://example.test", "SSH:", "ssh:" + "x" * 252]:
        yield f"application {application[:30]}, {len(application)} characters", "SkApplication", ed25519(
            ed_point, "sk-ssh-ed25519@openssh.com", string(application)
        )
    yield "application of an ECDSA security key", "SkApplication", ecdsa(
        "nistp256", b"\4" + point, "sk-ecdsa-sha2-nistp256@openssh.com", string("webauthn")
    )
    mldsa = "ssh-mldsa44-ed25519@openssh.com"
    yield "post-quantum type", "TypeNotAccepted", line(mldsa, string(mldsa) + string(RNG.randbytes(1312) + ed_point))


def built(keys):
    """Good keys of types that ssh-keygen makes only with hardware, or that look like a degenerate one."""
    ed_point = base64.b64decode(keys["ed25519"].split(" ")[1])[-32:]
    ec_point = base64.b64decode(keys["ecdsa256"].split(" ")[1])[-65:]
    yield "sk-ed25519", ed25519(ed_point, "sk-ssh-ed25519@openssh.com", string("ssh:"), "sk@example.test")
    yield "sk-ed25519 with an application", ed25519(ed_point, "sk-ssh-ed25519@openssh.com", string("ssh:web.example"))
    yield "sk-ecdsa", ecdsa("nistp256", ec_point, "sk-ecdsa-sha2-nistp256@openssh.com", string("ssh:"))
    p, q = prime(1024), prime(1024)
    yield "rsa, e = 3", rsa(p * q, 3)
    yield "rsa, e = 2^32 - 1", rsa(p * q, 2**32 - 1)
    yield "rsa, p and q differ in the upper half only", rsa(p * next_prime(p + 2**600))
    yield "rsa, three primes", rsa(prime(683, 3) * prime(683, 3) * prime(683, 3))
    shared = prime(1024)
    yield "rsa, shared factor, one", rsa(shared * prime(1024))
    yield "rsa, shared factor, two", rsa(shared * prime(1024))
    yield "rsa of 2049 bits", rsa(odd_length(2049))


def odd_length(bits):
    while True:
        n = prime(bits // 2, 1) * prime(bits - bits // 2, 2)
        if n.bit_length() == bits:
            return n


def main():
    keys = known()
    write(
        "refused-lines.txt",
        ["What the parser refuses: name, variant of `KeyError`, upload (\\xNN for a byte that is not printable ASCII)."],
        [(name, error, escape(upload)) for name, error, upload in refused_lines(keys)],
    )
    write(
        "degenerate.txt",
        ["Well-formed keys that admission refuses: name, variant of `Refusal`, line."],
        list(degenerate(keys)),
    )
    write("built.txt", ["Good keys that were put together: name, line."], list(built(keys)))


main()
