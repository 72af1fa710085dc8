"""Trust in the environment's own authority: by exported settings, or installed by the user."""

import os
import ssl
from collections.abc import Mapping
from pathlib import Path

import certifi

from devenv.system import state
from devenv.system.state import Folder

# OpenSSL, Python's ssl and Go; curl, where a person has it set already; requests; Node.js, which adds to its own list.
VARIABLES = ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
MARK = "# The authority of this environment alone, by devenv:\n"


def exports(folder: Folder, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the settings by which programs trust the authority beside those of the system; none without one.

    The bundle is rewritten each time: the system's authorities change too.
    """
    if not folder.authority.exists():
        return {}
    text = f"{system(environ).partition(MARK)[0].rstrip()}\n{MARK}{folder.authority.read_text()}"
    state.write(folder.bundle, text)
    return dict.fromkeys(VARIABLES, str(folder.bundle))


def system(environ: Mapping[str, str]) -> str:
    """Return the authorities that this person's programs trust: a bundle of their own, the system's, or Mozilla's."""
    found = (environ.get("SSL_CERT_FILE"), ssl.get_default_verify_paths().cafile, certifi.where())
    # Certificates are ASCII; a comment between them may be in any old encoding.
    return next(Path(name).read_text(encoding="latin-1") for name in found if name and Path(name).is_file())


def advice(folder: Folder, name: str, hosts: tuple[str, ...]) -> str:
    """Return how a person trusts the authority for good, and how to undo it. Nothing of it is done here."""
    file, title = folder.authority, f"devenv {name}"
    return f"""The authority of {name} is {file}. It can sign for {", ".join(hosts)} and names below, and for no others.
Commands started after `eval "$(devenv env)"` trust it already. To trust it for good:

Debian, Ubuntu
  sudo install -m 644 {file} /usr/local/share/ca-certificates/devenv-{name}.crt
  sudo update-ca-certificates
  undo: sudo rm /usr/local/share/ca-certificates/devenv-{name}.crt; sudo update-ca-certificates --fresh

macOS
  sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain {file}
  undo: sudo security delete-certificate -c '{title}' /Library/Keychains/System.keychain

Firefox, Chromium on Linux: NSS databases of their own (certutil: Debian's libnss3-tools)
  certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n '{title}' -i {file}
  for Firefox the folder of its profile instead of $HOME/.pki/nssdb (about:support names it)
  undo: certutil -d sql:$HOME/.pki/nssdb -D -n '{title}'

`devenv down` and `devenv tls down` delete the authority with its key: undo this first."""
