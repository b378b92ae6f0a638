"""Signing certificates and keys: the operator's, or this installation's own.

C2PA 2.2, section 14.5 ("X.509 Certificates"): a leaf that is not its own issuer, with the key usage
`digitalSignature` and the extended key usage e-mail protection or document signing.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import platformdirs

from lipsync.errors import OptionError

if TYPE_CHECKING:
    from cryptography import x509

CERT_VARIABLE, KEY_VARIABLE = "LIPSYNC_SIGN_CERT", "LIPSYNC_SIGN_KEY"
"""Environment variables that name the operator's certificate and key, for servers."""
OWN_ORGANISATION = "lipsync, not verified"
"""Who signs with a certificate that an installation made for itself."""
_OWN_FILE = "own.pem"
_OWN_YEARS = 30
_BEGIN_CERTIFICATE, _BEGIN_KEY = b"-----BEGIN CERTIFICATE-----", b"-----BEGIN PRIVATE KEY-----"
_END_CERTIFICATE = b"-----END CERTIFICATE-----"
_LARGEST_FILE = 1 << 20
_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_LEAST_RSA_BITS = 2048
_SIGNING_USES = {
    "1.3.6.1.5.5.7.3.4",  # e-mail protection
    "1.3.6.1.5.5.7.3.36",  # document signing
    "1.3.6.1.4.1.62558.2.1",  # C2PA claim signing
}


@dataclass(frozen=True)
class Credentials:
    """Certificate chain and key to sign with.

    Attributes:
        chain: PEM, the leaf first.
        key: PEM, PKCS#8; never shown.
        algorithm: C2PA's name, such as "ES256".
        signer: who signs, as the certificate says.
        own: made by this installation, so that viewers do not trust it.
    """

    chain: bytes
    key: bytes = field(repr=False)
    algorithm: str
    signer: str
    own: bool = False


class SigningFiles(NamedTuple):
    """The operator's files.

    Attributes:
        certificate: PEM, the leaf first, then those between it and the root.
        key: PEM, not encrypted.
    """

    certificate: Path
    key: Path


def signing_files(certificate: Path | None, key: Path | None) -> SigningFiles | None:
    """The operator's files, as given or as the environment names them; None for the own certificate.

    Raises:
        OptionError: one is given without the other.
    """
    if certificate is None and key is None:
        named = [os.environ.get(name) for name in (CERT_VARIABLE, KEY_VARIABLE)]
        certificate, key = (Path(name).expanduser() if name else None for name in named)
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise OptionError(
            "To sign, a certificate and its key are needed",
            given=f"only {certificate or key}",
            hint=f"Give both ('sign_cert', 'sign_key'), or {CERT_VARIABLE} and {KEY_VARIABLE}.",
        )
    return SigningFiles(certificate, key)


def read_credentials(files: SigningFiles) -> Credentials:
    """The operator's certificate chain and key, checked for what C2PA demands.

    Raises:
        OptionError: a file cannot be read, they do not belong together, or no result may be signed with them.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    chain_file, key_file = files
    try:
        certificates = x509.load_pem_x509_certificates(_read(chain_file))
    except ValueError as error:
        raise OptionError(
            "This is no certificate", given=chain_file, hint="Give a chain in PEM, the leaf first."
        ) from error
    try:
        key = serialization.load_pem_private_key(_read(key_file), None)
    except TypeError as error:
        raise OptionError(
            "The key is encrypted",
            given=key_file,
            hint="Give it decrypted, in a file only you may read.",
        ) from error
    except Exception as error:  # one of several packages' own kinds
        raise OptionError("This is no private key", given=key_file, hint="Give it in PEM.") from error
    leaf = certificates[0]
    if leaf.public_key() != key.public_key():
        raise OptionError(
            "The key does not belong to the certificate",
            given=f"{chain_file}, {key_file}",
            hint="The chain begins with the certificate of the key.",
        )
    _check_leaf(leaf, chain_file)
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return Credentials(
        b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates),
        key.private_bytes(*form),
        _algorithm(key, key_file),
        _name(leaf),
    )


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST_FILE)
    except OSError as error:
        raise OptionError("A file to sign with cannot be read", given=f"{path} ({error.strerror})") from error


def _check_leaf(leaf: x509.Certificate, path: Path) -> None:
    """Check a signing certificate.

    Raises:
        OptionError: viewers would refuse what is signed with it; says why.
    """
    from cryptography import x509

    now = datetime.now(timezone.utc)
    hint = "Give a certificate for signing content, from an authority that C2PA's trust list names."
    if leaf.issuer == leaf.subject:
        raise OptionError("Viewers refuse a certificate that signed itself", given=path, hint=hint)
    if not leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc:
        span = f"{leaf.not_valid_before_utc:%Y-%m-%d} to {leaf.not_valid_after_utc:%Y-%m-%d}"
        raise OptionError("The certificate is not valid now", given=f"{path}, {span}", hint="Renew it.")
    try:
        uses = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        signs = leaf.extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature
    except x509.ExtensionNotFound:
        signs, uses = False, x509.ExtendedKeyUsage([x509.ObjectIdentifier("1.3.6.1.5.5.7.3.1")])
    if not signs or not any(use.dotted_string in _SIGNING_USES for use in uses):
        raise OptionError("The certificate is not for signing content", given=path, hint=hint)


def _algorithm(key: Any, path: Path) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        return _CURVES[key.curve.name]
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ED25519"
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= _LEAST_RSA_BITS:
        return "PS256"
    hint = "Use ECDSA (P-256, P-384, P-521), Ed25519, or RSA with at least 2048 bits."
    raise OptionError("C2PA does not sign with a key of this kind", given=path, hint=hint)


def _name(leaf: x509.Certificate) -> str:
    from cryptography.x509.oid import NameOID

    for kind in (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME):
        for one in leaf.subject.get_attributes_for_oid(kind):
            return str(one.value)
    return "a certificate without a name"


# --- this installation's own ------------------------------------------------------------------------


def own_credentials(folder: Path | None = None) -> Credentials:
    """This installation's certificate chain and key, made where there are none yet.

    They lie in one file, which only its owner may read. Several processes that make it at once end with the
    same. Where nothing can be kept, they are made anew for every process.

    Args:
        folder: of the file; by default in the user's data folder.
    """
    path = (folder or _own_folder()) / _OWN_FILE
    content = _kept(path)
    if not content:
        content = _make()
        with suppress(OSError):
            content = _keep(path, content)
    chain, _, key = content.partition(_BEGIN_KEY)
    return Credentials(chain, _BEGIN_KEY + key, "ES256", "this installation of lipsync", own=True)


def own_root(folder: Path | None = None) -> bytes:
    """The root of this installation's certificate, PEM; b"" where none was made."""
    chain = _kept((folder or _own_folder()) / _OWN_FILE).partition(_BEGIN_KEY)[0]
    return chain[chain.rfind(_BEGIN_CERTIFICATE) :] if chain else b""


