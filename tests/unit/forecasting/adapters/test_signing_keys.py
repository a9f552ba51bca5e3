"""Keys come from settings, else from the state folder; without any, nothing is verified."""

import stat

import pytest

from forecasting.adapters.signing_keys import make_keys, signer_of, trusted_keys_of
from forecasting.bundle.signature import Signer, TrustedKeys, new_key
from forecasting.errors import InvalidSettings
from forecasting.settings import Settings


def test_without_keys_nothing_signs_and_nothing_is_verified(tmp_path):
    settings = Settings(state_dir=tmp_path)
    assert signer_of(settings) is None
    assert trusted_keys_of(settings) is None


def test_keys_of_the_state_folder_are_found_by_whoever_has_the_folder(tmp_path):
    assert make_keys(tmp_path / "keys")
    settings = Settings(state_dir=tmp_path)
    assert trusted_keys_of(settings).ids == (signer_of(settings).key,)


def test_the_private_key_is_for_its_owner_alone(tmp_path):
    make_keys(tmp_path / "keys")
    rights = {
        path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "keys").iterdir()
    }
    assert rights == {"signing.pem": 0o600, "trusted.pem": 0o644}
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700


def test_making_keys_again_changes_nothing(tmp_path):
    make_keys(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert not make_keys(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_new_key_is_trusted_beside_those_of_before(tmp_path):
    make_keys(tmp_path)
    old = Signer((tmp_path / "signing.pem").read_bytes()).key
    (tmp_path / "signing.pem").unlink()
    assert make_keys(tmp_path)
    new = Signer((tmp_path / "signing.pem").read_bytes()).key
    ids = TrustedKeys((tmp_path / "trusted.pem").read_bytes()).ids
    assert ids == tuple(sorted((old, new)))


@pytest.mark.parametrize("as_file", [True, False])
def test_a_setting_is_the_key_or_the_file_of_it(tmp_path, as_file):
    pem = new_key()
    public = Signer(pem).public_pem()
    (tmp_path / "private").write_bytes(pem)
    (tmp_path / "public").write_bytes(public)
    settings = Settings(
        state_dir=tmp_path,
        signing_key=str(tmp_path / "private") if as_file else pem.decode(),
        trusted_keys=str(tmp_path / "public") if as_file else public.decode(),
    )
    assert trusted_keys_of(settings).ids == (signer_of(settings).key,)


def test_a_file_that_is_set_and_not_there_is_an_error_and_not_no_key(tmp_path):
    settings = Settings(
        state_dir=tmp_path, signing_key=str(tmp_path / "a"), trusted_keys=str(tmp_path / "b")
    )
    with pytest.raises(InvalidSettings, match="BELLWETHER_SIGNING_KEY must be"):
        signer_of(settings)
    with pytest.raises(InvalidSettings, match="BELLWETHER_TRUSTED_KEYS must be"):
        trusted_keys_of(settings)


def test_an_empty_file_of_trusted_keys_trusts_nobody_and_is_an_error(tmp_path):
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "trusted.pem").touch()
    with pytest.raises(InvalidSettings, match="there is none"):
        trusted_keys_of(Settings(state_dir=tmp_path))


def test_the_private_key_is_not_shown(tmp_path):
    assert "PRIVATE" not in repr(Settings(state_dir=tmp_path, signing_key=new_key().decode()))
