"""Makes the object store's accounts on the test cluster, with the rights that foundation gives on the platform.

The cluster's store is a MinIO, whose accounts are made by its admin API; there is no list to write.
"""

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

import httpx
import yaml
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.chart.rendering import CHARTS, helm
from tests.time_limits import seconds

OBJECTS: Final = {
    "Read": ("s3:GetObject", "s3:GetObjectTagging"),
    "Write": ("s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"),
    "Tagging": ("s3:PutObjectTagging",),
}
"""What SeaweedFS's words are in those of S3."""


def rights_on_the_platform() -> dict[str, list[str]]:
    """Account -> what it may, as foundation writes it for SeaweedFS."""
    foundation = CHARTS / "platform" / "foundation"
    values = CHARTS / "platform" / "values" / "foundation.yaml"
    rendered = helm("template", "foundation", foundation, "--values", values).stdout
    made = [one for one in yaml.safe_load_all(rendered) if one and one["kind"] == "Secret"]
    (text,) = (one["stringData"]["seaweedfs_s3_config"] for one in made
               if "seaweedfs_s3_config" in one["stringData"])  # fmt: skip
    listed = yaml.safe_load(text)["identities"]
    return {one["name"]: one["actions"] for one in listed if "Admin" not in one["actions"]}


def policy(actions: Sequence[str]) -> dict[str, Any]:
    """The same rights as a policy of S3."""
    statements: list[dict[str, Any]] = []
    for action in actions:
        verb, _, place = action.partition(":")
        bucket, _, beginning = place.partition("/")
        if verb == "List":
            said: dict[str, Any] = {
                "Action": ["s3:ListBucket"],
                "Resource": [f"arn:aws:s3:::{bucket}"],
            }
            if beginning:
                folder = beginning.removesuffix("*")
                said["Condition"] = {"StringLike": {"s3:prefix": [f"{folder}*", folder[:-1]]}}
        else:
            said = {"Action": list(OBJECTS[verb]), "Resource": [f"arn:aws:s3:::{place}"]}
        statements.append({"Effect": "Allow", **said})
    return {"Version": "2012-10-17", "Statement": statements}


class MinioAdmin:
    """The admin API of a MinIO, as far as accounts go.

    Args:
        address: of the store.
        key, secret: of its administrator.
    """

    def __init__(self, address: str, key: str, secret: str) -> None:
        self._address, self._secret = address, secret
        self._credentials = Credentials(key, secret)

    def make_account(self, key: str, secret: str, actions: Sequence[str]) -> None:
        """Make a user, or change it, so that it may these things alone."""
        user = json.dumps({"secretKey": secret, "status": "enabled"}).encode()
        self._put("add-user", {"accessKey": key}, encrypted(user, self._secret))
        self._put("add-canned-policy", {"name": key}, json.dumps(policy(actions)).encode())
        attached = {"policyName": key, "userOrGroup": key, "isGroup": "false"}
        self._put("set-user-or-group-policy", attached, b"")

    def _put(self, action: str, parameters: Mapping[str, str], body: bytes) -> None:
        url = f"{self._address}/minio/admin/v3/{action}?{urlencode(parameters)}"
        digest = {"X-Amz-Content-Sha256": hashlib.sha256(body).hexdigest()}
        request = AWSRequest(method="PUT", url=url, data=body, headers=digest)
        S3SigV4Auth(self._credentials, "s3", "us-east-1").add_auth(request)
        answer = httpx.put(url, content=body, headers=dict(request.headers), timeout=seconds(30))
        assert answer.status_code == 200, f"{action}: {answer.status_code} {answer.text[:500]}"


def encrypted(text: bytes, password: str) -> bytes:
    """A body as MinIO's admin API takes it: salt, kind, nonce and one package of AES-256-GCM.

    The format is that of github.com/minio/madmin-go (encrypt.go) with its third kind of key, and
    of github.com/secure-io/sio-go; a package is up to 16 KiB, so one is enough here.
    """
    kind, salt, nonce = b"\x02", secrets.token_bytes(32), secrets.token_bytes(8)
    cipher = AESGCM(hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 8192, 32))
    head = cipher.encrypt(nonce + (0).to_bytes(4, "little"), b"", b"")
    last = b"\x80" + head
    package = cipher.encrypt(nonce + (1).to_bytes(4, "little"), text, last)
    return salt + kind + nonce + package
