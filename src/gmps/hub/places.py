"""Where meta-policies and runs are handed on: folders, URLs, Hugging Face repositories."""

import http.client
import os
import re
import shutil
import urllib.error
import urllib.parse
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gmps.aside import aside
from gmps.errors import GmpsError
from gmps.hub.contents import LIST, MAX_LIST

#: What a name of a Hugging Face repository begins with.
HUB = "hf:"
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?", re.ASCII)
#: Seconds that a server may be silent, and bytes that are read at once.
_SILENCE, _CHUNK = 60, 2**20


class Place(ABC):
    """Holds one run or meta-policy."""

    def __init__(self, name: str):
        self.name = name

    def __str__(self) -> str:
        return self.name

    @abstractmethod
    def fetch(self, file: str, out: Path, limit: int) -> None:
        """Write a file of the place to `out`, whose folder exists.

        Raises:
            GmpsError: it is not there, or longer than `limit` bytes.
        """

    @abstractmethod
    def store(self, files: Mapping[str, Path | bytes], public: bool) -> str:
        """Put files there, by their names; returns where they are to be seen.

        Raises:
            GmpsError: that cannot be done.
        """


class Folder(Place):
    """A folder of this machine, or one that is mounted."""

    def fetch(self, file: str, out: Path, limit: int) -> None:
        """Copy; links are not followed out of the folder."""
        source = Path(self.name) / file
        if not source.is_file() or source.is_symlink():
            raise self._missing(file)
        if source.stat().st_size > limit:
            raise _too_long(file, self, limit)
        shutil.copyfile(source, out)

    def store(self, files: Mapping[str, Path | bytes], public: bool) -> str:
        """A new folder, whole or not at all."""
        del public
        with aside(self.name) as staging:
            for name, content in files.items():
                path = staging / name
                path.parent.mkdir(parents=True, exist_ok=True)
                if isinstance(content, bytes):
                    path.write_bytes(content)
                else:
                    shutil.copyfile(content, path)
        return self.name

    def _missing(self, file: str) -> GmpsError:
        if file == LIST:
            return GmpsError(
                f"{self} holds nothing that `gmps push` wrote: it has no {LIST}; name a folder, a "
                f"URL or {HUB}OWNER/NAME."
            )
        return GmpsError(f"{self} lacks {file}, which its {LIST} lists.")


class Url(Folder):
    """A folder on a web server: what `gmps push` wrote to a folder, served as it is."""

    def fetch(self, file: str, out: Path, limit: int) -> None:
        """Download, no more than was said."""
        url = f"{self.name.rstrip('/')}/{urllib.parse.quote(file)}"
        try:
            with urllib.request.urlopen(url, timeout=_SILENCE) as answer, out.open("wb") as target:
                if urllib.parse.urlsplit(answer.url).scheme not in ("http", "https"):
                    raise GmpsError(f"{url} leads to {answer.url}, which is no web server.")
                left = limit
                while chunk := answer.read(min(_CHUNK, left + 1)):
                    left -= len(chunk)
                    if left < 0:
                        raise _too_long(file, self, limit)
                    target.write(chunk)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                raise self._missing(file) from None
            raise GmpsError(f"{url} cannot be read: {error}.") from None
        except GmpsError:
            raise
        # URLError is an OSError; the others are of malformed addresses and of answers cut short.
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise GmpsError(f"{url} cannot be read: {error}.") from None

    def store(self, files: Mapping[str, Path | bytes], public: bool) -> str:
        """Web servers are only read.

        Raises:
            GmpsError: always.
        """
        raise GmpsError(
            f"{self} is only read; push to a folder that is served, or to {HUB}OWNER/NAME."
        )


class Hub(Place):
    """A repository of a Hugging Face server: `HF_ENDPOINT`, and the account `HF_TOKEN` or the one
    that is logged in to."""

    def __init__(self, name: str):
        super().__init__(name)
        wanted = name.removeprefix(HUB)
        if not _REPOSITORY.fullmatch(wanted):
            raise GmpsError(
                f"{name!r} is no repository; write {HUB}OWNER/NAME or {HUB}OWNER/NAME@REVISION."
            )
        self._repository, _, revision = wanted.partition("@")
        self._revision = revision or None
        self._api = _api()

    def fetch(self, file: str, out: Path, limit: int) -> None:
        """Download, after the server has said how long it is."""
        hub, api = self._api
        try:
            url = hub.hf_hub_url(
                self._repository, file, revision=self._revision, endpoint=api.endpoint
            )
            size = api.get_hf_file_metadata(url=url).size
            if size is None or size > limit:
                raise _too_long(file, self, limit)
            folder = out.parents[len(Path(file).parts) - 1]
            api.hf_hub_download(self._repository, file, revision=self._revision, local_dir=folder)
        except hub.errors.EntryNotFoundError:
            raise GmpsError(
                f"{self} has no {file}; it was not written by `gmps push`, or not to the end."
            ) from None
        except GmpsError:
            raise
        except Exception as error:  # whatever the connection and the server say
            raise GmpsError(f"{self} cannot be read: {_first_line(error)}.") from error

    def store(self, files: Mapping[str, Path | bytes], public: bool) -> str:
        """One commit; the repository is made where there is none, a private one unless `public`."""
        hub, api = self._api
        operations = [
            hub.CommitOperationAdd(path_in_repo=name, path_or_fileobj=content)
            for name, content in files.items()
        ]
        try:
            api.create_repo(self._repository, private=not public, exist_ok=True)
            made = api.create_commit(
                self._repository,
                operations,
                commit_message="Push by gmps",
                revision=self._revision,
            )
        except Exception as error:  # whatever the connection and the server say
            raise GmpsError(f"{self} cannot be written: {_first_line(error)}.") from error
        return str(made.commit_url)


def place(name: str) -> Place:
    """What a user names.

    Raises:
        GmpsError: it is a malformed name of a repository, or its package is not installed.
    """
    if name.startswith(HUB):
        return Hub(name)
    if "://" in name:
        if not name.startswith(("http://", "https://")):
            raise GmpsError(f"{name} is not read; give http://, https://, {HUB} or a folder.")
        return Url(name)
    return Folder(name)


def _api() -> tuple[Any, Any]:
    try:
        import huggingface_hub  # noqa: PLC0415 - of the extra `hub`
    except ModuleNotFoundError:
        raise GmpsError(
            f"{HUB} takes the package huggingface_hub, which is not installed: "
            'pip install "gmps[hub]".'
        ) from None
    # Read here, not where the package is imported.
    endpoint = os.environ.get("HF_ENDPOINT")
    return huggingface_hub, huggingface_hub.HfApi(endpoint, library_name="gmps")


def _too_long(file: str, at: Place, limit: int) -> GmpsError:
    what = "a list may have" if limit == MAX_LIST and file == LIST else "it was said to have"
    return GmpsError(f"{file} of {at} has more than the {limit:,} bytes that {what}.")


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".")
