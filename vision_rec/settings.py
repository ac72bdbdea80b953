"""One frozen Settings, read once: arguments, then environment, then a TOML file, then defaults."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, get_origin
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from vision_rec.errors import InputError

CONFIG_NAME = "vision-rec.toml"
_PREFIX, _SPLIT = "VISION_REC_", "__"  # of variables: VISION_REC_SECTION__KEY
# Names with our prefix that are no settings: where tests find data packs, the key that the guides' and the
# console's calls send, and two that only tests and benchmarks set.
NOT_SETTINGS = frozenset(
    {"VISION_REC_DATA", "VISION_REC_KEY", "VISION_REC_FAILPOINTS", "VISION_REC_EVENT_KILLS"}
)
# What Kubernetes tells every pod of the services beside it, where one of them is named vision-rec….
_OF_KUBERNETES = re.compile(
    r"VISION_REC_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)
# What `fetch` may compare with a URL's host; names in other scripts have signs and full stops of their own.
_HOST = re.compile(r"(\*\.)?[\w.\-\u0080-\U0010ffff]*[\w\-\u0080-\U0010ffff]\.?")


def _check_host(name: str) -> str:
    """Return `name` as it is, where it can be the host of a URL; raise ValueError naming the bare host."""
    text = name.strip()
    if _HOST.fullmatch(text) or _is_address(text.removeprefix("[").removesuffix("]")):
        return name
    try:
        bare = urlsplit(text if "//" in text else f"//{text}").hostname or ""
    except ValueError:
        bare = ""
    cure = f"write {bare!r}" if _HOST.fullmatch(bare) or _is_address(bare) else "write 'img.shop.example'"
    raise ValueError(f"{name!r} is no host name, nor '*.' and one; {cure}, without scheme, port and path")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PathSettings(_Section):
    """Where data lives; relative paths resolve against the working folder."""

    indexes: Path = Path("indexes")
    data: Path = Path("var")
    catalog: Path = Path("catalog")


class FeedSettings(_Section):
    """How feeds are read and when a run is refused."""

    max_reject_share: float = Field(default=0.05, ge=0, le=1, description="stop past this")
    max_shrink_share: float = Field(default=0.20, ge=0, le=1, description="refuse to lose more at once")
    retire_days: int = Field(
        default=30, ge=0, le=36_500, description="days a product gone from the feed keeps its page"
    )
    default_currency: str | None = None
    map: Mapping[str, str] = Field(default_factory=dict, description="our column → the feed's column")


class ImageSettings(_Section):
    """Limits of pictures; see docs/reference/limits.md."""

    max_bytes: int = Field(default=16 * 2**20, gt=0)
    max_query_bytes: int = Field(default=10 * 2**20, gt=0)
    max_pixels: int = Field(default=64_000_000, gt=0)
    max_query_pixels_jpeg: int = Field(default=50_000_000, gt=0)
    max_query_pixels: int = Field(default=25_000_000, gt=0)
    min_side: int = Field(default=16, gt=0)
    max_side: int = Field(default=16_384, gt=0)
    max_aspect: float = Field(default=50.0, gt=1)
    max_scans: int = Field(default=100, gt=0)
    timeout_s: float = Field(default=10.0, gt=0, description="wall time of one decode")
    workers: int = Field(default=0, ge=0, description="decode processes; 0 = one per core")
    allowed_hosts: tuple[Annotated[str, AfterValidator(_check_host)], ...] = Field(
        default=(), description="hosts whose pictures feeds may name"
    )


class EncoderSettings(_Section):
    """Which models encode products."""

    image: str = Field(default="bundled", description="'bundled' or a folder written by `train image`")
    text: str = Field(default="all-MiniLM-L6-v2", description="the packaged model, a folder or a model name")
    runtime: Literal["auto", "torch", "openvino", "onnxruntime"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    batch_size: int = Field(default=32, gt=0)
    threads: int = Field(default=0, ge=0, description="threads of one network; 0 = one per core")


class IndexSettings(_Section):
    """Which index answers searches."""

    kind: Literal["auto", "exact", "flat", "hnsw", "ivf"] = "auto"
    min_recall: float = Field(default=0.95, ge=0, le=1, description="below it an index is refused")
    keep_versions: int = Field(default=3, ge=1)


class SearchSettings(_Section):
    """Defaults of answers."""

    weights: Mapping[str, float] = Field(default_factory=dict, description="default weight per aspect")
    presets: Mapping[str, Mapping[str, float]] = Field(
        default_factory=lambda: {
            "look": {"colour": 1, "shape": 1, "style": 1},
            "shape": {"shape": 1},
            "colour": {"colour": 1},
            "style": {"style": 1},
            "words": {"text": 1},
        }
    )
    lexical_weight: float = Field(default=0.3, ge=0, le=1, description="largest boost of an exact word match")
    max_k: int = Field(default=200, gt=0)


class ServiceSettings(_Section):
    """Where the HTTP service listens and what it refuses."""

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    workers: int = Field(default=1, ge=1)
    max_json_bytes: int = Field(default=1 << 20, gt=0)
    max_in_flight: int = Field(default=64, gt=0)
    max_text: int = Field(default=512, gt=0)
    poll_seconds: float = Field(default=2.0, gt=0, description="how often CURRENT is looked at")
    drain_seconds: float = Field(default=20.0, gt=0)
    read_seconds: float = Field(default=10.0, gt=0, description="longest gap between bytes of a body")
    threads: int = Field(default=0, ge=0, description="searches at once per worker; 0 = one per core")
    warm: bool = Field(default=True, description="load encoders and session model before ready")
    require_keys: bool = Field(default=False, description="refuse to start without API keys, here too")
    allowed_hosts: tuple[str, ...] = Field(default=(), description="names in Host beside this machine's own")
    rate_per_second: float = Field(default=50.0, ge=0, description="of one key and worker; 0 = no limit")
    burst: int = Field(default=100, ge=1, description="requests at once, before that rate holds")
    anonymous_rate_per_second: float = Field(default=0.0, ge=0, description="where there are no keys")
    login_hours: float = Field(default=12.0, gt=0, le=720, description="how long a console login lasts")


class EventSettings(_Section):
    """Where visitors' events are kept, for how long, and what is refused."""

    store: Literal["sqlite", "redis"] = "sqlite"
    url: str = Field(default="redis://127.0.0.1:6379/0", description="of Redis")
    retention_days: int = Field(default=90, ge=1, description="days an event is kept after it came")
    max_events: int = Field(default=1000, gt=0, description="in one call")
    max_past_days: float = Field(default=7.0, ge=0, description="a client's clock may be so far behind")
    max_future_minutes: float = Field(default=5.0, ge=0, description="and so far ahead")
    write_timeout_s: float = Field(default=5.0, gt=0, description="wait for the store when writing")
    read_timeout_s: float = Field(default=0.05, gt=0, description="wait for Redis when recommending")
    max_disk_share: float = Field(default=0.95, gt=0, le=1, description="above it events are refused")
    min_free_bytes: int = Field(default=512 * 2**20, ge=0, description="below it events are refused")


