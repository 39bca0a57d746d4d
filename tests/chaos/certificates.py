"""Certificates of a trial: a good one and wrong ones, signed by an issuer of our own."""

import datetime
import ssl
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

HOST = "model.chaos.invalid"
Which = Literal["good", "expired", "wrong name", "unknown issuer"]
WHICH: tuple[Which, ...] = Which.__args__  # type: ignore[attr-defined]
_DAY = datetime.timedelta(days=1)


def write_certificates(folder: Path) -> None:
    """`ca.pem`, which runs trust, and one file for each of `WHICH`."""
    issuer = _issuer("chaos")
    stranger = _issuer("stranger")
    (folder / "ca.pem").write_bytes(issuer[0].public_bytes(serialization.Encoding.PEM))
    for which in WHICH:
        name = "other.chaos.invalid" if which == "wrong name" else HOST
        signer = stranger if which == "unknown issuer" else issuer
        days = (-20, -10) if which == "expired" else (-20, 20)
        (folder / f"{which}.pem").write_bytes(_leaf(name, signer, days))


def contexts(folder: Path) -> dict[Which, ssl.SSLContext]:
    """What a server shows, by the files of `write_certificates`."""
    made: dict[Which, ssl.SSLContext] = {}
    for which in WHICH:
        made[which] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made[which].load_cert_chain(folder / f"{which}.pem")
    return made


_Signer = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def _issuer(name: str) -> _Signer:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _named(name)
    basic = x509.BasicConstraints(ca=True, path_length=None)
    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=True, crl_sign=True,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
    built = _builder(subject, subject, key, (-30, 30)).add_extension(basic, critical=True)
    return built.add_extension(usage, critical=True).sign(key, hashes.SHA256()), key


def _leaf(name: str, signer: _Signer, days: tuple[int, int]) -> bytes:
    """The certificate and its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.DNSName(name)])
    built = _builder(_named(name), signer[0].subject, key, days).add_extension(names, False)
    certificate = built.sign(signer[1], hashes.SHA256())
    return certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: tuple[int, int]
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + days[0] * _DAY)
        .not_valid_after(now + days[1] * _DAY)
    )
