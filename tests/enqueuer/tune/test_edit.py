from importlib import resources

import pytest

from enqueuer.config import schema as configs
from enqueuer.tune.edit import edited

DEFAULT = resources.files("enqueuer.config").joinpath("default.toml").read_text()


def test_two_keys_and_nothing_else() -> None:
    """Comments, blanks and order stay: two lines of the file differ."""
    changed = edited(DEFAULT, processors=12, slots={"VirusScan": 24})
    pairs = [(old, new) for old, new in zip(DEFAULT.splitlines(), changed.splitlines(), strict=True) if old != new]

    assert [new.partition("#")[0].strip() for _, new in pairs] == ["processors = 12", "max_in_flight = 24"]
    assert all(old.partition("#")[2] == new.partition("#")[2] for old, new in pairs)


def test_what_is_so_already_is_not_touched() -> None:
    """Byte for byte."""
    assert edited(DEFAULT, processors=4, slots={"VirusScan": 16}) == DEFAULT


@pytest.mark.parametrize(
    "text",
    [
        'rules = []\nroutes = [{recipient = "*", to = "OUT"}]\n',
        'rules = []\nfilters = [{name = "F", program = "x"}]\n[[routes]]\nrecipient = "*"\nto = "OUT"\n',
        'enqueuer.log_level = "all"\nrules = []\n[[filters]]\nname = "F"\nprogram = "x"\n[[routes]]\nrecipient = "*"\nto = "OUT"\n',
        '# mine\r\nrules = []\r\n\r\n[enqueuer]\r\n[[routes]]\r\nrecipient = "*"\r\nto = "OUT"\r\n',
    ],
)
def test_files_of_other_forms(text: str) -> None:
    """No table yet, inline tables, dotted keys, line ends of Windows: the keys are in force afterwards, the rest as it was."""
    before = configs.load(text.encode())
    after = configs.load(edited(text, processors=9, slots={"F": 7}).encode())

    assert after.enqueuer.processors == 9
    assert [each.max_in_flight for each in after.filters] == [7 for _ in before.filters]
    assert (after.rules, after.routes, after.enqueuer.log_level) == (before.rules, before.routes, before.enqueuer.log_level)


def test_a_trial_has_programs_and_a_log_level_of_its_own() -> None:
    """As it stands in another folder, and its log is read."""
    found = configs.load(edited(DEFAULT, processors=1, slots={}, programs={"VirusScan": "/x y"}, log_level="major").encode())

    assert (found.filters[0].program, found.enqueuer.log_level) == ("/x y", "major")


def test_what_no_engine_takes_is_refused() -> None:
    """Before anybody writes it anywhere."""
    with pytest.raises(configs.ConfigError, match="processors"):
        edited(DEFAULT, processors=5000, slots={})
