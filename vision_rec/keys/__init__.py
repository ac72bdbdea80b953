"""API keys and logins on disk: who may ask for what. Secrets are never stored, only their SHA-256."""

from vision_rec.keys.file import KeyFile
from vision_rec.keys.logins import Login, Logins
from vision_rec.keys.ring import SCOPES, ApiKey, Checked, KeyRing, NewKey, make_key

__all__ = ["SCOPES", "ApiKey", "Checked", "KeyFile", "KeyRing", "Login", "Logins", "NewKey", "make_key"]
