"""Whose word is taken for it that a server is the API: the system's certificates, and a company's own beside them."""

import ssl
from pathlib import Path
from typing import Final

from importer.errors import ConfigError

_HOST_MISMATCH: Final = frozenset({62, 64})
"""X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH of OpenSSL's x509_vfy.h."""

_OUT_OF_DATE: Final = frozenset({9, 10})
"""X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED."""

_AGAINST_THE_RULES: Final = range(80, 95)
"""X509_V_ERR_PATHLEN_INVALID_FOR_NON_CA to X509_V_ERR_EC_KEY_EXPLICIT_PARAMS: what only VERIFY_X509_STRICT minds, which
Python sets from 3.13 on. Many an authority that a company made itself offends."""

_TOO_WEAK: Final = frozenset({66, 67, 68})
"""X509_V_ERR_EE_KEY_TOO_SMALL, X509_V_ERR_CA_KEY_TOO_SMALL and X509_V_ERR_CA_MD_TOO_WEAK."""


def trusting(ca_file: Path | None) -> ssl.SSLContext:
    """Certificates and host names are verified, TLS 1.2 at least is spoken.

    `ca_file`, PEM certificates, is trusted in addition to the system's (or SSL_CERT_FILE's). Raises ConfigError.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is not None:
        _load(context, ca_file)
    return context


def check_ca_file(ca_file: Path | None) -> None:
    """Raises ConfigError for a file that no certificate can be taken from: said before a row is read."""
    if ca_file is not None:
        _load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ca_file)


def _load(context: ssl.SSLContext, ca_file: Path) -> None:
    if ca_file.exists() and not ca_file.is_file():  # a pipe would have us wait for a writer for ever
        raise ConfigError(f"api.ca_file {ca_file} is no regular file", hint="Give the path of a PEM file.")
    try:
        context.load_verify_locations(cafile=ca_file)
    except ssl.SSLError:  # an OSError too, whose words speak of OpenSSL's sources
        raise ConfigError(
            f"api.ca_file {ca_file} holds no certificate that can be used",
            hint="Give the certificate of the authority in PEM: -----BEGIN CERTIFICATE----- and so on.",
        ) from None
    except OSError as error:
        raise ConfigError(
            f"api.ca_file {ca_file} cannot be read: {error.strerror}",
            hint="Give the path of a PEM file with the certificate of your company's authority.",
        ) from None


def mistrust(error: BaseException | None) -> str:
    """Why TLS was not agreed on, and the remedy, from what Python's ssl raised; holds no part of a certificate."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in _HOST_MISMATCH:
            return "the server's certificate is for another host name: check api.url"
        if error.verify_code in _OUT_OF_DATE:
            return "the server's certificate is out of date, or this machine's clock is wrong"
        if error.verify_code in _TOO_WEAK:
            return f"the server's certificate, or its authority's, is too weak to be trusted ({error.verify_message})"
        if error.verify_code in _AGAINST_THE_RULES:
            said = f"the server's certificate, or its authority's, breaks a rule of RFC 5280 ({error.verify_message})"
            return f"{said}: have it issued anew; up to 3.12, Python does not mind"
        return "the server's certificate is not trusted: if your company has its own authority, name it in api.ca_file"
    return "no TLS connection could be agreed on: the server has to speak TLS 1.2 or later"
