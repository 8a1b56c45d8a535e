"""Models of the Hugging Face Hub, fetched once into its own cache (`$HF_HOME`), at a commit.

`$HF_TOKEN` opens gated ones, `$HF_ENDPOINT` names a mirror. Pickled weights and code are left there.
"""

from __future__ import annotations

import re
from pathlib import Path

from mmst.core.errors import ModelError, SetupError
from mmst.core.extras import needed
from mmst.models.loading import first_line

WANTED = ("*.safetensors", "*.json", "*.jinja", "*.model", "merges.txt", "vocab.txt", "README.md", "LICENSE*")
NAME = re.compile(r"hub:(?P<name>[\w.-]{1,96}/[\w.-]{1,96})(?:@(?P<revision>[\w./-]+))?", re.ASCII)

_LIKE = "hub:OWNER/NAME@REVISION, e.g. hub:Qwen/Qwen3-0.6B@main"


def snapshot(model: str) -> tuple[Path, str, str]:
    """(folder, OWNER/NAME, commit) of `hub:OWNER/NAME@REVISION`; without a revision, of `main`.

    Offline, what was fetched before is taken. `ModelError` when there is no such model,
    `SetupError` when it can neither be fetched nor found here.
    """
    found = NAME.fullmatch(model)
    if not found:
        raise ModelError("no model of the hub", value=model, remedy=_LIKE)
    name, revision = found["name"], found["revision"] or "main"
    with needed("model", "models of the hub need huggingface_hub"):
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import (
            GatedRepoError,
            HfHubHTTPError,
            HFValidationError,
            LocalEntryNotFoundError,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )
    try:
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=list(WANTED)))
    except HFValidationError as e:
        raise ModelError("no model of the hub can have this name", value=model, why=first_line(e), remedy=_LIKE) from e
    except GatedRepoError as e:
        remedy = f"accept its terms at https://huggingface.co/{name}, and export HF_TOKEN=…"
        raise ModelError("the hub asks for consent before it gives this model", value=model, remedy=remedy) from e
    except RevisionNotFoundError as e:
        raise ModelError("the model has no such revision", value=model, remedy="a branch, tag or commit of it") from e
    except RepositoryNotFoundError as e:
        remedy = "check the name; for a private one export HF_TOKEN=…"
        raise ModelError("the hub has no such model", value=model, remedy=remedy) from e
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as e:
        raise SetupError(
            f"{model} is not on this machine and the hub cannot be reached",
            why=first_line(e),
            remedy="unset HF_HUB_OFFLINE if it is set; or fetch it where there is a network (`mmst model show` does) "
            "and copy $HF_HOME here; or set model.base to a folder",
        ) from e
    return folder, name, folder.name
