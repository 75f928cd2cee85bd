import subprocess

import pytest

from trainers import version
from trainers.version import statements

CODE = '''
def train():
    """Train."""
    return 1
'''


@pytest.mark.parametrize(
    "same", [CODE.replace("Train.", "Learn."), CODE.replace("return 1", "return 1  # one"), CODE.replace("\n", "\n\n")]
)
def test_docstrings_comments_and_layout_are_no_statements(same):
    assert statements(same) == statements(CODE)


@pytest.mark.parametrize("other", [CODE.replace("1", "2"), CODE.replace("train", "learn"), CODE + "x = 1\n"])
def test_another_statement_is_another_code(other):
    assert statements(other) != statements(CODE)


def test_a_docstring_is_not_a_text_elsewhere():
    assert statements("x = 1\n'text'\n") != statements("x = 1\n")


def test_the_text_of_statements_is_the_same_under_every_python():
    """3.12 gave functions a field for type parameters and 3.13 leaves out empty lists: no empty field counts."""
    assert statements("def f(x): return x") == (
        "Module(body=[FunctionDef(name='f', args=arguments(args=[arg(arg='x')]), "
        "body=[Return(value=Name(id='x', ctx=Load()))])])"
    )


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A tree of modules in place of ours."""
    modules = ("searchspace/mixers", "trainers/data/augment", "trainers/export/load", "trainers/__main__")
    for name in modules:
        file = tmp_path / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x = 1\n")
    monkeypatch.setattr(version, "ROOT", tmp_path)
    monkeypatch.setattr(version, "_statements_digest", version._statements_digest.__wrapped__)
    return tmp_path


@pytest.mark.parametrize("name", ["searchspace/mixers.py", "trainers/data/augment.py"])
def test_code_changes_with_every_module_that_trains(repository, name):
    before = version.code()
    (repository / name).write_text("x = 2\n")
    assert version.code() != before


@pytest.mark.parametrize("name", ["trainers/export/load.py", "trainers/__main__.py"])
def test_code_does_not_change_with_what_only_uses_trained_models(repository, name):
    before = version.code()
    (repository / name).write_text("x = 2\n")
    assert version.code() == before


def test_code_changes_with_the_users_space_file(repository, monkeypatch):
    before = version.code()
    monkeypatch.setattr(version.user_space, "fingerprint", lambda: "01234567")
    assert version.code() != before


def test_without_git_there_is_no_commit(monkeypatch):
    def no_git(*args, **kwargs):
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", no_git)
    assert version.commit.__wrapped__() == ""
