from __future__ import annotations

from pathlib import Path

import pytest

from iot_core.errors import InputError
from modules.scorer.conda import main, requirements_of

AZURE = """
# Conda environment specification
name: project_environment
channels: [conda-forge, anaconda]
dependencies:
  - python=3.8.13
  - pip
  - conda-forge::numpy=1.26
  - "pandas>=2,<3"   # a comment
  - scikit-learn
  - xgboost=1.7.6=py38_0
  - pip:
    - azureml-defaults~=1.55
    - azureml-inference-server-http
    - 'onnxruntime==1.20.0'
    - torch[extra]>=2; python_version > "3.8"
    - --extra-index-url https://example.org/simple
  - scipy ==1.11
prefix: /opt/conda
"""


def environment(folder: Path, text: str, name: str = "conda.yml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_conda_file_of_azure_ml_becomes_lines_for_pip(tmp_path: Path) -> None:
    assert requirements_of(environment(tmp_path, AZURE)) == [
        "numpy==1.26.*",
        "pandas>=2,<3",
        "scikit-learn",
        "xgboost==1.7.6.*",
        "onnxruntime==1.20.0",
        'torch[extra]>=2; python_version > "3.8"',
        "--extra-index-url https://example.org/simple",
        "scipy==1.11",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "dependencies: [python=3.11, numpy]\n",
        "dependencies:\n- python\n- numpy\n",
        "dependencies:\n- pip: [numpy]\n",
        "dependencies:\n- pip:\n  - numpy\nvariables:\n  A: b\n",
    ],
)
def test_lists_are_read_in_either_style(tmp_path: Path, text: str) -> None:
    assert requirements_of(environment(tmp_path, text)) == ["numpy"]


def test_a_requirements_file_is_taken_as_it_is(tmp_path: Path) -> None:
    text = "numpy>=2  # fast\n\n# nothing\nazureml-core==1.0\n"
    assert requirements_of(environment(tmp_path, text, "requirements.txt")) == ["numpy>=2"]


def test_of_a_folder_the_first_file_counts_and_none_is_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (main([str(tmp_path)]), capsys.readouterr().out) == (0, "")
    environment(tmp_path, "scipy\n", "requirements.txt")
    environment(tmp_path, "dependencies: [numpy]\n", "environment.yml")
    assert (main([str(tmp_path)]), capsys.readouterr().out) == (0, "numpy\n")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("dependencies:\n  - *shared\n", "line 2: '\\*shared' is not something"),
        ("dependencies: &all\n", "line 1: a list was expected"),
        ("dependencies:\n\t- numpy\n", "line 2: this YAML is not understood"),
        ("dependencies:\n  numpy: 1\n", "line 2: a dependency begins with a hyphen"),
        ("dependencies:\n  - numpy 1 2 3\n", "line 2: 'numpy 1 2 3' is not something that pip can install"),
        ("dependencies:\n- pip:\n  - -r other.txt\n", "leads to another file"),
    ],
)
def test_what_is_not_understood_is_refused_by_its_line(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        requirements_of(environment(tmp_path, text))


def test_a_file_that_is_not_there_is_one_line_and_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "conda.yml")]) == 2
    assert capsys.readouterr().err.startswith("error: ")
