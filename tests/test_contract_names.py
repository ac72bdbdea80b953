"""The public contract: names, fields, commands and options. What stands here is not renamed or dropped."""

from __future__ import annotations

import inspect
from importlib import import_module

import pytest

from vision_rec import Recommender
from vision_rec.service import schemas

# ── names ────────────────────────────────────────────────────────────────────────────────────────────

NAMES = {
    "vision_rec": "Recommender Query Filters __version__",
    "vision_rec.errors": "VisionRecError FeedRowError",
    "vision_rec.types": "Product Review Sample Filters Query Recommendation Recommendations Event",
    "vision_rec.fusion": "Aspect AspectLayout fuse scale blend edit explain resolve_weights",
    "vision_rec.settings": "Settings",
    "vision_rec.feeds": "read_feed",
    "vision_rec.images": "open_image",
    "vision_rec.catalog": "CatalogTable",
    "vision_rec.encoders": "Encoder EncoderSet",
    "vision_rec.encoders.backbones": "",
    "vision_rec.encoders.image": "ImageEncoder",
    "vision_rec.encoders.text": "TextEncoder",
    "vision_rec.index": "VectorIndex Hits choose_kind build_index load_index",
    "vision_rec.index.exact": "ExactIndex",
    "vision_rec.index.version": "IndexVersion",
    "vision_rec.sessions": "EventStore SessionEncoder RecencyMean",
    "vision_rec.reindex": "reindex",
    "vision_rec.recommend": "Recommender",
    "vision_rec.rerank": "rescore diversify",
    "vision_rec.rules": "Rule RuleBook RuleStore",
}
FIELDS = {
    "Product": "id title description brand category link image_refs reviews price sale_price currency "
    "availability group_id locale attributes",
    "Review": "rating text at helpful",
    "Sample": "images text reviews",
    "Query": "product_id image text colour examples recent recent_types user_id session_id weights preset "
    "filters exclude k offset min_score diversity max_per_group exclude_own_group session_share "
    "session_model crop facets rating_boost",
    "Event": "event_id type product_id user_id session_id at received_at value position request_id",
    "Recommendation": "product score parts missing boost pinned",
    "Recommendations": "items version_id weights",
}


def test_names_are_where_they_belong():
    for module, names in NAMES.items():
        assert [name for name in names.split() if not hasattr(import_module(module), name)] == [], module


def test_values_have_their_fields_and_are_frozen():
    types = import_module("vision_rec.types")
    for name, fields in FIELDS.items():
        kind = getattr(types, name)
        assert set(fields.split()) <= set(kind.__dataclass_fields__), name
        assert kind.__dataclass_params__.frozen, name
    assert schemas.SearchBody.model_fields.keys() - set(FIELDS["Query"].split()) == {"image_url"}


@pytest.mark.parametrize("name", ["similar", "search", "recommend"])
def test_python_takes_the_fields_of_a_search_as_keywords(name):
    taken = inspect.signature(getattr(Recommender, name)).parameters
    assert {"k", "weights", "preset", "filters", "exclude", "offset", "diversity"} <= set(taken)
    assert all(p.kind == p.KEYWORD_ONLY for p in taken.values() if p.name not in ("self", "product_id"))
    assert taken["k"].default == 10 and taken["max_per_group"].default == 1


# ── commands ─────────────────────────────────────────────────────────────────────────────────────────

COMMANDS = {
    "demo": "--port --products --no-serve",
    "reindex": "--images --reviews --views --plan --full --index --json",
    "similar": "-k --weights --filter --json --max-per-group --offset --exclude --diversity --preset "
    "--recent "
    "--user-id --session-id --session-share",
    "search": "--product --image --text --colour --recent --weights --filter -k --json --batch --output "
    "--examples --preset --exclude --offset --min-score --diversity --max-per-group --exclude-own-group "
    "--session-share --crop --facets --rating-boost --user-id --session-id",
    "export-similar": "-k",
    "export-onnx": "--encoder --json",
    "versions list": "--json",
    "versions verify": "--json",
    "versions diff": "--json",
    "versions activate": "--json",
    "versions prune": "--json",
    "train image": "",
    "evaluate": "--json --aspects",
    "evaluate-sessions": "--json --events --protocol",
    "audience": "--json --segments --output",
    "serve": "--host --port --workers",
    "events import": "--map --json",
    "events export": "--json",
    "privacy export": "--output --json",
    "privacy erase": "--json",
    "doctor": "",
    "health": "--json",
    "config show": "",
    "keys create": "--name --scope --expires --json",
    "keys list": "--json",
    "keys revoke": "--json",
    "rules list": "--json",
    "rules add": "--products --filter --position --strength --category --product --query --from --until "
    "--priority --name --json",
    "rules remove": "--json",
    "rules publish": "--note --json",
    "rules diff": "--json",
    "rules undo": "--json",
    "rules history": "--audit --json",
    "rules check": "--json",
}


def test_commands_and_options_are_those_of_the_contract():
    import typer

    from vision_rec.cli.app import app

    root = typer.main.get_command(app)
    assert set(root.commands) == {name.split()[0] for name in COMMANDS}  # what is not there yet is absent
    for name, options in COMMANDS.items():
        found = root
        for word in name.split():
            found = found.commands[word]
        assert set([*options.split(), "--indexes"]) <= {o for p in found.params for o in p.opts}, name