class SessionSettings(_Section):
    """What is made of visits: by which model, and what a known user's older interests count beside them."""

    model: str = Field(default="auto", description="'auto' (the newest trained pair), 'off' or its folder")
    long_term_share: float = Field(default=0.2, ge=0, le=0.5, description="of older interests, 0 for none")
    half_life_days: float = Field(default=30.0, gt=0, description="after which an act says half as much")
    viewed: Literal["drop", "rank"] = Field(default="drop", description="products seen in the present visit")
    min_segment_users: int = Field(default=5, ge=2, description="smaller segments join others")


class Settings(BaseSettings):
    """Everything that can be configured; frozen once read."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_nested_delimiter=_SPLIT,
        frozen=True,
        extra="forbid",
        env_ignore_empty=True,
    )
    paths: PathSettings = PathSettings()
    feed: FeedSettings = FeedSettings()
    images: ImageSettings = ImageSettings()
    encoders: EncoderSettings = EncoderSettings()
    index: IndexSettings = IndexSettings()
    search: SearchSettings = SearchSettings()
    service: ServiceSettings = ServiceSettings()
    events: EventSettings = EventSettings()
    sessions: SessionSettings = SessionSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then environment, then TOML; no .env files are read."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @classmethod
    def load(cls, config: Path | None = None, **sections: Mapping[str, Any]) -> Settings:
        """Read settings from `config` (or `vision-rec.toml` here, if any) and the environment.

        `sections` are overrides such as `paths={"indexes": …}`; None values in them are left out.
        Raises InputError naming the bad key or variable and the nearest known one.
        """
        chosen = config or (Path(CONFIG_NAME) if Path(CONFIG_NAME).is_file() else None)
        if config is not None and not config.is_file():
            raise InputError(f"no settings file {config}; give an existing TOML file")
        if unknown := unknown_variables():
            raise InputError(_explain_variable(unknown[0]))
        given = {
            name: {key: value for key, value in section.items() if value is not None}
            for name, section in sections.items()
        }

        class _Bound(cls):  # type: ignore[valid-type,misc]
            model_config = SettingsConfigDict(**{**cls.model_config, "toml_file": chosen})

        try:
            return cls.model_construct(**dict(_Bound(**{k: v for k, v in given.items() if v})))
        except ValidationError as error:
            raise InputError(_explain(error)) from error
        except tomllib.TOMLDecodeError as error:
            raise InputError(f"settings file {chosen} is not valid TOML: {error}") from error
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"settings file {chosen} is not readable as UTF-8 text: {error}") from error
        except SettingsError as error:  # a variable of the environment that should hold JSON
            raise InputError(_explain_json() or f"settings in the environment: {error}") from error


def origins(config: Path | None, given: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Say of every setting, as `section.name`, whether it comes from an option, the environment or a file.

    `config` and `given` are what `Settings.load` was called with.
    """
    chosen = config or (Path(CONFIG_NAME) if Path(CONFIG_NAME).is_file() else None)
    file = tomllib.loads(chosen.read_text("utf-8")) if chosen is not None else {}
    variables = {name.upper() for name, value in os.environ.items() if value}
    out: dict[str, str] = {}
    for section, described in Settings.model_fields.items():
        whole = f"{_PREFIX}{section}".upper()
        for name in described.annotation.model_fields if described.annotation else ():
            variable = f"{whole}{_SPLIT}{name}".upper()
            inner = [entry for entry in variables if entry.startswith(f"{variable}{_SPLIT}")]
            if given.get(section, {}).get(name) is not None:
                out[f"{section}.{name}"] = "option"
            elif variable in variables or inner:
                out[f"{section}.{name}"] = f"environment {inner[0] if inner else variable}"
            elif whole in variables and name in json.loads(os.environ[whole]):
                out[f"{section}.{name}"] = f"environment {whole}"
            else:
                out[f"{section}.{name}"] = f"file {chosen}" if name in file.get(section, {}) else "default"
    return out


