"""What to do when the certificate of Postgres is refused (sslmode=verify-ca or verify-full)."""

# libpq's own words, each with what a person can do (libpq documentation, "SSL Support").
ADVICE = (
    ("certificate verify failed", "sslrootcert, the ConfigMap postgres-ca, is not of the authority that signed it"),
    ("does not match host name", "write the host into the DSN as the certificate names it"),
    ("root certificate file", "make the ConfigMap postgres-ca with the provider's authority as ca.crt"),
)


def advised(why: str) -> str:
    """Return why Postgres was not reached, with a hint where its certificate is the reason."""
    return next((f"{why}; hint: {advice}" for words, advice in ADVICE if words in why), why)