def _own_folder() -> Path:
    return Path(platformdirs.user_data_dir("lipsync", appauthor=False)) / "signing"


def _kept(path: Path) -> bytes:
    """The file's content; b"" where it is missing or not whole."""
    try:
        content = path.read_bytes()
    except OSError:
        return b""
    whole = content.count(_END_CERTIFICATE) == 2 and content.rstrip().endswith(b"-----END PRIVATE KEY-----")
    return content if whole else b""


def _keep(path: Path, content: bytes) -> bytes:
    """Write the file, unless another process has; returns its content.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if path.exists() and not _kept(path):  # damaged
            part.replace(path)
            return content
        try:
            os.link(part, path)  # fails where another process was first
        except FileExistsError:
            return _kept(path) or content
        except OSError:  # a file system without hard links
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return content


def _make() -> bytes:
    """A new leaf, its root and its key, PEM; the root's key is forgotten."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = _certificate("lipsync: root of one installation", root_key.public_key(), root_key.public_key())
    root = root.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    root = root.add_extension(_key_usage(key_cert_sign=True, crl_sign=True), critical=True)
    leaf = _certificate("lipsync: one installation", key.public_key(), root_key.public_key())
    leaf = leaf.issuer_name(_subject("lipsync: root of one installation"))
    leaf = leaf.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    leaf = leaf.add_extension(_key_usage(digital_signature=True), critical=True)
    uses = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
    leaf = leaf.add_extension(uses, critical=False)
    signed = [one.sign(root_key, hashes.SHA256()) for one in (leaf, root)]
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    chain = b"".join(one.public_bytes(pem) for one in signed)
    return chain + key.private_bytes(pem, pkcs8, serialization.NoEncryption())


def _certificate(name: str, key: Any, issuer: Any) -> x509.CertificateBuilder:
    """A certificate of the public key `key`, issued by the one of `issuer`; without its uses."""
    from cryptography import x509

    now = datetime.now(timezone.utc)
    made = x509.CertificateBuilder().subject_name(_subject(name)).public_key(key)
    if key == issuer:
        made = made.issuer_name(_subject(name))
    made = made.serial_number(x509.random_serial_number())
    made = made.not_valid_before(now - timedelta(days=1))  # clocks of viewers may be behind
    made = made.not_valid_after(now + timedelta(days=365 * _OWN_YEARS))
    made = made.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    return made.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), critical=False)


def _subject(name: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    names = ((NameOID.ORGANIZATION_NAME, OWN_ORGANISATION), (NameOID.COMMON_NAME, name))
    return x509.Name([x509.NameAttribute(kind, text) for kind, text in names])


def _key_usage(**allowed: bool) -> x509.KeyUsage:
    from cryptography import x509

    names = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
        "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{name: allowed.get(name, False) for name in names})