def unknown_variables() -> tuple[str, ...]:
    """Return the variables of the environment that look like settings and are none, by name."""
    known = {f"{_PREFIX}{section}".upper() for section in Settings.model_fields} | NOT_SETTINGS
    found = {name for name, value in os.environ.items() if value and name.upper().startswith(_PREFIX)}
    unknown = sorted(name for name in found if name.upper().split(_SPLIT)[0] not in known)
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        unknown = [name for name in unknown if not _OF_KUBERNETES.fullmatch(name)]
    return tuple(unknown)


def _explain_variable(name: str) -> str:
    """Say that nobody reads this variable, with the nearest one that is read."""
    known = [
        f"{section}{_SPLIT}{key}".upper()
        for section, described in Settings.model_fields.items()
        for key in (described.annotation.model_fields if described.annotation else ())
    ]
    near = get_close_matches(name.upper().removeprefix(_PREFIX), known, n=1)
    hint = f"did you mean {_PREFIX}{near[0]}?" if near else "`vision-rec config show` lists all settings"
    return f"unknown variable {name} in the environment; names are {_PREFIX}SECTION{_SPLIT}KEY: {hint}"


def _explain_json() -> str:
    """Name the first variable of the environment that should hold JSON and does not, '' where all do."""
    example = {
        name: '{"name": …}' for name in (f"{_PREFIX}{section}".upper() for section in Settings.model_fields)
    }
    for section, described in Settings.model_fields.items():
        for key, field in described.annotation.model_fields.items() if described.annotation else ():
            if get_origin(field.annotation) in (tuple, Mapping):
                written = '["a", "b"]' if get_origin(field.annotation) is tuple else '{"name": …}'
                example[f"{_PREFIX}{section}{_SPLIT}{key}".upper()] = written
    for name, value in sorted(os.environ.items()):
        if name.upper() in example and value and not _is_json(value):
            return f"{name} in the environment is not JSON; write it as {example[name.upper()]}"
    return ""


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _explain(error: ValidationError) -> str:
    """Say which setting is wrong, in one line, with the nearest known name for a misspelt one."""
    first = error.errors()[0]
    location = [str(part) for part in first["loc"]]
    name = ".".join(location)
    if first["type"] == "extra_forbidden":
        section = Settings.model_fields.get(location[0])
        fields = getattr(getattr(section, "annotation", None), "model_fields", Settings.model_fields)
        near = get_close_matches(location[-1], list(fields), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(fields)}"
        return f"unknown setting {name!r}{hint}"
    return f"setting {name} is {first.get('input')!r}: {first['msg']}"


def thread_count(wanted: int) -> int:
    """Return `wanted`, or the number of usable cores where it is 0."""
    return wanted or len(os.sched_getaffinity(0))
