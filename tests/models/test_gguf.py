"""GGUF files: what they say of themselves, and the folder that is made of one."""

from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("gguf")

from mmst.core.config import parse
from mmst.core.errors import ModelError
from mmst.core.manifest import Place
from mmst.core.ports import Request
from mmst.core.results import Base
from mmst.inference.providers.transformers import LocalModel
from mmst.models import gguf
from mmst.models.description import describe
from mmst.models.sources import model_files
from mmst.observe.progress import Quiet
from mmst.stages.base_model import BaseModel
from mmst.wiring import Wired
from tests.support.gguf_files import CONTEXT, PARAMETERS, small_gguf


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_gguf(tmp_path_factory.mktemp("gguf") / "small.gguf")


@pytest.fixture(scope="module")
def folder(file: Path) -> Path:
    to = file.parent / "made"
    gguf.convert(file, to)
    return to


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_file_says_what_it_is(file: Path) -> None:
    found = gguf.describe(file)
    assert (found.name, found.architecture, found.licence) == ("Small Random", "qwen2", "apache-2.0")
    assert (found.parameters, found.context, found.chat_template) == (PARAMETERS, CONTEXT, True)


def test_the_folder_holds_the_same_model(folder: Path) -> None:
    found = describe(folder)
    assert (found.architecture, found.dtypes) == ("Qwen2ForCausalLM", ("BF16",))
    assert (found.parameters, found.context, found.chat_template) == (PARAMETERS, CONTEXT, True)


def test_the_folder_can_be_sampled_and_its_tokenizer_is_the_file_s(folder: Path) -> None:
    request = Request(id="r", prompt="héllo 1\n", n=2, seed=1, temperature=1.0, top_p=1.0, max_tokens=5, stop=())
    with LocalModel(folder, dtype="float32", batch=8, trust_remote_code=False) as model:
        assert model.tokens.text([], model.tokens.prompt("héllo 1\n", 99)) == "héllo 1\n"
        assert model.tokens.tokenizer.convert_tokens_to_ids("<|im_end|>") in model.tokens.end_tokens
        assert all(c.tokens for c in model.sample([request])[0])


def test_a_recipe_takes_the_file_and_its_hash_stands_in_the_lineage(file: Path, tmp_path: Path) -> None:
    config = parse({"model": {"base": str(file)}, "out": str(tmp_path / "out")})
    place = Place(run="r", round=0, arm="base", step="base_model")
    made = BaseModel().run(Wired(config, Quiet()), place, {})
    assert made.result(Base).origin["gguf"].startswith("sha256:")


def test_a_file_is_converted_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = model_files(str(file)).folder
    monkeypatch.setattr(gguf, "convert", None)
    assert model_files(str(file)).folder == first


def test_an_architecture_that_nobody_knows_is_one_error(tmp_path: Path) -> None:
    strange = small_gguf(tmp_path / "strange.gguf", architecture="nobodys")
    with pytest.raises(ModelError, match=r"strange\.gguf cannot be made a model folder"):
        gguf.convert(strange, tmp_path / "to")
    assert [path.name for path in tmp_path.iterdir()] == ["strange.gguf"]


@pytest.mark.parametrize("content", [b"", b"GG", b"{}", b"PK\x03\x04"])
def test_what_is_no_gguf_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.gguf").write_bytes(content)
    for use in (gguf.check, gguf.describe, gguf.folder_of):
        with pytest.raises(ModelError, match="no GGUF file"):
            use(tmp_path / "x.gguf")


def test_a_file_that_ends_early_is_refused(file: Path, tmp_path: Path) -> None:
    (tmp_path / "half.gguf").write_bytes(file.read_bytes()[:900])
    with pytest.raises(ModelError, match="cut or damaged"):
        gguf.describe(tmp_path / "half.gguf")


def test_a_folder_that_holds_something_is_left_alone(file: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    with pytest.raises(ModelError, match="not empty"):
        gguf.convert(file, tmp_path)


@pytest.mark.parametrize("name", ["lock.gguf", "...gguf", "a b.gguf"])
def test_no_name_of_a_file_leads_out_of_its_folder(
    file: Path, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).write_bytes(file.read_bytes())
    monkeypatch.setattr(gguf, "convert", lambda file, to: to.mkdir())
    folder, sha256 = gguf.folder_of(tmp_path / name)
    assert folder.is_dir()
    assert folder.parent.name == f"gguf-{sha256.removeprefix('sha256:')[:32]}"


def test_a_link_to_an_empty_folder_is_written_through(file: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    gguf.convert(file, tmp_path / "link")
    assert (tmp_path / "real" / "config.json").is_file()
